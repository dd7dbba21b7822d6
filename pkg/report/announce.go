package report

import (
	"cmp"
	"slices"
)

// Announcements returns the Message-IDs of the mails that first reported what fails in r or is fixed by
// it, that of the oldest failure first. A mail about r replies to them.
func (r *Run) Announcements() []string {
	var announced []*Trend
	for i := range r.Steps {
		if t := r.Steps[i].Trend; t != nil && t.Announced != "" {
			announced = append(announced, t)
		}
	}
	slices.SortStableFunc(announced, func(a, b *Trend) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Announced, b.Announced)) })
	var ids []string
	for _, t := range announced {
		if !slices.Contains(ids, t.Announced) {
			ids = append(ids, t.Announced)
		}
	}
	return ids
}

// Announce records the Message-ID of the mail about r. That mail is the first to report the failures
// that no earlier one has.
func (r *Run) Announce(id string) {
	r.Message = id
	for i := range r.Steps {
		step := &r.Steps[i]
		if t := step.Trend; t != nil && t.Announced == "" && step.Outcome.Proves() && step.Outcome != Passed {
			t.Announced = id
		}
	}
}
