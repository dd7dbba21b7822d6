package report

import (
	"slices"

	"runtests/pkg/plain"
)

// Mask masks secrets in the texts of the result and in its tail.
func (r *Result) Mask(m plain.Mask) {
	r.Reason, r.Hint, r.Command = m.Lines(r.Reason), m.Lines(r.Hint), m.Lines(r.Command)
	r.Notes = m.Strings(r.Notes)
	r.Log.Tail = m.Tail(r.Log.Tail)
	if r.Verdict != nil {
		verdict := r.Verdict.masked(m)
		r.Verdict = &verdict
	}
}

// masked returns a copy of v with secrets masked.
func (v Verdict) masked(m plain.Mask) Verdict {
	v.Reason = m.Lines(v.Reason)
	v.Trials = slices.Clone(v.Trials)
	for i := range v.Trials {
		trial := &v.Trials[i]
		trial.What, trial.Reason, trial.Command = m.Lines(trial.What), m.Lines(trial.Reason), m.Lines(trial.Command)
	}
	v.Commits = slices.Clone(v.Commits)
	for i := range v.Commits {
		c := &v.Commits[i]
		c.Author, c.Subject = m.String(c.Author), m.String(c.Subject)
	}
	return v
}
