package history

import (
	"cmp"
	"slices"

	"runtests/pkg/report"
)

// Entry is a step of a past run. The zero Entry stands for a step that a run lacks.
type Entry struct {
	Run   *PastRun
	Index int // of the step in Run.Steps
}

// Step returns the step. The zero Entry has none.
func (e Entry) Step() *PastStep { return &e.Run.Steps[e.Index] }

// Outcome returns the outcome of the step, or "" for the zero Entry and for a step that goes on. If the
// run has ended and the step has not, the step was interrupted.
func (e Entry) Outcome() report.Outcome {
	switch {
	case e.Run == nil:
		return ""
	case e.Step().Outcome == "" && !e.Run.Running:
		return report.Interrupted
	}
	return e.Step().Outcome
}

// urgency returns the rank of a failure: new failures come first, then blocked steps, then failures
// that go on.
func (e Entry) urgency() int {
	switch streak := e.Step().Failing; {
	case streak != nil && streak.Runs > 1:
		return 2
	case e.Outcome() == report.Blocked:
		return 1
	}
	return 0
}

// Row is a step in each of the last runs.
type Row struct {
	Last    Entry   // in the last run that had the step
	Entries []Entry // in the order of History.Runs
}

// failed reports whether the step did not pass in one of the runs.
func (r Row) failed() bool {
	return slices.ContainsFunc(r.Entries, func(e Entry) bool { return e.Run != nil && e.Step().Outcome != report.Passed })
}

// Rows returns the steps of these names in each of the last n runs. They are in the order in which the
// runs have them, from the newest run on. Rows leaves out a step that no run has.
func (h *History) Rows(names []string, n int) []Row {
	const none = -1
	index := map[string]int{} // in rows, by the step's name
	for _, name := range names {
		index[name] = none
	}
	n = min(n, len(h.Runs))
	var rows []Row
	for i := range h.Runs {
		if i >= n && len(rows) == len(index) {
			break
		}
		run := &h.Runs[i]
		for j := range run.Steps {
			entry, name := Entry{run, j}, run.Steps[j].Name
			row, wanted := index[name]
			if !wanted {
				continue
			}
			if row == none {
				row = len(rows)
				index[name] = row
				rows = append(rows, Row{entry, make([]Entry, n)})
			}
			if i < n {
				rows[row].Entries[i] = entry
			}
		}
	}
	return rows
}

// FailingNow returns the steps of rows that did not pass in the last run that had them, by urgency.
func FailingNow(rows []Row) []Entry {
	var failing []Entry
	for _, row := range rows {
		if outcome := row.Last.Outcome(); outcome != report.Passed && outcome != "" {
			failing = append(failing, row.Last)
		}
	}
	slices.SortStableFunc(failing, func(a, b Entry) int { return cmp.Compare(a.urgency(), b.urgency()) })
	return failing
}

// Worst returns at most n of the rows, in their order: those with a failure, then others.
func Worst(rows []Row, n int) []Row {
	failed := 0
	for _, row := range rows {
		if row.failed() {
			failed++
		}
	}
	others := max(n-failed, 0)
	var worst []Row
	for _, row := range rows {
		switch {
		case len(worst) == n:
			return worst
		case row.failed():
			worst = append(worst, row)
		case others > 0:
			others--
			worst = append(worst, row)
		}
	}
	return worst
}
