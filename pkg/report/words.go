package report

import (
	"strconv"

	"github.com/docker/go-units"

	"runtests/pkg/plain"
)

// TimeLayout is the layout of a time in a report.
const TimeLayout = "2006-01-02 15:04:05"

// Title returns the step's name as a report shows it: "image NAME" for an image, "deploy NAME" for a
// deployment, the name alone for a test.
func (s *Result) Title() string { return s.Kind.Title(s.Name) }

// Title returns the name of a step of that kind as a report shows it: see Result.Title.
func (k Kind) Title(name string) string {
	if k == KindImage || k == KindDeploy {
		return string(k) + " " + plain.Clean(name)
	}
	return plain.Clean(name)
}

// Count returns a number of things in English: "1 line", "18,204 lines".
func Count(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return Thousands(n) + " " + thing
}

// Thousands returns n in digits, with a comma before each group of three.
func Thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Size returns a number of bytes as the docker command shows it: "1.03GB".
func Size(bytes int64) string { return units.HumanSize(float64(bytes)) }
