package history

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"runtests/pkg/report"
)

// maxCutOff bounds the notes about runs that were cut off in one report.
const maxCutOff = 10

// CutOffNotes returns a sentence about each run that was cut off before the run id, the oldest
// first. It stops at the last run that came to its end: that run has reported the earlier ones.
func CutOffNotes(logs, id string) ([]string, error) {
	ids, err := listBefore(logs, id)
	if err != nil {
		return nil, err
	}
	var notes []string
	for _, other := range ids {
		note, ended := cutOffNote(filepath.Join(logs, other), other)
		if ended || len(notes) == maxCutOff {
			break
		}
		if note != "" {
			notes = append([]string{note}, notes...)
		}
	}
	return notes, nil
}

// cutOffNote returns the sentence about a run that was cut off, "" for one that is still going on,
// and whether the run came to its end.
func cutOffNote(folder, id string) (note string, ended bool) {
	run, err := OpenFolder(folder)
	switch {
	case err == nil && !run.Finished.IsZero():
		return "", true
	case err == nil && run.Running:
		return "", false
	case err == nil:
		return "the run of " + run.Started.Format(report.TimeLayout) + " was cut off " + progress(run), false
	case errors.Is(err, ErrNoRun) && !hasRunFiles(folder): // not a folder of runtests
		return "", false
	case errors.Is(err, ErrNoRun):
		if alive, err := Alive(folder); alive || err != nil {
			return "", false
		}
		return "the run of " + report.LaunchText(id) + " was cut off before its first step", false
	}
	return fmt.Sprintf("it is not known how the run of %s ended: %v", report.LaunchText(id), err), false
}

// progress returns how far a run had got: "during ecs@debian; 3 steps had passed".
func progress(r *report.Run) string {
	var during []string
	passed, failed := 0, 0
	for i := range r.Steps {
		switch step := &r.Steps[i]; {
		case step.Outcome == report.Passed:
			passed++
		case step.Outcome != "":
			failed++
		case !step.Started.IsZero():
			during = append(during, step.Title())
		}
	}
	text := "between two steps"
	switch {
	case len(during) > 0:
		text = "during " + firstNames(during)
	case passed+failed == 0:
		text = "before its first step"
	case passed+failed == len(r.Steps):
		text = "after its last step"
	}
	text += "; " + report.Count(int64(passed), "step") + " had passed"
	if failed > 0 {
		text += ", " + report.Thousands(int64(failed)) + " had not"
	}
	return text
}

// firstNames lists the first five names and counts the others.
func firstNames(names []string) string {
	const few = 5
	if len(names) > few {
		return fmt.Sprintf("%s and %d others", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}
