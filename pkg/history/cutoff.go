package history

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"runtests/pkg/report"
)

// maxCutOff bounds how many runs that were cut off one report tells of.
const maxCutOff = 10

// CutOffNotes are sentences about the runs before the run id that were cut off, the
// oldest first: all since the last one that came to its end, so that each is told of
// by the first run after it that does.
func CutOffNotes(logs, id string) ([]string, error) {
	ids, err := List(logs)
	if err != nil {
		return nil, err
	}
	var notes []string
	for _, other := range ids {
		if report.CompareIDs(other, id) >= 0 {
			continue
		}
		note, over := cutOffNote(filepath.Join(logs, other), other)
		if over || len(notes) == maxCutOff {
			break
		}
		if note != "" {
			notes = append([]string{note}, notes...)
		}
	}
	return notes, nil
}

// cutOffNote is the sentence about a run, empty when it is still going on; over says
// that it came to its end.
func cutOffNote(folder, id string) (note string, over bool) {
	run, err := OpenFolder(folder)
	switch {
	case err == nil && !run.Finished.IsZero():
		return "", true
	case err == nil && run.Running:
		return "", false
	case err == nil:
		return "the run of " + run.Started.Format(report.TimeLayout) + " was cut off " + progress(run), false
	case errors.Is(err, ErrNoRun) && !ours(folder): // a folder of somebody else
		return "", false
	case errors.Is(err, ErrNoRun):
		if alive, err := Alive(folder); alive || err != nil {
			return "", false
		}
		return "the run of " + report.LaunchText(id) + " was cut off before its first step", false
	}
	return fmt.Sprintf("it is not known how the run of %s ended: %v", report.LaunchText(id), err), false
}

// progress says how far a run had got: "during ecs@debian; 3 steps had passed".
func progress(r *report.Run) string {
	var during []string
	for i := range r.Steps {
		if step := &r.Steps[i]; step.Outcome == "" && !step.Started.IsZero() {
			during = append(during, step.Title())
		}
	}
	passed, ended := 0, 0
	for i := range r.Steps {
		switch r.Steps[i].Outcome {
		case "":
		case report.Passed:
			passed++
		default:
			ended++
		}
	}
	text := "between two steps"
	switch {
	case len(during) > 0:
		text = "during " + fewNames(during)
	case passed+ended == 0:
		text = "before its first step"
	case passed+ended == len(r.Steps):
		text = "after its last step"
	}
	text += "; " + report.Count(int64(passed), "step") + " had passed"
	if ended > 0 {
		text += ", " + report.Thousands(int64(ended)) + " had not"
	}
	return text
}

// fewNames lists the first names, and counts the others.
func fewNames(names []string) string {
	const few = 5
	if len(names) > few {
		return fmt.Sprintf("%s and %d others", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}
