package history

import (
	"errors"
	"path/filepath"
	"slices"
	"time"

	"runtests/pkg/report"
)

// LastPass is the last pass of a step, according to the record of its run.
type LastPass struct {
	Run     string    // the ID of the run
	Started time.Time // the launch of the run
	ImageID string    // the image that the step passed on; empty: not known
	Commit  string    // the git commit of its directory; empty: it was in no git work tree
	Dirty   bool      // the directory had uncommitted changes
}

// LastPasses returns the last pass of each of the steps in the runs of h, by name. A step that never
// passed has none. The error is about records that cannot be read any more; Passes also returns what
// it found in the others.
func (h *History) LastPasses(logs string, steps []string) (map[string]LastPass, error) {
	if h == nil {
		return nil, errors.New("the earlier runs cannot be read")
	}
	wanted := map[string]map[string]bool{} // the steps to find, by run
	for _, name := range steps {
		if past, ok := h.steps[name]; ok && past.passed != "" {
			if wanted[past.passed] == nil {
				wanted[past.passed] = map[string]bool{}
			}
			wanted[past.passed][name] = true
		}
	}
	passes := map[string]LastPass{}
	var errs []error
	for id, names := range wanted {
		run, err := readRun(filepath.Join(logs, id, RecordFile))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for i := range run.Steps {
			if step := &run.Steps[i]; names[step.Name] && step.Outcome == report.Passed {
				passes[step.Name] = LastPass{Run: id, Started: run.Started, ImageID: step.ImageID, Commit: step.Commit, Dirty: step.Dirty}
			}
		}
	}
	return passes, errors.Join(errs...)
}

// LastPassedImages returns the IDs of the images that the tests of the suite last passed on, as far as the
// run folders record them: a diagnosis needs them. run is a run that has ended and is not in h, or
// nil. An error means that some of the images are not known.
func (h *History) LastPassedImages(logs string, run *report.Run) (map[string]bool, error) {
	images := map[string]bool{}
	seen := map[string]bool{}
	var earlier []string // tests whose last pass is in an earlier run
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
	passes, err := h.LastPasses(logs, earlier)
	for _, pass := range passes {
		images[pass.ImageID] = true
	}
	return images, err
}

// currentTests returns the names of the suite's tests as of its last run, without those seen.
func (h *History) currentTests(seen map[string]bool) []string {
	if h == nil {
		return nil
	}
	noTest := map[string]bool{}
	for i := range h.Runs {
		for j := range h.Runs[i].Steps {
			if step := &h.Runs[i].Steps[j]; step.Kind == report.Image || step.Kind == report.Deploy {
				noTest[step.Name] = true
			}
		}
	}
	return slices.DeleteFunc(h.CurrentSteps(), func(name string) bool { return seen[name] || noTest[name] })
}
