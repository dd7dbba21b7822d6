package render

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mattn/go-runewidth"

	"runtests/pkg/hint"
	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// historyRuns is how many runs of a step WriteHistory shows.
const historyRuns = 20

// minuteLayout is the layout of a time where lines are long.
const minuteLayout = "2006-01-02 15:04"

// WriteHistory writes a line for each step that matches pattern (see history.History.MatchingSteps): the
// outcomes in the last runs, the newest on the right, since when the step fails or when it last failed,
// and how long it usually takes. If pattern matches a single step, WriteHistory adds a line for each of
// its runs. The error wraps history.ErrNoRun if no run had such a step.
func WriteHistory(w io.Writer, logs string, h *history.History, pattern string) error {
	if len(h.Runs) == 0 {
		return hint.Errorf("nothing has been run yet: start with runtests run", "find a run in %s: %w", logs, history.ErrNoRun)
	}
	names, err := h.MatchingSteps(pattern)
	if err != nil {
		return err
	}
	out := textWriter{Writer: bufio.NewWriter(w)}
	out.historyLines(h, h.Rows(names, historyRuns))
	if pattern != "" && len(names) == 1 {
		out.historyOfStep(logs, h.Rows(names, len(h.Runs))[0])
	}
	return out.Flush()
}

// historyLine is the history of a step, in columns.
type historyLine struct{ name, letters, failure, usual string }

func (t textWriter) historyLines(h *history.History, rows []history.Row) {
	runs := h.Runs[:min(len(h.Runs), historyRuns)]
	var lines []historyLine
	var names, failures int
	for _, row := range rows {
		line := newHistoryLine(h, row)
		names = max(names, runewidth.StringWidth(line.name))
		failures = max(failures, runewidth.StringWidth(line.failure))
		lines = append(lines, line)
	}
	first, newest := runs[len(runs)-1].Started, runs[0].Started
	t.lines(fmt.Sprintf("%s, %s to %s, newest on the right", report.Count(int64(len(runs)), "run"), first.Format(report.TimeLayout), newest.Format(report.TimeLayout)), "")
	for _, line := range lines {
		text := pad(line.name, names) + "  " + line.letters + "  " + pad(line.failure, failures) + "  " + line.usual
		t.lines(strings.TrimRight(text, " "))
	}
	t.lines("", legendText())
}

// pad appends spaces to text up to the width.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-runewidth.StringWidth(text), 0))
}

// legendText returns what the letters mean.
func legendText() string {
	var keys []string
	for _, key := range legend() {
		keys = append(keys, key.Letter+" "+key.Word)
	}
	return strings.Join(keys, ", ")
}

func newHistoryLine(h *history.History, row history.Row) historyLine {
	step := row.Last.Step()
	line := historyLine{name: step.Title()}
	for _, entry := range slices.Backward(row.Entries) {
		line.letters += string(entry.Outcome().Letter())
	}
	past := h.Step(step.Name)
	switch {
	case past.Failing != nil:
		line.failure = fmt.Sprintf("failing since %s (%s)", past.Failing.Since.Format(minuteLayout), report.Count(int64(past.Failing.Runs), "run"))
	case past.LastFailed.IsZero():
		line.failure = "never failed"
	default:
		line.failure = "last failed " + past.LastFailed.Format(minuteLayout)
	}
	if middle, _, known := report.Usual(past.PassDurations); known {
		line.usual = "usually " + report.Duration(middle).String()
	} else if len(past.PassDurations) > 0 {
		line.usual = "last took " + report.Duration(past.PassDurations[0]).String()
	}
	return line
}

// historyOfStep writes a line for each of the last runs of one step, the newest first, with the reason
// and the log if the step did not pass.
func (t textWriter) historyOfStep(logs string, row history.Row) {
	t.lines("")
	entries := slices.DeleteFunc(row.Entries, func(e history.Entry) bool { return e.Run == nil })
	for _, entry := range entries[:min(len(entries), historyRuns)] {
		t.pastLine(logs, entry)
	}
}

func (t textWriter) pastLine(logs string, entry history.Entry) {
	outcome := entry.Outcome()
	text := entry.Run.Started.Format(report.TimeLayout) + "  " + pad(plain.Clean(string(outcome)), len("interrupted")) + "  "
	if outcome == report.Passed {
		t.lines(text + entry.Step().Duration.String())
		return
	}
	var step stepView
	folder := filepath.Join(logs, entry.Run.ID)
	run, _ := history.OpenFolder(folder) // nil on error: the reason and the log are left out
	if result := recorded(run, entry); result != nil {
		run.Folder = folder
		step = newStepView(run, result)
	}
	t.lines(strings.TrimRight(text+step.Reason, " "))
	t.fact("  log: ", step.Log)
}

// recorded returns the step of an entry in the record of its run, or nil if the record lacks it.
func recorded(run *report.Run, entry history.Entry) *report.Result {
	if run == nil || entry.Index >= len(run.Steps) || run.Steps[entry.Index].Name != entry.Step().Name {
		return nil
	}
	return &run.Steps[entry.Index]
}
