package render

import (
	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// view is a run in words, cleaned. Each format only lays it out.
type view struct {
	runView

	steps []stepView // in the suite's order
	// The sections. Each has its steps by urgency, then in the suite's order.
	Failed []*stepView // did not pass
	Flaky  []*stepView // failed, then passed when run again
	Going  []*stepView // have not ended, in a run that goes on
	Passed []*stepView
}

// runView is a run without its steps.
type runView struct {
	ID       string
	Suite    string
	Subject  string
	Headline string // "ecs on ci-slave, 2026-11-22 03:00:04, took 41m12s (Docker 28.5.2)"
	Where    string // "ci-slave"
	Engine   string // "Docker 28.5.2"
	Program  string
	Folder   string
	Disk     string // "74GB free of 252GB where the engine keeps images"; empty when not known
	Notes    []string
	Changes  string   // what changed since the earlier runs: "2 newly failing, 1 fixed"; may be empty
	Gone     []string // steps that the suite no longer has
}

// newView returns r in words.
func newView(r *report.Run) view {
	v := view{runView: newRunView(r), steps: make([]stepView, len(r.Steps))}
	order := make([]int, len(r.Steps))
	for i := range order {
		order[i] = i
	}
	r.SortByUrgency(order)
	for _, i := range order {
		result, step := &r.Steps[i], &v.steps[i]
		*step = newStepView(r, result)
		step.Anchor = anchor(i)
		section := &v.Failed
		switch {
		case result.Outcome == report.Passed:
			section = &v.Passed
		case result.Outcome == "" && r.Running:
			section = &v.Going
		case result.Verdict != nil && result.Verdict.Cause == report.Flaky:
			section = &v.Flaky
		}
		*section = append(*section, step)
	}
	return v
}

func newRunView(r *report.Run) runView {
	v := runView{
		ID:      plain.Clean(r.ID),
		Suite:   plain.Clean(r.Suite),
		Subject: r.Subject(),
		Where:   plain.Clean(r.Host),
		Engine:  plain.Clean(r.Engine.String()),
		Program: plain.Clean(r.Program),
		Folder:  plain.Clean(r.Folder),
		Disk:    diskLine(r.Disk),
		Notes:   cleanAll(r.Notes),
		Changes: r.Changes(),
		Gone:    cleanAll(r.Gone),
	}
	v.Headline = v.Suite
	if v.Where != "" {
		v.Headline += " on " + v.Where
	}
	v.Headline += ", " + r.Started.Format(report.TimeLayout) + ", " + ending(r)
	if r.Engine.Name != "" {
		v.Headline += " (" + v.Engine + ")"
	}
	return v
}

// ending returns how a run ended, or that it goes on.
func ending(r *report.Run) string {
	took := report.Duration(r.Finished.Sub(r.Started)).String()
	signal := plain.Clean(r.Signal)
	switch {
	case r.Finished.IsZero() && r.Running:
		return "still going on"
	case r.Finished.IsZero() && signal != "":
		return "interrupted by " + signal + " and cut off"
	case r.Finished.IsZero():
		return "cut off before its end"
	case signal != "":
		return "interrupted by " + signal + " after " + took
	}
	return "took " + took
}

// cleanAll returns the lines, cleaned.
func cleanAll(lines []string) []string {
	var clean []string
	for _, line := range lines {
		clean = append(clean, plain.Clean(line))
	}
	return clean
}
