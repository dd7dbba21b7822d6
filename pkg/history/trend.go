package history

import (
	"cmp"
	"time"

	"runtests/pkg/report"
)

// StepHistory is the history of one step.
type StepHistory struct {
	Last          report.Outcome  // in the last run that had the step; Interrupted if it did not come to its end
	LastPassed    string          // the ID of the run in which the step last passed; empty: it never did
	LastFailed    time.Time       // the launch of the run in which the step last failed; zero: it never did
	PassDurations []time.Duration // the durations of its last passes, the newest first
	Failing       *Streak         // how long the step has failed; nil: it does not fail

	decided bool // some outcome proves something
	open    bool // the first run of Failing has not been found yet
}

// Step returns the history of the step of that name, or the zero value if there is none.
func (h *History) Step(name string) StepHistory {
	if past := h.steps[name]; past != nil {
		return *past
	}
	return StepHistory{}
}

// summarize sums up the history of each step.
func (h *History) summarize() {
	h.steps = map[string]*StepHistory{}
	for i := range h.Runs {
		run := &h.Runs[i]
		for j := range run.Steps {
			step := &run.Steps[j]
			past := h.steps[step.Name]
			if past == nil {
				past = &StepHistory{Last: cmp.Or(step.Outcome, report.Interrupted)}
				h.steps[step.Name] = past
			}
			switch {
			case !step.Outcome.Proves():
			case step.Outcome == report.Passed:
				past.addPass(run, step)
			default:
				past.addFailure(run, step)
			}
		}
	}
}

// addPass adds a pass in a run that is earlier than all those added before.
func (s *StepHistory) addPass(run *PastRun, step *PastStep) {
	s.decided, s.open = true, false
	s.LastPassed = cmp.Or(s.LastPassed, run.ID)
	if len(s.PassDurations) < report.UsualPasses && step.Duration > 0 {
		s.PassDurations = append(s.PassDurations, time.Duration(step.Duration))
	}
}

// addFailure adds a failure in a run that is earlier than all those added before.
func (s *StepHistory) addFailure(run *PastRun, step *PastStep) {
	if s.LastFailed.IsZero() {
		s.LastFailed = run.Started
	}
	if !s.decided {
		s.decided, s.open, s.Failing = true, true, new(Streak)
	}
	if !s.open {
		return
	}
	s.Failing.Runs++
	s.Failing.Since = run.Started
	if recorded := step.Failing; recorded != nil {
		// The record counts the runs before it, including those whose folders have been removed.
		s.Failing.Runs += max(recorded.Runs-1, 0)
		s.Failing.Since = recorded.Since
		s.Failing.Announced = recorded.Announced
		s.open = false
	}
}

// Judge sets step.Trend: how the step of run compares with the runs of h, which are those before run.
// A step that has not ended has no trend. A nil History sets none.
func (h *History) Judge(run *report.Run, step *report.Result) {
	if h == nil || step.Outcome == "" {
		return
	}
	past := h.Step(step.Name)
	t := past.trend(run, step)
	if past.Last == "" && len(h.Runs) > 0 && step.Outcome.Proves() {
		t.Change = report.Added
	}
	step.Trend = nil
	if t != (report.Trend{}) {
		step.Trend = &t
	}
}

// trend compares step, which has ended, with its past.
func (s StepHistory) trend(run *report.Run, step *report.Result) report.Trend {
	t := report.Trend{Previous: s.Last, LastPassed: s.LastPassed}
	if s.Failing != nil { // an outcome that proves nothing does not end the failure
		t.Since, t.Runs, t.Announced = s.Failing.Since, s.Failing.Runs, s.Failing.Announced
	}
	switch {
	case !step.Outcome.Proves():
	case step.Outcome == report.Passed:
		if s.Failing != nil {
			t.Change = report.Fixed
		}
	case s.Failing != nil:
		t.Change = report.StillFailing
		t.Runs++
	default:
		if s.decided {
			t.Change = report.NewlyFailing
		}
		t.Since, t.Runs = run.Started, 1
	}
	middle, pace := report.PaceOf(time.Duration(step.Duration), s.PassDurations)
	t.Usual = report.Duration(middle)
	if step.Outcome == report.Passed && (step.Build == nil || !step.Build.Current) {
		t.Pace = pace
	}
	return t
}

// Conclude compares run, which has ended, with the runs of h, which are those before it. It sets the
// trend of each step and run.Gone.
func (h *History) Conclude(run *report.Run) {
	for i := range run.Steps {
		h.Judge(run, &run.Steps[i])
	}
	if run.Partial || h == nil {
		return
	}
	present := map[string]bool{}
	for i := range run.Steps {
		present[run.Steps[i].Name] = true
	}
	for _, name := range h.CurrentSteps() {
		if !present[name] {
			run.Gone = append(run.Gone, name)
		}
	}
}
