package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"runtests/pkg/report"
)

// History holds the past runs of a suite, the newest first, as their records have them.
type History struct {
	Runs   []PastRun
	Errors []error // one for each run whose record cannot be read; Runs lacks it

	steps map[string]*StepHistory // by the step's name
}

// PastRun is a past run: the part of its record that the history needs.
type PastRun struct {
	ID       string     `json:"-"`
	Started  time.Time  `json:"started"`
	Finished time.Time  `json:"finished"` // zero: the run is going on, or was cut off
	Running  bool       `json:"-"`        // the run is going on
	Partial  bool       `json:"partial"`
	Steps    []PastStep `json:"steps"` // in the order of the record
}

// PastStep is a step of a past run.
type PastStep struct {
	Name     string          `json:"name"`
	Kind     report.Kind     `json:"kind"`
	Outcome  report.Outcome  `json:"outcome"`          // empty: the step did not come to its end
	Duration report.Duration `json:"duration_seconds"` // 0 for an image that was current
	Failing  *Streak         `json:"trend"`            // nil: the step did not fail, or the record does not say since when
	Build    struct {
		Current bool `json:"current"`
	} `json:"build"`
}

// Streak is how long a step has failed: the part of report.Trend that the history needs.
type Streak struct {
	Since     time.Time `json:"since,omitzero"`
	Runs      int       `json:"runs,omitempty"`
	Announced string    `json:"announced,omitempty"`
}

// Title returns the step's name as a report shows it: see report.Result.Title.
func (s *PastStep) Title() string { return s.Kind.Title(s.Name) }

// Counts returns how many steps passed and how many did not: see report.Run.Counts.
func (p *PastRun) Counts() (success, failures int) {
	for i := range p.Steps {
		if p.Steps[i].Outcome == report.Passed {
			success++
		}
	}
	return success, len(p.Steps) - success
}

// ReadHistory reads the runs in the folder logs that were launched before the run of that ID, or all
// of them if it is empty. A folder that does not exist has no runs.
func ReadHistory(logs, before string) (*History, error) {
	ids, err := listBefore(logs, before)
	if err != nil {
		return nil, err
	}
	h := new(History)
	runs, errs := readPasts(logs, ids)
	for i, err := range errs {
		switch {
		case errors.Is(err, ErrNoRun): // cut off before its first record, or not a run
		case err != nil:
			h.Errors = append(h.Errors, fmt.Errorf("read the record of the run %s: %w", ids[i], err))
		default:
			h.Runs = append(h.Runs, runs[i])
		}
	}
	h.summarize()
	return h, nil
}

// readPasts reads the records of the runs ids, several at a time: a year of large records takes
// seconds. It returns a run or an error for each.
func readPasts(logs string, ids []string) ([]PastRun, []error) {
	runs, errs := make([]PastRun, len(ids)), make([]error, len(ids))
	free := make(chan struct{}, min(runtime.GOMAXPROCS(0), 4)) // more readers would only hold more records in memory
	var group sync.WaitGroup
	for i, id := range ids {
		free <- struct{}{}
		group.Go(func() {
			runs[i], errs[i] = readPast(filepath.Join(logs, id))
			<-free
		})
	}
	group.Wait()
	return runs, errs
}

// readPast reads the record in a run's folder.
func readPast(folder string) (PastRun, error) {
	data, err := readRecord(filepath.Join(folder, RecordFile))
	if err != nil {
		return PastRun{}, err
	}
	var record struct {
		Version int `json:"version"`
		PastRun
	}
	// A later version may have other types, so the version is checked before the error.
	err = json.Unmarshal(data, &record)
	if err := report.CheckVersion(record.Version, err, len(data)); err != nil {
		return PastRun{}, err
	}
	past := record.PastRun
	past.ID = filepath.Base(folder)
	if past.Finished.IsZero() {
		past.Running, _ = Alive(folder) // on error, assume that the run has ended
	}
	for i := range past.Steps {
		step := &past.Steps[i]
		if step.Failing != nil && (step.Failing.Since.IsZero() || step.Outcome == report.Passed) {
			step.Failing = nil
		}
		if step.Build.Current {
			step.Duration = 0
		}
	}
	return past, nil
}
