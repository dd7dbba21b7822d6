package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"runtests/pkg/hint"
	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/regular"
	"runtests/pkg/report"
)

// indexPage is the page of the runs in a suite's logs folder.
const indexPage = "index.html"

// indexView is the page of the runs in words, cleaned.
type indexView struct {
	runView // the latest run

	Latest string // a link to its report
	Logs   string // the logs folder

	Failing   int
	Cards     []cardView
	More      []moreView
	MoreTitle string

	RunsTitle string
	Legend    []cellView
	Columns   []columnView
	Rows      []rowView
	Others    string // how many steps have no row
}

// WriteRunsPage atomically writes the page of the runs, index.html, into the folder logs. ended is the run
// that has just ended. WriteRunsPage fails if a file of that name is not such a page.
func WriteRunsPage(logs string, h *history.History, ended *report.Run) error {
	if err := checkReplaceable(filepath.Join(logs, indexPage)); err != nil {
		return fmt.Errorf("write the page of the runs: %w", err)
	}
	var page bytes.Buffer
	if err := RunsPage(&page, logs, h, ended); err != nil {
		return err
	}
	if err := history.ReplaceFile(logs, indexPage, page.Bytes()); err != nil {
		return fmt.Errorf("write the page of the runs: %w", err)
	}
	return nil
}

// RunsPage writes the page of the runs of h, which are in the folder logs. latest saves reading the
// newest run; it may be nil or another run.
func RunsPage(w io.Writer, logs string, h *history.History, latest *report.Run) error {
	if len(h.Runs) == 0 {
		return fmt.Errorf("write the page of the runs: %w", history.ErrNoRun)
	}
	if latest == nil || latest.ID != h.Runs[0].ID {
		var err error
		if latest, err = history.OpenFolder(filepath.Join(logs, h.Runs[0].ID)); err != nil {
			return fmt.Errorf("write the page of the runs: %w", err)
		}
	}
	v := newIndexView(logs, h, latest)
	if err := templates().ExecuteTemplate(w, indexPage, v); err != nil {
		return fmt.Errorf("write the page of the runs: %w", err)
	}
	return nil
}

func newIndexView(logs string, h *history.History, latest *report.Run) indexView {
	v := indexView{
		runView: newRunView(latest),
		Latest:  runLink(&h.Runs[0]),
		Logs:    plain.Clean(logs),
		Legend:  legend(),
	}
	rows := h.Rows(h.CurrentSteps(), maxColumns)
	v.addFailures(logs, map[*history.PastRun]*report.Run{&h.Runs[0]: latest}, history.FailingNow(rows))
	v.addGrid(h, rows)
	return v
}

func runLink(run *history.PastRun) string { return "./" + run.ID + "/" + history.HTMLFile }

func stepLink(e history.Entry) string { return runLink(e.Run) + "#" + anchor(e.Index) }

// pageMark is in the head of each page of runtests.
const pageMark = `<meta name="generator" content="runtests">`

// checkReplaceable returns an error unless the file is missing or a page of runtests.
func checkReplaceable(path string) error {
	file, err := regular.OpenNoFollow(path)
	foreign := hint.Errorf("move it away: runtests writes a page of that name", "%s: not a page of runtests", path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case errors.Is(err, regular.ErrNot), errors.Is(err, syscall.ELOOP):
		return foreign
	case err != nil:
		return err
	}
	defer file.Close()
	head, err := io.ReadAll(io.LimitReader(file, 2<<10))
	if err != nil {
		return err
	}
	if !bytes.Contains(head, []byte(pageMark)) {
		return foreign
	}
	return nil
}
