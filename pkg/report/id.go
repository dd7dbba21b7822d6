package report

import (
	"cmp"
	"regexp"
	"strconv"
	"time"
)

// IDLayout is the layout of a run's ID, which is also the name of its folder: the local time of its
// launch. Runs launched in the same second have a number appended (-2, -3).
const IDLayout = "2006-01-02T15-04-05"

var idPattern = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)(?:-(\d{1,4}))?$`)

// ValidID reports whether id can be the ID of a run.
func ValidID(id string) bool { return idPattern.MatchString(id) }

// CompareIDs compares two valid IDs by launch: it returns -1 if a was launched before b.
func CompareIDs(a, b string) int {
	launchedA, nA := splitID(a)
	launchedB, nB := splitID(b)
	return cmp.Or(cmp.Compare(launchedA, launchedB), cmp.Compare(nA, nB))
}

func splitID(id string) (launched string, n int) {
	m := idPattern.FindStringSubmatch(id)
	n, _ = strconv.Atoi(m[2]) // 0 for the first run of its second, which has no number
	return m[1], n
}

// LaunchTime returns when the run with that ID was launched, by this machine's local time; ok is false
// if id is not valid.
func LaunchTime(id string) (at time.Time, ok bool) {
	if !ValidID(id) {
		return time.Time{}, false
	}
	launched, _ := splitID(id)
	at, err := time.ParseInLocation(IDLayout, launched, time.Local)
	return at, err == nil
}

// LaunchText returns the launch of the run with that valid ID, in TimeLayout.
func LaunchText(id string) string {
	launched, _ := splitID(id)
	at, err := time.Parse(IDLayout, launched)
	if err != nil {
		return id
	}
	return at.Format(TimeLayout)
}
