package report

import (
	"cmp"
	"slices"
)

// Announcements are the Message-IDs of the mails that told first of what fails in r, or
// is fixed by it; that of the oldest failure first. A mail about r goes on with them.
func (r *Run) Announcements() []string {
	var told []*Trend
	for i := range r.Steps {
		if t := r.Steps[i].Trend; t != nil && t.Announced != "" {
			told = append(told, t)
		}
	}
	slices.SortStableFunc(told, func(a, b *Trend) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Announced, b.Announced)) })
	var ids []string
	for _, t := range told {
		if !slices.Contains(ids, t.Announced) {
			ids = append(ids, t.Announced)
		}
	}
	return ids
}

// Announce notes that the mail of that Message-ID tells of r: it is the first to tell of the
// failures that none has told of.
func (r *Run) Announce(id string) {
	r.Message = id
	for i := range r.Steps {
		step := &r.Steps[i]
		if t := step.Trend; t != nil && t.Announced == "" && step.Outcome.Proves() && step.Outcome != Passed {
			t.Announced = id
		}
	}
}
