package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"runtests/pkg/hint"
	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/regular"
	"runtests/pkg/report"
)

// indexPage is the page of the runs in a suite's logs folder.
const indexPage = "index.html"

// The bounds of the page of the runs. The page says how much it leaves out.
const (
	maxColumns   = 30  // runs
	maxRows      = 200 // steps; failures come first
	maxCards     = 12  // current failures with details
	maxOpenCards = 3   // cards with an open tail
	maxCardLines = 12  // lines of a tail
	maxCardLine  = 300 // bytes from the end of such a line
	maxOpened    = 10  // records that are read for the current failures
)

// indexView is the page of the runs in words, cleaned.
type indexView struct {
	Suite, Subject, Changes, Headline, Program string

	Latest    string // a link to the report of the latest run
	Logs      string // the logs folder
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

// cardView is a current failure.
type cardView struct {
	stepView
	Report  string // a link to the step in the run's report
	Caption string // "The last 12 lines"
	Open    bool   // the tail is open
}

// moreView is a current failure without a card.
type moreView struct{ Outcome, Name, Reason, Link string }

type columnView struct {
	Link  string // to the run's report
	Title string
	Day   string
	Month string // "Nov", in the first column of the month
}

type rowView struct {
	Name, On string // "ecs" and "@debian"; On is empty for an image
	Link     string
	Usual    string
	Line     string // the path of a line through the durations; empty if there are less than two
	LineText string // the same in words
	Cells    []cellView
}

type cellView struct {
	Letter string
	Class  string
	Title  string // the duration
	Word   string // the meaning, in the legend
	Link   string // to the step in the run's report, if the step did not pass
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
	shown := newView(&report.Run{
		Suite: latest.Suite, Host: latest.Host, Started: latest.Started, Finished: latest.Finished, Signal: latest.Signal,
		Program: latest.Program, Engine: latest.Engine, Running: latest.Running,
	})
	v := indexView{
		Suite:    shown.Suite,
		Subject:  latest.Subject(),
		Changes:  latest.Changes(),
		Headline: shown.Headline,
		Program:  shown.Program,
		Latest:   runLink(h.Runs[0].ID),
		Logs:     plain.Clean(logs),
		Legend:   legend(),
	}
	last := lastOf(h, h.CurrentSteps())
	v.addFailures(logs, h, last, latest)
	v.addGrid(h, last)
	return v
}

// lastStep is a step in the last run that had it.
type lastStep struct {
	name      string
	run, step int // the index in History.Runs, and in Past.Steps
}

// lastOf returns the steps of these names, each in the last run that had it.
func lastOf(h *history.History, names []string) []lastStep {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	var found []lastStep
	for i := range h.Runs {
		if len(wanted) == 0 {
			break
		}
		for j := range h.Runs[i].Steps {
			if name := h.Runs[i].Steps[j].Name; wanted[name] {
				delete(wanted, name)
				found = append(found, lastStep{name, i, j})
			}
		}
	}
	return found
}

func stepAt(h *history.History, at lastStep) *history.PastStep { return &h.Runs[at.run].Steps[at.step] }

func runLink(id string) string { return "./" + id + "/" + history.HTMLFile }

func stepLink(id string, step int) string { return runLink(id) + "#" + anchor(step) }

// addFailures adds the steps that did not pass in the last run that had them.
func (v *indexView) addFailures(logs string, h *history.History, last []lastStep, latest *report.Run) {
	records := map[int]*report.Run{0: latest}
	record := func(run int) *report.Run {
		if _, ok := records[run]; !ok && len(records) < maxOpened {
			records[run], _ = history.OpenFolder(filepath.Join(logs, h.Runs[run].ID)) // nil on error: its steps get no card
		}
		return records[run]
	}
	for _, at := range failures(h, last) {
		v.Failing++
		step := stepAt(h, at)
		run := record(at.run)
		if len(v.Cards) < maxCards && run != nil && at.step < len(run.Steps) && run.Steps[at.step].Name == at.name {
			v.Cards = append(v.Cards, newCard(run, h.Runs[at.run].ID, at.step, len(v.Cards) < maxOpenCards))
			continue
		}
		v.More = append(v.More, moreView{
			Outcome: plain.Clean(string(h.Runs[at.run].Ended(step))),
			Name:    pastName(step),
			Reason:  "after " + step.Duration.String(),
			Link:    stepLink(h.Runs[at.run].ID, at.step),
		})
	}
	v.MoreTitle = "Other failures: " + report.Thousands(int64(len(v.More)))
}

// failures returns those of the steps that did not pass: new failures first, then blocked steps, then
// failures that go on.
func failures(h *history.History, last []lastStep) []lastStep {
	var ranks [3][]lastStep
	for _, at := range last {
		step := stepAt(h, at)
		rank := 0
		switch outcome := h.Runs[at.run].Ended(step); {
		case outcome == report.Passed || outcome == "":
			continue
		case step.Failing != nil && step.Failing.Runs > 1:
			rank = 2
		case outcome == report.Blocked:
			rank = 1
		}
		ranks[rank] = append(ranks[rank], at)
	}
	return slices.Concat(ranks[:]...)
}

// newCard returns the card of a step of a run.
func newCard(run *report.Run, id string, step int, open bool) cardView {
	result := run.Steps[step]
	result.Log.Tail = shortLines(result.Log.Tail.Last(maxCardLines))
	card := cardView{stepView: newStepView(run, &result), Report: stepLink(id, step), Open: open}
	card.LogLink, card.PageLink = below(id, card.LogLink), below(id, card.PageLink)
	if title := strings.TrimSuffix(card.TailTitle, ":"); title != "" {
		card.Caption = strings.ToUpper(title[:1]) + title[1:]
	}
	return card
}

// below returns a link of a run's page as it is from the logs folder.
func below(id, link string) string {
	if link == "" {
		return ""
	}
	return "./" + id + "/" + strings.TrimPrefix(link, "./")
}

// shortLines returns t with long lines cut to their ends.
func shortLines(t plain.Tail) plain.Tail {
	short := plain.Tail{Lines: make([]string, len(t.Lines))}
	for i, line := range t.Lines {
		cut := t.Cut[i]
		if len(line) > maxCardLine {
			start := len(line) - maxCardLine
			for start < len(line) && !utf8.RuneStart(line[start]) {
				start++
			}
			cut += int64(start)
			line = line[start:]
		}
		if cut > 0 {
			short.SetCut(i, cut)
		}
		short.Lines[i] = line
	}
	return short
}

func pastName(step *history.PastStep) string { return step.Kind.Title(step.Name) }

// addGrid adds the last runs, a column each, the newest on the right.
func (v *indexView) addGrid(h *history.History, last []lastStep) {
	runs := h.Runs[:min(len(h.Runs), maxColumns)]
	v.RunsTitle = "The last " + report.Count(int64(len(runs)), "run")
	if len(runs) == 1 {
		v.RunsTitle = "The only run"
	}
	v.addColumns(runs)
	rows := newRows(runs, last)
	shown := rows
	if len(rows) > maxRows {
		shown = worst(rows, maxRows)
		v.Others = fmt.Sprintf("Not shown: %s of %s. Those that did not pass in these runs come first, then the others in the suite's order.",
			report.Thousands(int64(len(rows)-maxRows)), report.Count(int64(len(rows)), "step"))
	}
	for _, row := range shown {
		v.Rows = append(v.Rows, newRowView(h, runs, row))
	}
}

func (v *indexView) addColumns(runs []history.PastRun) {
	month := ""
	for i := len(runs) - 1; i >= 0; i-- {
		run := &runs[i]
		passed := 0
		for j := range run.Steps {
			if run.Steps[j].Outcome == report.Passed {
				passed++
			}
		}
		column := columnView{
			Link:  runLink(run.ID),
			Title: fmt.Sprintf("%s: %d success, %d failures", run.Started.Format(report.TimeLayout), passed, len(run.Steps)-passed),
			Day:   strconv.Itoa(run.Started.Day()),
		}
		if m := run.Started.Format("Jan"); m != month {
			column.Month, month = m, m
		}
		v.Columns = append(v.Columns, column)
	}
}

// row is a step in each of the runs.
type row struct {
	last   lastStep
	in     []int // its index in the steps of each run; -1: the run lacks it
	failed int   // in how many of the runs it did not pass
}

func newRows(runs []history.PastRun, last []lastStep) []row {
	rows := make([]row, len(last))
	numbers := map[string]int{}
	for i, at := range last {
		rows[i] = row{last: at, in: make([]int, len(runs))}
		for j := range rows[i].in {
			rows[i].in[j] = -1
		}
		numbers[at.name] = i
	}
	for j := range runs {
		for k := range runs[j].Steps {
			step := &runs[j].Steps[k]
			if i, ok := numbers[step.Name]; ok {
				rows[i].in[j] = k
				if step.Outcome != report.Passed {
					rows[i].failed++
				}
			}
		}
	}
	return rows
}

// worst returns n of the rows, in their order: those with a failure in one of the runs, then others.
func worst(rows []row, n int) []row {
	failed := 0
	for i := range rows {
		if rows[i].failed > 0 {
			failed++
		}
	}
	others := max(n-failed, 0)
	var kept []row
	for i := range rows {
		switch {
		case len(kept) == n:
			return kept
		case rows[i].failed > 0:
			kept = append(kept, rows[i])
		case others > 0:
			others--
			kept = append(kept, rows[i])
		}
	}
	return kept
}

func newRowView(h *history.History, runs []history.PastRun, r row) rowView {
	step := stepAt(h, r.last)
	v := rowView{Name: pastName(step), Link: stepLink(h.Runs[r.last.run].ID, r.last.step)}
	if test, image, found := strings.Cut(v.Name, "@"); found && step.Kind == report.Test {
		v.Name, v.On = test, "@"+image
	}
	if passes := h.Step(step.Name).PassDurations; len(passes) > 0 {
		v.Usual = report.Duration(report.Median(passes)).String()
	}
	var line durationLine
	for i := len(runs) - 1; i >= 0; i-- {
		position := len(runs) - 1 - i
		if r.in[i] < 0 {
			v.Cells = append(v.Cells, cellView{Letter: "-", Class: "none-there"})
			continue
		}
		step := &runs[i].Steps[r.in[i]]
		outcome := runs[i].Ended(step)
		cell := newCell(outcome)
		if step.Duration > 0 {
			cell.Title = step.Duration.String()
		}
		if outcome != report.Passed {
			cell.Link = stepLink(runs[i].ID, r.in[i])
		} else {
			line.add(position, time.Duration(step.Duration))
		}
		v.Cells = append(v.Cells, cell)
	}
	v.Line, v.LineText = line.draw(len(runs))
	return v
}

// newCell returns the cell of an outcome.
func newCell(o report.Outcome) cellView {
	letter := o.Letter()
	if letter == '-' || letter == '?' {
		return cellView{Letter: string(letter), Class: "none-there"}
	}
	return cellView{Letter: string(letter), Class: string(letter)}
}

// legend returns what the letters mean.
func legend() []cellView {
	var keys []cellView
	for _, outcome := range report.Outcomes {
		key := newCell(outcome)
		key.Word = string(outcome)
		if outcome == "" {
			key.Word = "not run"
		}
		keys = append(keys, key)
	}
	return keys
}

// durationLine is a line through the durations of passes, by the position of the run.
type durationLine struct {
	positions []int
	durations []time.Duration
}

func (l *durationLine) add(position int, d time.Duration) {
	l.positions = append(l.positions, position)
	l.durations = append(l.durations, d)
}

// The size of a line, in the units of its SVG.
const lineWidth, lineHeight = 90, 20

// draw returns the path of the line for n positions, and the line in words. The bottom stands for no
// time at all, so that heights are proportional.
func (l *durationLine) draw(n int) (path, words string) {
	if len(l.durations) < 2 {
		return "", ""
	}
	least, most := l.durations[0], l.durations[0]
	for _, d := range l.durations {
		least, most = min(least, d), max(most, d)
	}
	var p strings.Builder
	for i, d := range l.durations {
		x := 1 + l.positions[i]*(lineWidth-2)/max(n-1, 1)
		y := lineHeight - 1
		if most > 0 {
			y -= int((lineHeight - 2) * d / most)
		}
		verb := "L"
		if i == 0 {
			verb = "M"
		}
		p.WriteString(verb + strconv.Itoa(x) + " " + strconv.Itoa(y))
	}
	return p.String(), fmt.Sprintf("%d passes took %s to %s, the last %s",
		len(l.durations), report.Duration(least), report.Duration(most), report.Duration(l.durations[len(l.durations)-1]))
}
