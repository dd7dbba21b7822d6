package history

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"runtests/pkg/hint"
	"runtests/pkg/report"
)

// History holds the past runs of a suite, the newest first, as their records have them.
type History struct {
	Runs   []PastRun
	Errors []error // one for each run whose record cannot be read; Runs lacks it

	steps map[string]*summary // by the step's name
}

// PastRun is a past run.
type PastRun struct {
	ID       string
	Started  time.Time
	Finished time.Time // zero: the run is going on, or was cut off
	Running  bool      // the run is going on
	Partial  bool
	Steps    []PastStep // in the order of the record
}

// PastStep is a step of a past run.
type PastStep struct {
	Name     string
	Kind     report.Kind
	Outcome  report.Outcome  // empty: the step did not come to its end
	Duration report.Duration // 0 for an image that was current
	Failing  *Streak         // nil: the step did not fail, or the record does not say since when
}

// Streak is how long a step has failed: the part of report.Trend that the history needs.
type Streak struct {
	Since     time.Time `json:"since,omitzero"`
	Runs      int       `json:"runs,omitempty"`
	Announced string    `json:"announced,omitempty"`
}

// ReadHistory reads the runs in the folder logs that were launched before the run of that ID, or all
// of them if it is empty. A folder that does not exist has no runs.
func ReadHistory(logs, before string) (*History, error) {
	ids, err := listBefore(logs, before)
	if err != nil {
		return nil, err
	}
	h := new(History)
	for _, read := range readPasts(logs, ids) {
		switch {
		case errors.Is(read.err, ErrNoRun): // cut off before its first record, or not a run
		case read.err != nil:
			h.Errors = append(h.Errors, read.err)
		default:
			h.Runs = append(h.Runs, read.past)
		}
	}
	h.summarize()
	return h, nil
}

// pastRead is the result of reading one run.
type pastRead struct {
	past PastRun
	err  error
}

// readPasts reads the records of the runs ids, several at a time: a year of large records takes seconds.
func readPasts(logs string, ids []string) []pastRead {
	reads := make([]pastRead, len(ids))
	free := make(chan struct{}, min(runtime.GOMAXPROCS(0), 4)) // more readers would only hold more records in memory
	var group sync.WaitGroup
	for i, id := range ids {
		free <- struct{}{}
		group.Go(func() {
			reads[i] = readPast(logs, id)
			<-free
		})
	}
	group.Wait()
	return reads
}

func readPast(logs, id string) pastRead {
	past, err := readPastRecord(filepath.Join(logs, id, RecordFile))
	if err != nil {
		return pastRead{err: fmt.Errorf("read the record of the run %s: %w", id, err)}
	}
	past.ID = id
	if past.Finished.IsZero() {
		past.Running, _ = Alive(filepath.Join(logs, id)) // on error, assume that the run has ended
	}
	return pastRead{past: past}
}

