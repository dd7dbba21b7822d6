package report

import (
	"slices"
	"time"
)

// Change is how a step changed since the earlier runs.
type Change string

// The changes. A step that is as before has none.
const (
	NewlyFailing Change = "newly failing" // the step passed in the last run that proves something
	StillFailing Change = "still failing"
	Fixed        Change = "fixed" // the step passes, and failed in the last run that proves something
	Added        Change = "new"   // no earlier run had the step
)

// Pace is how the duration of a step compares with its usual duration.
type Pace string

// The paces. A step that took as long as usual, or whose usual duration is not known, has none.
const (
	Slower Pace = "slower"
	Faster Pace = "faster"
)

// Trend is how the result of a step compares with those of earlier runs. It ignores results that prove
// nothing.
type Trend struct {
	Change     Change    `json:"change,omitempty"`
	Previous   Outcome   `json:"was,omitempty"`           // the outcome in the last earlier run that had the step
	Since      time.Time `json:"since,omitzero"`          // the launch of the first run that had the failure, also if it is fixed now
	Runs       int       `json:"runs,omitempty"`          // how many runs in a row have failed; the run that fixed it does not count
	Announced  string    `json:"announced,omitempty"`     // the Message-ID of the mail that first reported the failure
	LastPassed string    `json:"passed,omitempty"`        // the ID of the last earlier run in which the step passed
	Usual      Duration  `json:"usual_seconds,omitempty"` // the median of its last ten passes; 0 if there are less than five
	Pace       Pace      `json:"pace,omitempty"`          // for a step that passed, if its duration is beyond the usual spread
}

// Proves reports whether the outcome proves that the step works or that it does not.
func (o Outcome) Proves() bool { return o != "" && o != Interrupted }

// The rules for the usual duration of a step.
const (
	UsualPasses  = 10 // the number of last passes that count
	fewestPasses = 5  // with fewer passes it is not known
	// usualSpread is how many standard deviations are usual. If durations are normally distributed,
	// three in a thousand are beyond that by chance.
	usualSpread = 3
	// madScale turns a median absolute deviation into a standard deviation of a normal distribution.
	madScale = 1.4826
	// leastSpread, a fraction of the median, and leastSpreadTime are always usual.
	leastSpread     = 0.25
	leastSpreadTime = time.Second
)

// Usual returns the median of passes, and how far from it a usual duration may be.
func Usual(passes []time.Duration) (middle, spread time.Duration, known bool) {
	if len(passes) < fewestPasses {
		return 0, 0, false
	}
	middle = Median(passes)
	deviations := make([]time.Duration, len(passes))
	for i, d := range passes {
		deviations[i] = (d - middle).Abs()
	}
	deviation := madScale * float64(Median(deviations))
	return middle, max(time.Duration(usualSpread*deviation), time.Duration(leastSpread*float64(middle)), leastSpreadTime), true
}

// Median returns the middle of durations: the mean of the two middle ones if their number is even.
func Median(durations []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))
	half := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[half-1] + sorted[half]) / 2
	}
	return sorted[half]
}

// PaceOf compares d with the durations of passes and returns their median too.
func PaceOf(d time.Duration, passes []time.Duration) (middle time.Duration, p Pace) {
	middle, spread, known := Usual(passes)
	switch {
	case !known:
	case d > middle+spread:
		p = Slower
	case d < middle-spread:
		p = Faster
	}
	return middle, p
}
