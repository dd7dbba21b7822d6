package render

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// urgency orders failures for a reader: what is new comes first, and what has failed
// before comes last; what an image blocks comes after its cause.
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

// byUrgency sorts the indices of steps; those that are equally urgent stay in the suite's order.
func byUrgency(r *report.Run, steps []int) {
	slices.SortStableFunc(steps, func(a, b int) int { return cmp.Compare(urgency(&r.Steps[a]), urgency(&r.Steps[b])) })
}

// trendText says in words what is known of the step's trend; empty when it is as before.
func trendText(r *report.Run, step *report.Result) string {
	t := step.Trend
	if t == nil {
		return ""
	}
	switch t.Change {
	case report.NewlyFailing:
		if t.Passed == "" || !report.ValidID(t.Passed) {
			return string(report.NewlyFailing)
		}
		return string(report.NewlyFailing) + ": it passed in the run of " + report.LaunchText(t.Passed)
	case report.StillFailing:
		return fmt.Sprintf("%s since %s (%s)", report.StillFailing, day(t.Since, r.Started), report.Count(int64(t.Runs), "run"))
	case report.Fixed:
		return fmt.Sprintf("%s: it had been failing since %s (%s)", report.Fixed, day(t.Since, r.Started), report.Count(int64(t.Runs), "run"))
	case report.New:
		return "new: no earlier run had it"
	}
	return plain.Clean(string(t.Change))
}

// paceWord is the word for how long a step took beside what is usual; empty when it is usual.
func paceWord(step *report.Result) string {
	if step.Trend == nil {
		return ""
	}
	return plain.Clean(string(step.Trend.Pace))
}

// paceText says in words that a step took longer or less than usual.
func paceText(step *report.Result) string {
	word := paceWord(step)
	if word == "" {
		return ""
	}
	return word + " than usual: " + step.Duration.String() + ", usually " + step.Trend.Usual.String()
}

// day is when a run of another day was launched; of one of the same day, the time.
func day(at, now time.Time) string {
	at = at.In(now.Location())
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format("15:04")
	}
	return at.Format(time.DateOnly)
}
