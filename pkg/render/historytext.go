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
	last := lastOf(h, names)
	out := textWriter{Writer: bufio.NewWriter(w)}
	out.historyLines(h, last)
	if pattern != "" && len(last) == 1 {
		out.historyOfStep(logs, h, last[0].name)
	}
	return out.Flush()
}

// historyLine is the history of a step, in columns.
type historyLine struct{ name, letters, failure, usual string }

func (t textWriter) historyLines(h *history.History, steps []lastStep) {
	runs := h.Runs[:min(len(h.Runs), historyRuns)]
	var lines []historyLine
	var names, failures int
	for _, row := range newRows(runs, steps) {
		line := newHistoryLine(h, runs, row)
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

func newHistoryLine(h *history.History, runs []history.PastRun, r row) historyLine {
	step := stepAt(h, r.last)
	line := historyLine{name: pastName(step)}
	shown := make([]byte, 0, len(runs))
	for i, in := range slices.Backward(r.in) {
		letter := report.Outcome("").Letter()
		if in >= 0 {
			letter = runs[i].Ended(&runs[i].Steps[in]).Letter()
		}
		shown = append(shown, letter)
	}
	line.letters = string(shown)
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
func (t textWriter) historyOfStep(logs string, h *history.History, name string) {
	t.lines("")
	shown := 0
	for i := range h.Runs {
		if shown == historyRuns {
			return
		}
		j := slices.IndexFunc(h.Runs[i].Steps, func(step history.PastStep) bool { return step.Name == name })
		if j < 0 {
			continue
		}
		shown++
		t.pastLine(logs, h, i, j)
	}
}

func (t textWriter) pastLine(logs string, h *history.History, i, j int) {
	past := &h.Runs[i].Steps[j]
	outcome := h.Runs[i].Ended(past)
	text := h.Runs[i].Started.Format(report.TimeLayout) + "  " + pad(plain.Clean(string(outcome)), len("interrupted")) + "  "
	if outcome == report.Passed {
		t.lines(text + past.Duration.String())
		return
	}
	folder := filepath.Join(logs, h.Runs[i].ID)
	run, err := history.OpenFolder(folder)
	if err != nil || j >= len(run.Steps) || run.Steps[j].Name != past.Name {
		t.lines(strings.TrimRight(text, " "))
		return
	}
	step := &run.Steps[j]
	t.lines(strings.TrimRight(text+reason(run, step), " "))
	if step.Log.File != "" {
		t.lines("  log: " + plain.Clean(filepath.Join(folder, step.Log.File)))
	}
}
