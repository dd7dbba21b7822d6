package render

import (
	"errors"
	"fmt"
	"io"

	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// The bounds of log pages.
const (
	maxLogPages     = 50        // pages in a run; new failures come first
	maxLogPageLines = 1000      // lines from the end of a log
	maxLogPageBytes = 512 << 10 // bytes of these lines; the page shows those nearest to the end
)

// logView is the end of a log in words, cleaned.
type logView struct {
	stepView
	When  string // of the run
	Title string // "the last 1,000 of 18,204 lines"
	Size  string // of the log
	Lines []numberedLine
}

type numberedLine struct {
	Number int64
	lineView
}

// WriteLogPages writes a page for each step of r that did not pass and has more log lines than the
// report shows. It masks secrets, and sets the step's Log.Page.
func WriteLogPages(f *history.Folder, r *report.Run, mask plain.Mask) error {
	var steps []int
	for i := range r.Steps {
		step := &r.Steps[i]
		if step.Outcome != report.Passed && step.Log.File != "" && int64(len(step.Log.Tail.Lines)) < step.Log.Lines {
			steps = append(steps, i)
		}
	}
	r.SortByUrgency(steps)
	var errs []error
	for _, i := range steps[:min(len(steps), maxLogPages)] {
		if err := writeLogPage(f, r, i, mask); err != nil {
			errs = append(errs, fmt.Errorf("write the log page of %s: %w", r.Steps[i].Name, err))
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

// endOf returns the end of a log of the folder, and the size of the log in bytes.
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
		stepView: newStepView(r, step),
		When:     r.Started.Format(report.TimeLayout),
		Title:    fmt.Sprintf("the last %s of %s lines", report.Thousands(int64(len(tail.Lines))), report.Thousands(step.Log.Lines)),
		Size:     report.Size(size),
	}
	v.Anchor = anchor(i)
	first := step.Log.Lines - int64(len(tail.Lines)) + 1
	for i, line := range newLines(tail) {
		v.Lines = append(v.Lines, numberedLine{first + int64(i), line})
	}
	return v
}
