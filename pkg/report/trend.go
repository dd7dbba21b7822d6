package report

import (
	"slices"
	"time"
)

// Change is what became of a step since the runs before.
type Change string

// The changes. A step that is as it was before has none.
const (
	NewlyFailing Change = "newly failing" // it passed when it was last run to its end
	StillFailing Change = "still failing"
	Fixed        Change = "fixed" // it passes, and did not when it was last run to its end
	New          Change = "new"   // no earlier run had it
)

// Pace is how long a step took beside what it usually takes.
type Pace string

// The paces. A step that took as long as usual, or of which nobody knows, has none.
const (
	Slower Pace = "slower"
	Faster Pace = "faster"
)

// Trend is how the result of a step compares with those of earlier runs. A result that
// proves nothing, of a step that was interrupted, is passed over in that.
type Trend struct {
	Change    Change    `json:"change,omitempty"`
	Was       Outcome   `json:"was,omitempty"`           // how the step ended in the last run before that had it
	Since     time.Time `json:"since,omitzero"`          // of a failure and of one that is fixed: the launch of the first run that had it
	Runs      int       `json:"runs,omitempty"`          // in how many runs it failed in a row; the one that fixed it does not count
	Announced string    `json:"announced,omitempty"`     // the Message-ID of the mail that told of the failure first
	Passed    string    `json:"passed,omitempty"`        // the ID of the last run before in which it passed
	Usual     Duration  `json:"usual_seconds,omitempty"` // the median of its last ten passes; there must be five
	Pace      Pace      `json:"pace,omitempty"`          // of a step that passed: said only of what is beyond the usual spread
}

// Proves says that an outcome tells whether the step works.
func (o Outcome) Proves() bool { return o != "" && o != Interrupted }

// How a usual duration is found.
const (
	UsualPasses  = 10 // the median is of so many passes at most
	fewestPasses = 5  // of less nothing is said
	// usualSpread is how many standard deviations of the passes are usual: three in a
	// thousand durations are beyond that by chance, if they are spread as errors are.
	usualSpread = 3
	// madScale makes a standard deviation of the median of absolute deviations.
	madScale = 1.4826
	// leastSpread, a part of the median, and leastSpreadTime are usual whatever the passes say.
	leastSpread     = 0.25
	leastSpreadTime = time.Second
)

// Usual returns the median of passes and how far from it a duration may be that is usual.
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

// Median is the middle of durations, the mean of two when there is an even number of them.
func Median(durations []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))
	half := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[half-1] + sorted[half]) / 2
	}
	return sorted[half]
}

// PaceOf says how d compares with passes.
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
