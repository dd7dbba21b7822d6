package history

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"runtests/pkg/hint"
	"runtests/pkg/report"
)

// History is what the runs of a suite were, the newest first. It is read from their records.
type History struct {
	Runs   []Past
	Faults []error // of the runs that are not among Runs because their records cannot be read

	steps map[string]*stepPast
}

// Past is a run as the history has it.
type Past struct {
	ID       string
	Started  time.Time
	Finished time.Time // zero: it is going on, or was cut off
	Running  bool      // it is going on
	Partial  bool
	Steps    []PastStep // in the order of its record
}

// PastStep is a step of a run as the history has it.
type PastStep struct {
	Name     string
	Kind     report.Kind
	Outcome  report.Outcome  // empty: it did not come to its end
	Duration report.Duration // 0 of an image that was current: nothing was done
	Failing  *Failing        // nil: nothing is known of a failure
}

// Failing is how long a failure has lasted, as the record of a run says it.
type Failing struct {
	Since     time.Time `json:"since,omitzero"`
	Runs      int       `json:"runs,omitempty"`
	Announced string    `json:"announced,omitempty"`
}

// ReadHistory reads the history of the runs in the folder logs that were launched
// before the run of that ID; all of them when it is empty. A folder that does not
// exist has no history.
func ReadHistory(logs, before string) (*History, error) {
	ids, err := List(logs)
	if err != nil {
		return nil, err
	}
	if before != "" {
		ids = slices.DeleteFunc(ids, func(id string) bool { return report.CompareIDs(id, before) >= 0 })
	}
	h := new(History)
	for _, read := range readPasts(logs, ids) {
		switch {
		case errors.Is(read.err, ErrNoRun): // cut off before its first record, or somebody else's
		case read.err != nil:
			h.Faults = append(h.Faults, read.err)
		default:
			h.Runs = append(h.Runs, read.past)
		}
	}
	h.sum()
	return h, nil
}

// pastRead is the result of reading one run.
type pastRead struct {
	past Past
	err  error
}

// readPasts reads the records of the runs ids. It reads several at a time: a year of large
// records takes seconds.
func readPasts(logs string, ids []string) []pastRead {
	reads := make([]pastRead, len(ids))
	free := make(chan struct{}, min(runtime.GOMAXPROCS(0), 4)) // more would only hold more records in memory
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
		past.Running, _ = Alive(filepath.Join(logs, id)) // if nobody knows, it is over
	}
	return pastRead{past: past}
}

// pastRecord is what of a record the history needs.
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
		Trend    *Failing        `json:"trend"`
		Build    struct {
			Current bool `json:"current"`
		} `json:"build"`
	} `json:"steps"`
}

