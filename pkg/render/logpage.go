package render

import (
	"errors"
	"fmt"
	"io"

	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// What is shown of logs beside the tails of the report.
const (
	maxLogPages     = 50        // pages in a run: those of the failures that are new come first
	maxLogPageLines = 1000      // lines of a log's end
	maxLogPageBytes = 512 << 10 // bytes of them; the lines nearest to the end are shown
)

// logView is the end of a log in a person's words, cleaned.
type logView struct {
	Step, When, Outcome, Reason string

	Anchor string // of the step in the run's report
	Title  string // "the last 1,000 of 18,204 lines"
	Whole  string // link to the log
	Size   string // of it
	Lines  []numberedLine
}

type numberedLine struct {
	Number int64
	lineView
}

// WriteLogPages writes, for the steps of r that did not pass, a page with more of the
// end of the log than the report has, where there is more, and names it in their Log.
// It shows what mask lets through.
func WriteLogPages(f *history.Folder, r *report.Run, mask plain.Mask) error {
	var steps []int
	for i := range r.Steps {
		step := &r.Steps[i]
		if step.Outcome != report.Passed && step.Log.File != "" && int64(len(step.Log.Tail.Lines)) < step.Log.Lines {
			steps = append(steps, i)
		}
	}
	byUrgency(r, steps)
	var errs []error
	for _, i := range steps[:min(len(steps), maxLogPages)] {
		if err := writeLogPage(f, r, i, mask); err != nil {
			errs = append(errs, fmt.Errorf("show the log of %s: %w", r.Steps[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

func writeLogPage(f *history.Folder, r *report.Run, i int, mask plain.Mask) error {
	step := &r.Steps[i]
	tail, size, err := endOf(f, step.Log.File)
	if err != nil {
		return err
	}
	tail = mask.Tail(tail)
	v := newLogView(r, i, tail, size)
	page := step.Log.File + ".html"
	err = f.Replace(page, func(w io.Writer) error {
		return templates().ExecuteTemplate(w, "log.html", v)
	})
	if err != nil {
		return err
	}
	step.Log.Page = page
	return nil
}

// endOf reads the end of a log of the folder, and how many bytes it has.
func endOf(f *history.Folder, log string) (plain.Tail, int64, error) {
	file, err := f.OpenLog(log)
	if err != nil {
		return plain.Tail{}, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return plain.Tail{}, 0, err
	}
	tail, err := plain.ReadTail(file, info.Size(), maxLogPageLines)
	return tail.LastBytes(maxLogPageBytes), info.Size(), err
}

func newLogView(r *report.Run, i int, tail plain.Tail, size int64) logView {
	step := &r.Steps[i]
	v := logView{
		Step:    step.Title(),
		When:    r.Started.Format(report.TimeLayout),
		Outcome: plain.Clean(string(outcome(r, step))),
		Reason:  reason(r, step),
		Anchor:  anchor(i),
		Title:   fmt.Sprintf("the last %s of %s lines", report.Thousands(int64(len(tail.Lines))), report.Thousands(step.Log.Lines)),
		Whole:   relative(step.Log.File),
		Size:    report.Size(size),
	}
	first := step.Log.Lines - int64(len(tail.Lines)) + 1
	for i, line := range tail.Lines {
		v.Lines = append(v.Lines, numberedLine{first + int64(i), lineView{cutMark(tail.Cut[i]), plain.Clean(line)}})
	}
	return v
}
