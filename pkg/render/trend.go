package render

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// urgency returns the rank of a failure in a report: new failures come first, those that go on last. A
// blocked step comes after its cause.
func urgency(step *report.Result) int {
	rank := 0
	switch step.Change() {
	case "":
		rank = 2
	case report.StillFailing:
		rank = 4
	}
	if step.Outcome == report.Blocked {
		rank++
	}
	return rank
}

// byUrgency sorts the indices of steps by urgency. Equally urgent steps stay in the suite's order.
func byUrgency(r *report.Run, steps []int) {
	slices.SortStableFunc(steps, func(a, b int) int { return cmp.Compare(urgency(&r.Steps[a]), urgency(&r.Steps[b])) })
}

// trendText returns how the step changed, in words, or "" if it did not.
func trendText(r *report.Run, step *report.Result) string {
	t := step.Trend
	if t == nil {
		return ""
	}
	switch t.Change {
	case report.NewlyFailing:
		if t.LastPassed == "" || !report.ValidID(t.LastPassed) {
			return string(report.NewlyFailing)
		}
		return string(report.NewlyFailing) + ": it passed in the run of " + report.LaunchText(t.LastPassed)
	case report.StillFailing:
		return fmt.Sprintf("%s since %s (%s)", report.StillFailing, day(t.Since, r.Started), report.Count(int64(t.Runs), "run"))
	case report.Fixed:
		return fmt.Sprintf("%s: it had been failing since %s (%s)", report.Fixed, day(t.Since, r.Started), report.Count(int64(t.Runs), "run"))
	case report.New:
		return "new: no earlier run had it"
	}
	return plain.Clean(string(t.Change))
}

// paceWord returns "slower" or "faster", or "" if the step took as long as usual.
func paceWord(step *report.Result) string {
	if step.Trend == nil {
		return ""
	}
	return plain.Clean(string(step.Trend.Pace))
}

// paceText returns how much slower or faster than usual the step was, in words, or "".
func paceText(step *report.Result) string {
	word := paceWord(step)
	if word == "" {
		return ""
	}
	return word + " than usual: " + step.Duration.String() + ", usually " + step.Trend.Usual.String()
}

// day returns the date of at, or its time if that is on the same day as now.
func day(at, now time.Time) string {
	at = at.In(now.Location())
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format("15:04")
	}
	return at.Format(time.DateOnly)
}
