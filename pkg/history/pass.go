package history

import (
	"errors"
	"path/filepath"
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

	// Untrusted means that code under test could write the repository: Commit and Dirty are its word.
	Untrusted bool
}

// LastPasses returns the last pass of each of the steps in the runs of h, by name. A step that never
// passed has none. The error is about records that cannot be read any more; LastPasses also returns what
// it found in the others.
func (h *History) LastPasses(logs string, steps []string) (map[string]LastPass, error) {
	if h == nil {
		return nil, errors.New("the earlier runs cannot be read")
	}
	wanted, runs := map[string]bool{}, map[string]bool{}
	for _, name := range steps {
		if id := h.Step(name).LastPassed; id != "" {
			wanted[name], runs[id] = true, true
		}
	}
	passes := map[string]LastPass{}
	var errs []error
	for id := range runs {
		run, err := readRun(filepath.Join(logs, id, RecordFile))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for i := range run.Steps {
			if step := &run.Steps[i]; step.Outcome == report.Passed && wanted[step.Name] && h.Step(step.Name).LastPassed == id {
				passes[step.Name] = LastPass{Run: id, Started: run.Started, ImageID: step.ImageID, Commit: step.Commit, Dirty: step.Dirty, Untrusted: step.Untrusted}
			}
		}
	}
	return passes, errors.Join(errs...)
}

// LastPassedImages returns the IDs of the images that the tests of the suite last passed on, as far as the
// run folders record them: a diagnosis needs them. run is a run that has ended and is not in h, or
// nil. An error means that some of the images are not known.
func (h *History) LastPassedImages(logs string, run *report.Run) (map[string]bool, error) {
	if run == nil {
		run = &report.Run{Partial: true}
	}
	images := map[string]bool{}
	seen := map[string]bool{}
	var earlier []string // tests whose last pass is in an earlier run
	for i := range run.Steps {
		step := &run.Steps[i]
		switch {
		case step.Kind != report.KindTest:
			continue
		case step.Outcome == report.Passed && step.ImageID != "":
			images[step.ImageID] = true
		default:
			earlier = append(earlier, step.Name)
		}
		seen[step.Name] = true
	}
	if run.Partial && h != nil {
		for _, row := range h.Rows(h.CurrentSteps(), 0) {
			if step := row.Last.Step(); step.Kind != report.KindImage && step.Kind != report.KindDeploy && !seen[step.Name] {
				earlier = append(earlier, step.Name)
			}
		}
	}
	passes, err := h.LastPasses(logs, earlier)
	for _, pass := range passes {
		images[pass.ImageID] = true
	}
	return images, err
}
