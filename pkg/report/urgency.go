package report

import (
	"cmp"
	"slices"
)

// SortByUrgency sorts the indices of steps of r: new failures come first, those that go on last, and a
// blocked step after its cause. Equally urgent steps stay in their order.
func (r *Run) SortByUrgency(steps []int) {
	slices.SortStableFunc(steps, func(a, b int) int { return cmp.Compare(r.Steps[a].urgency(), r.Steps[b].urgency()) })
}

// urgency returns the rank of a step in a report.
func (s *Result) urgency() int {
	rank := 0
	switch s.Change() {
	case "":
		rank = 2
	case StillFailing:
		rank = 4
	}
	if s.Outcome == Blocked {
		rank++
	}
	return rank
}
