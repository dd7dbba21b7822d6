package render

import (
	"fmt"
	"time"

	"runtests/pkg/plain"
	"runtests/pkg/report"
)

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
	case report.Added:
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
