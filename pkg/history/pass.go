package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"runtests/pkg/report"
)

// Pass is the last pass of a step, as the record of its run tells it.
type Pass struct {
	Run     string    // the ID of the run
	Started time.Time // its launch
	ImageID string    // the image it passed on; empty: not known
	Commit  string    // the one its directory was at; empty: in no git work tree
	Dirty   bool      // there was more in the directory than in Commit
}

// Passes returns, by name, the last passes of steps in the runs of h. A step that never
// passed has none. The error tells of records that cannot be read any more; what the
// others say is returned with it.
func (h *History) Passes(logs string, steps []string) (map[string]Pass, error) {
	if h == nil {
		return nil, errors.New("the runs before cannot be read")
	}
	runs := map[string]map[string]bool{} // the steps that are looked for, by run
	for _, name := range steps {
		if past, ok := h.steps[name]; ok && past.passed != "" {
			if runs[past.passed] == nil {
				runs[past.passed] = map[string]bool{}
			}
			runs[past.passed][name] = true
		}
	}
	passes := map[string]Pass{}
	var errs []error
	for run, wanted := range runs {
		if err := readPasses(logs, run, wanted, passes); err != nil {
			errs = append(errs, fmt.Errorf("read the record of the run %s: %w", run, err))
		}
	}
	return passes, errors.Join(errs...)
}

// passRecord is what of a record a Pass needs.
type passRecord struct {
	Started time.Time `json:"started"`
	Steps   []struct {
		Name    string         `json:"name"`
		Outcome report.Outcome `json:"outcome"`
		ImageID string         `json:"image_id"`
		Commit  string         `json:"commit"`
		Dirty   bool           `json:"dirty"`
	} `json:"steps"`
}

// readPasses adds to passes those of the wanted steps in a run.
func readPasses(logs, run string, wanted map[string]bool, passes map[string]Pass) error {
	data, err := readRecord(filepath.Join(logs, run, RecordFile))
	if err != nil {
		return err
	}
	var record passRecord
	if err := json.Unmarshal(data, &record); err != nil {
		return err
	}
	for _, step := range record.Steps {
		if wanted[step.Name] && step.Outcome == report.Passed {
			passes[step.Name] = Pass{Run: run, Started: record.Started, ImageID: step.ImageID, Commit: step.Commit, Dirty: step.Dirty}
		}
	}
	return nil
}

// LastPassedOn returns the IDs of the images on which the tests of the suite last passed,
// as far as the run folders tell: they are needed to find out why one fails, or to see it.
// run is one that has ended and is not among those of h; nil: there is none. An error says
// that some of them are not known.
func (h *History) LastPassedOn(logs string, run *report.Run) (map[string]bool, error) {
	images := map[string]bool{}
	seen := map[string]bool{}
	var earlier []string
	if run != nil {
		for i := range run.Steps {
			step := &run.Steps[i]
			switch {
			case step.Kind != report.Test:
				continue
			case step.Outcome == report.Passed && step.ImageID != "":
				images[step.ImageID] = true
			default:
				earlier = append(earlier, step.Name)
			}
			seen[step.Name] = true
		}
	}
	if run == nil || run.Partial {
		earlier = append(earlier, h.currentTests(seen)...)
	}
	passes, err := h.Passes(logs, earlier)
	for _, pass := range passes {
		images[pass.ImageID] = true
	}
	return images, err
}

// currentTests are the names of the tests that the suite had when it was last run, but
// for those seen.
func (h *History) currentTests(seen map[string]bool) []string {
	if h == nil {
		return nil
	}
	others := map[string]bool{}
	for i := range h.Runs {
		for j := range h.Runs[i].Steps {
			step := &h.Runs[i].Steps[j]
			others[step.Name] = others[step.Name] || step.Kind == report.Image || step.Kind == report.Deploy
		}
	}
	var names []string
	for _, name := range h.Current() {
		if !seen[name] && !others[name] {
			names = append(names, name)
		}
	}
	return names
}