func readPastRecord(path string) (Past, error) {
	data, err := readRecord(path)
	if err != nil {
		return Past{}, err
	}
	var record pastRecord
	// A later version may have other types: what it is then is for CheckVersion to say.
	err = json.Unmarshal(data, &record)
	if versionErr := report.CheckVersion(record.Version, err, len(data)); versionErr != nil {
		return Past{}, versionErr
	}
	past := Past{Started: record.Started, Finished: record.Finished, Partial: record.Partial, Steps: make([]PastStep, len(record.Steps))}
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

// stepPast is what the history says of one step.
type stepPast struct {
	last   report.Outcome // how it ended when it was last to run
	passes []time.Duration
	passed string    // the ID of the run in which it last passed
	failed time.Time // the launch of the run in which it last failed

	decided bool // it ended with an outcome that proves something
	failing bool // and the last such outcome was a failure,
	streak  Failing
	open    bool // whose first run has not been found yet
}

// sum finds out what the runs say of each step.
func (h *History) sum() {
	h.steps = map[string]*stepPast{}
	for i := range h.Runs {
		run := &h.Runs[i]
		for j := range run.Steps {
			step := &run.Steps[j]
			past, ok := h.steps[step.Name]
			if !ok {
				past = &stepPast{last: cmp.Or(step.Outcome, report.Interrupted)}
				h.steps[step.Name] = past
			}
			past.add(run, step)
		}
	}
}

// add takes what an earlier run than all before says.
func (p *stepPast) add(run *Past, step *PastStep) {
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
	if told := step.Failing; told != nil {
		// The record knows the runs before it, also those whose folders are gone by now.
		p.streak.Runs += max(told.Runs-1, 0)
		p.streak.Since = told.Since
		p.streak.Announced = told.Announced
		p.open = false
	}
}

// Judge says in step.Trend how it compares with the runs of h, which are those before
// run. A step that has not ended has no trend, and without a History nothing has.
func (h *History) Judge(run *report.Run, step *report.Result) {
	if h == nil || step.Outcome == "" {
		return
	}
	past := h.steps[step.Name]
	step.Trend = past.trend(run, step, len(h.Runs) > 0)
}

// trend compares step with its past, which is nil when there is none; known says that
// there were runs that could have had it.
func (p *stepPast) trend(run *report.Run, step *report.Result, known bool) *report.Trend {
	if p == nil {
		p = new(stepPast)
	}
	t := report.Trend{Was: p.last, Passed: p.passed}
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
	case step.Outcome == report.Interrupted && p.failing: // it proves nothing, and the failure goes on
		t.Since, t.Runs, t.Announced = p.streak.Since, p.streak.Runs, p.streak.Announced
	}
	if p.last == "" && known && step.Outcome.Proves() {
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

// Conclude says how run, which has ended, compares with the runs of h, which are those
// before it: the trend of each step, and the steps that are gone.
func (h *History) Conclude(run *report.Run) {
	for i := range run.Steps {
		h.Judge(run, &run.Steps[i])
	}
	if run.Partial || h == nil {
		return
	}
	there := map[string]bool{}
	for i := range run.Steps {
		there[run.Steps[i].Name] = true
	}
	for _, name := range h.Current() {
		if !there[name] {
			run.Gone = append(run.Gone, name)
		}
	}
}

// Current returns the names of the steps that the suite had when it was last run: those of
// the last run of all of it, and of the parts of it that were run since.
func (h *History) Current() []string {
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

// NotPassed says whether the step did not pass when it was last to run.
func (h *History) NotPassed(step string) bool {
	past, ok := h.steps[step]
	return ok && past.last != report.Passed
}

// Named returns the names of the steps that pattern names: the name of a step or of a test, or a
// glob over either; an empty one names the current steps. The error wraps ErrNoRun if no run
// has had such a step.
func (h *History) Named(pattern string) ([]string, error) {
	if pattern == "" {
		return h.Current(), nil
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("find the steps %q: %w", pattern, err)
	}
	var names []string
	for name := range h.steps {
		if means(pattern, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, hint.Wrap(fmt.Errorf("find the history of %q: %w: none had such a step", pattern, ErrNoRun), "runtests history lists all steps")
	}
	return names, nil
}

// means says whether pattern names the step: by its name, by its test's, or as a glob over either.
func means(pattern, step string) bool {
	test, _, _ := strings.Cut(step, "@")
	for _, name := range []string{step, test} {
		if matched, _ := path.Match(pattern, name); matched || pattern == name {
			return true
		}
	}
	return false
}

// Ended returns the outcome of a step of the run. A step without one, in a run that is over, was
// interrupted with it.
func (p *Past) Ended(step *PastStep) report.Outcome {
	if step.Outcome == "" && !p.Running {
		return report.Interrupted
	}
	return step.Outcome
}

// StepHistory is what the history says of one step.
type StepHistory struct {
	Failing    *Failing        // nil: it does not fail
	LastFailed time.Time       // the launch of the run in which it last failed; zero: never
	Passes     []time.Duration // how long its last passes took, the newest first
}

// Step returns what the history says of the step of that name: the zero value if it has none.
func (h *History) Step(name string) StepHistory {
	past := h.steps[name]
	if past == nil {
		return StepHistory{}
	}
	s := StepHistory{LastFailed: past.failed, Passes: past.passes}
	if past.failing {
		s.Failing = &past.streak
	}
	return s
}
