package runner

import (
	"fmt"
	"slices"
	"sync"

	"runtests/pkg/history"
	"runtests/pkg/report"
)

// record is the record of the run, in memory and on disk.
type record struct {
	folder *history.Folder
	saver  saver // of save

	mu  sync.Mutex // guards run
	run *report.Run
}

// set sets the result of a step, and requests a save.
func (r *record) set(index int, result report.Result) *saving {
	r.mu.Lock()
	r.run.Steps[index] = result
	r.mu.Unlock()
	return r.saver.request()
}

// step returns the result of a step so far.
func (r *record) step(index int) report.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.run.Steps[index]
}

// note adds a sentence to the report of the run.
func (r *record) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.Notes = append(r.run.Notes, fmt.Sprintf(format, args...))
}

// interruptRest marks the steps that never started because of cause.
func (r *record) interruptRest(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.run.Steps {
		if result := &r.run.Steps[i]; result.Outcome == "" {
			result.Outcome, result.Reason = report.Interrupted, notStarted(cause)
		}
	}
}

// save writes the record to disk.
func (r *record) save() error {
	r.mu.Lock()
	snapshot := *r.run
	snapshot.Steps = slices.Clone(r.run.Steps)
	r.mu.Unlock()
	if err := r.folder.Save(&snapshot); err != nil {
		return fmt.Errorf("save the record of the run: %w", err)
	}
	return nil
}
