package history

import (
	"fmt"
	"slices"
	"time"

	"runtests/pkg/report"
)

// SkippedNotes returns sentences for the report of the run that took the suite's lock at since: one for
// each run that made others skip.
func SkippedNotes(list []Skipped, since time.Time) []string {
	var notes []string
	for len(list) > 0 {
		held := list[0].Since
		others := slices.IndexFunc(list, func(s Skipped) bool { return !s.Since.Equal(held) })
		if others < 0 {
			others = len(list)
		}
		notes = append(notes, skippedText(list[:others])+": "+holderText(held, since))
		list = list[others:]
	}
	return notes
}

func skippedText(list []Skipped) string {
	first, last := list[0].Launched.Local(), list[len(list)-1].Launched.Local()
	if len(list) == 1 {
		return "the run of " + first.Format(report.TimeLayout) + " was skipped"
	}
	return fmt.Sprintf("%s runs were skipped, the first at %s, the last at %s",
		report.Thousands(int64(len(list))), first.Format(report.TimeLayout), last.Format(report.TimeLayout))
}

// holderText returns which run held the suite's lock since held.
func holderText(held, since time.Time) string {
	switch {
	case held.IsZero():
		return "another run was still going on"
	case held.Equal(since):
		return "this run was still going on"
	}
	return "the run of " + held.Local().Format(report.TimeLayout) + " was still going on"
}
