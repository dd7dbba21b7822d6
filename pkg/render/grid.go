package render

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"runtests/pkg/history"
	"runtests/pkg/report"
)

// The bounds of the grid. The page says how much it leaves out.
const (
	maxColumns = 30  // runs
	maxRows    = 200 // steps; failures come first
)

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

// addGrid adds the last runs, a column each, the newest on the right.
func (v *indexView) addGrid(h *history.History, rows []history.Row) {
	runs := h.Runs[:min(len(h.Runs), maxColumns)]
	v.RunsTitle = "The last " + report.Count(int64(len(runs)), "run")
	if len(runs) == 1 {
		v.RunsTitle = "The only run"
	}
	v.addColumns(runs)
	if more := len(rows) - maxRows; more > 0 {
		v.Others = fmt.Sprintf("Not shown: %s of %s. Those that did not pass in these runs come first, then the others in the suite's order.",
			report.Thousands(int64(more)), report.Count(int64(len(rows)), "step"))
	}
	for _, row := range history.Worst(rows, maxRows) {
		v.Rows = append(v.Rows, newRowView(row, h.Step(row.Last.Step().Name).PassDurations))
	}
}

func (v *indexView) addColumns(runs []history.PastRun) {
	month := ""
	for i := range slices.Backward(runs) {
		run := &runs[i]
		success, failures := run.Counts()
		column := columnView{
			Link:  runLink(run),
			Title: fmt.Sprintf("%s: %d success, %d failures", run.Started.Format(report.TimeLayout), success, failures),
			Day:   strconv.Itoa(run.Started.Day()),
		}
		if m := run.Started.Format("Jan"); m != month {
			column.Month, month = m, m
		}
		v.Columns = append(v.Columns, column)
	}
}

// newRowView returns a row of the grid; passes are the durations of the step's last passes.
func newRowView(row history.Row, passes []time.Duration) rowView {
	step := row.Last.Step()
	v := rowView{Name: step.Title(), Link: stepLink(row.Last)}
	if test, image, found := strings.Cut(v.Name, "@"); found && step.Kind == report.KindTest {
		v.Name, v.On = test, "@"+image
	}
	if len(passes) > 0 {
		v.Usual = report.Duration(report.Median(passes)).String()
	}
	var line durationLine
	for _, entry := range slices.Backward(row.Entries) {
		cell := newCell(entry.Outcome())
		switch {
		case entry.Run == nil:
		case entry.Outcome() == report.Passed:
			line.add(len(v.Cells), time.Duration(entry.Step().Duration))
		default:
			cell.Link = stepLink(entry)
		}
		if entry.Run != nil && entry.Step().Duration > 0 {
			cell.Title = entry.Step().Duration.String()
		}
		v.Cells = append(v.Cells, cell)
	}
	v.Line, v.LineText = line.draw(len(row.Entries))
	return v
}

// newCell returns the cell of an outcome.
func newCell(o report.Outcome) cellView {
	letter := string(o.Letter())
	if letter == "-" || letter == "?" {
		return cellView{Letter: letter, Class: "none-there"}
	}
	return cellView{Letter: letter, Class: letter}
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
	least, most := slices.Min(l.durations), slices.Max(l.durations)
	var p strings.Builder
	for i, d := range l.durations {
		x := 1 + l.positions[i]*(lineWidth-2)/max(n-1, 1)
		y := lineHeight - 1
		if most > 0 {
			y -= int((lineHeight - 2) * d / most)
		}
		verb := 'L'
		if i == 0 {
			verb = 'M'
		}
		fmt.Fprintf(&p, "%c%d %d", verb, x, y)
	}
	return p.String(), fmt.Sprintf("%d passes took %s to %s, the last %s",
		len(l.durations), report.Duration(least), report.Duration(most), report.Duration(l.durations[len(l.durations)-1]))
}