// pastRecord is the part of a record that the history needs.
type pastRecord struct {
	Version  int       `json:"version"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Partial  bool      `json:"partial"`
	Steps    []struct {
		Name     string          `json:"name"`
		Kind     report.Kind     `json:"kind"`
		Outcome  report.Outcome  `json:"outcome"`
		Duration report.Duration `json:"duration_seconds"`
		Trend    *Streak         `json:"trend"`
		Build    struct {
			Current bool `json:"current"`
		} `json:"build"`
	} `json:"steps"`
}

func readPastRecord(path string) (PastRun, error) {
	data, err := readRecord(path)
	if err != nil {
		return PastRun{}, err
	}
	var record pastRecord
	// A later version may have other types, so the version is checked before the error.
	err = json.Unmarshal(data, &record)
	if versionErr := report.CheckVersion(record.Version, err, len(data)); versionErr != nil {
		return PastRun{}, versionErr
	}
	past := PastRun{Started: record.Started, Finished: record.Finished, Partial: record.Partial, Steps: make([]PastStep, len(record.Steps))}
	for i, s := range record.Steps {
		step := PastStep{Name: s.Name, Kind: s.Kind, Outcome: s.Outcome, Duration: s.Duration}
		if s.Trend != nil && !s.Trend.Since.IsZero() && s.Outcome != report.Passed {
			step.Failing = s.Trend
		}
		if s.Build.Current {
			step.Duration = 0
		}
		past.Steps[i] = step
	}
	return past, nil
}

// summary sums up the history of one step.
type summary struct {
	last   report.Outcome  // the outcome in the last run that had the step
	passes []time.Duration // of the last passes, the newest first
	passed string          // the ID of the run in which the step last passed
	failed time.Time       // the launch of the run in which it last failed

	decided bool   // some outcome proves something
	failing bool   // the last such outcome is a failure
	streak  Streak // how long that failure has lasted
	open    bool   // the first run of the streak has not been found yet
}

// summarize sums up the history of each step.
func (h *History) summarize() {
	h.steps = map[string]*summary{}
	for i := range h.Runs {
		run := &h.Runs[i]
		for j := range run.Steps {
			step := &run.Steps[j]
			past, ok := h.steps[step.Name]
			if !ok {
				past = &summary{last: cmp.Or(step.Outcome, report.Interrupted)}
				h.steps[step.Name] = past
			}
			past.add(run, step)
		}
	}
}

// add adds a run that is earlier than all those added before.
func (p *summary) add(run *PastRun, step *PastStep) {
	switch {
	case !step.Outcome.Proves():
		return
	case step.Outcome == report.Passed:
		p.decided, p.open = true, false
		if p.passed == "" {
			p.passed = run.ID
		}
		if len(p.passes) < report.UsualPasses && step.Duration > 0 {
			p.passes = append(p.passes, time.Duration(step.Duration))
		}
		return
	case !p.decided:
		p.decided, p.failing, p.open = true, true, true
	}
	if p.failed.IsZero() {
		p.failed = run.Started
	}
	if !p.open {
		return
	}
	p.streak.Runs++
	p.streak.Since = run.Started
	if recorded := step.Failing; recorded != nil {
		// The record counts the runs before it, including those whose folders have been removed.
		p.streak.Runs += max(recorded.Runs-1, 0)
		p.streak.Since = recorded.Since
		p.streak.Announced = recorded.Announced
		p.open = false
	}
}

// Judge sets step.Trend: how the step of run compares with the runs of h, which are those before run.
// A step that has not ended has no trend. A nil History sets none.
func (h *History) Judge(run *report.Run, step *report.Result) {
	if h == nil || step.Outcome == "" {
		return
	}
	past := h.steps[step.Name]
	step.Trend = past.trend(run, step, len(h.Runs) > 0)
}

// trend compares step with its past; p is nil if it has none. earlierRuns says whether there was any
// run that could have had the step.
func (p *summary) trend(run *report.Run, step *report.Result, earlierRuns bool) *report.Trend {
	if p == nil {
		p = new(summary)
	}
	t := report.Trend{Previous: p.last, LastPassed: p.passed}
	failed := step.Outcome.Proves() && step.Outcome != report.Passed
	switch {
	case p.failing && step.Outcome == report.Passed:
		t.Change = report.Fixed
		t.Since, t.Runs, t.Announced = p.streak.Since, p.streak.Runs, p.streak.Announced
	case p.failing && failed:
		t.Change = report.StillFailing
		t.Since, t.Runs, t.Announced = p.streak.Since, p.streak.Runs+1, p.streak.Announced
	case failed:
		if p.decided {
			t.Change = report.NewlyFailing
		}
		t.Since, t.Runs = run.Started, 1
	case step.Outcome == report.Interrupted && p.failing: // this proves nothing, so the failure goes on
		t.Since, t.Runs, t.Announced = p.streak.Since, p.streak.Runs, p.streak.Announced
	}
	if p.last == "" && earlierRuns && step.Outcome.Proves() {
		t.Change = report.New
	}
	middle, pace := report.PaceOf(time.Duration(step.Duration), p.passes)
	t.Usual = report.Duration(middle)
	if step.Outcome == report.Passed && (step.Build == nil || !step.Build.Current) {
		t.Pace = pace
	}
	if t == (report.Trend{}) {
		return nil
	}
	return &t
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

// CurrentSteps returns the names of the suite's steps as of its last run: those of the last run of the whole
// suite, and of the partial runs since.
func (h *History) CurrentSteps() []string {
	var names []string
	seen := map[string]bool{}
	for i := range h.Runs {
		for j := range h.Runs[i].Steps {
			if name := h.Runs[i].Steps[j].Name; !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
		if !h.Runs[i].Partial {
			break
		}
	}
	return names
}

// NotPassed reports whether the step did not pass in the last run that had it.
func (h *History) NotPassed(step string) bool {
	past, ok := h.steps[step]
	return ok && past.last != report.Passed
}

// MatchingSteps returns the steps that match pattern: the name of a step or a test, or a glob over either. An
// empty pattern matches the current steps. The error wraps ErrNoRun if no run had such a step.
func (h *History) MatchingSteps(pattern string) ([]string, error) {
	if pattern == "" {
		return h.CurrentSteps(), nil
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("find the steps %q: %w", pattern, err)
	}
	var names []string
	for name := range h.steps {
		if matches(pattern, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, hint.Errorf("runtests history lists all steps", "find the history of %q: %w: none had such a step", pattern, ErrNoRun)
	}
	return names, nil
}

// matches reports whether pattern is the name of the step or of its test, or a glob over either.
func matches(pattern, step string) bool {
	test, _, _ := strings.Cut(step, "@")
	for _, name := range []string{step, test} {
		if matched, _ := path.Match(pattern, name); matched || pattern == name {
			return true
		}
	}
	return false
}

// Ended returns the outcome of a step of the run. If the run has ended and the step has not, the step
// was interrupted.
func (p *PastRun) Ended(step *PastStep) report.Outcome {
	if step.Outcome == "" && !p.Running {
		return report.Interrupted
	}
	return step.Outcome
}

// StepHistory is the history of one step.
type StepHistory struct {
	Failing       *Streak         // nil: the step does not fail
	LastFailed    time.Time       // the launch of the run in which the step last failed; zero: it never did
	PassDurations []time.Duration // the durations of its last passes, the newest first
}

// Step returns the history of the step of that name, or the zero value if there is none.
func (h *History) Step(name string) StepHistory {
	past := h.steps[name]
	if past == nil {
		return StepHistory{}
	}
	s := StepHistory{LastFailed: past.failed, PassDurations: past.passes}
	if past.failing {
		s.Failing = &past.streak
	}
	return s
}
