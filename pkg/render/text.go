package render

import (
	"bufio"
	"io"

	"runtests/pkg/report"
)

// Text writes the report as text: its subject, then TextBody.
func Text(w io.Writer, r *report.Run) error {
	if _, err := io.WriteString(w, "Subject: "+r.Subject()+"\n\n"); err != nil {
		return err
	}
	return TextBody(w, r)
}

// TextBody writes the report without its subject, which is a header in a mail: what changed, then the
// failures with all that is needed to act, then the rest.
func TextBody(w io.Writer, r *report.Run) error {
	v := newView(r)
	out := textWriter{bufio.NewWriter(w), outcomeColumn(v)}
	if v.Changes != "" {
		out.lines(v.Changes, "")
	}
	out.lines(v.Headline)
	if len(v.Notes) > 0 {
		out.lines("")
		out.lines(v.Notes...)
	}
	for i, step := range v.Failed {
		if !step.blocked() || i == 0 || !v.Failed[i-1].blocked() { // no empty lines between steps that are blocked
			out.lines("")
		}
		out.failure(step)
	}
	for _, step := range v.Flaky {
		out.lines("")
		out.failure(step)
	}
	if len(v.Going) > 0 {
		out.lines("")
	}
	for _, step := range v.Going {
		out.title(step)
	}
	if len(v.Passed) > 0 {
		out.lines("")
	}
	for _, step := range v.Passed {
		out.passed(step)
	}
	out.gone(v.Gone)
	return out.Flush()
}

// outcomeColumn returns the width of the column of outcomes: 9, three more than "failed" and "passed"
// have, or more if an outcome needs it.
func outcomeColumn(v view) int {
	width := 9
	for _, steps := range [][]stepView{v.Failed, v.Flaky, v.Going, v.Passed} {
		for _, step := range steps {
			width = max(width, len(step.Outcome)+2)
		}
	}
	return width
}

// textWriter writes text. Flush returns its errors.
type textWriter struct {
	*bufio.Writer
	column int // the width of the column of outcomes
}

func (t textWriter) write(parts ...string) {
	for _, part := range parts {
		_, _ = t.WriteString(part)
	}
}

func (t textWriter) lines(lines ...string) {
	for _, line := range lines {
		t.write(line, "\n")
	}
}

// title writes a step's first line: "failed   ecs@debian   exit status 2 after 12m3s".
func (t textWriter) title(step stepView) {
	t.write(step.Outcome)
	for range t.column - len(step.Outcome) {
		t.write(" ")
	}
	t.write(step.Name)
	if step.Reason != "" {
		t.write("   ", step.Reason)
	}
	t.write("\n")
}

// trend writes how the step compares with earlier runs, and its verdict.
func (t textWriter) trend(step stepView) {
	for _, text := range []string{step.Trend, step.Pace} {
		if text != "" {
			t.lines("  " + text)
		}
	}
	for _, line := range verdictLines(step.Verdict) {
		t.lines("  " + line)
	}
}

// gone writes the names of steps that the suite no longer has.
func (t textWriter) gone(names []string) {
	if len(names) == 0 {
		return
	}
	t.lines("")
	for _, name := range names {
		t.title(stepView{Outcome: "gone", Name: name})
	}
}

func (t textWriter) notes(step stepView) {
	for _, note := range step.Notes {
		t.lines("  note: " + note)
	}
	if step.Command != "" {
		t.lines("  $ " + step.Command)
	}
	for _, fact := range [][2]string{{"image", step.Built}, {"why", step.Why}, {"packages", step.Packages}, {"production", step.Deployed}} {
		if fact[1] != "" {
			t.lines("  " + fact[0] + ": " + fact[1])
		}
	}
	if step.Container != "" {
		t.lines("  container: " + step.Container + " (kept)")
	}
}

func (t textWriter) passed(step stepView) {
	t.title(step)
	t.trend(step)
	t.notes(step)
}

func (t textWriter) failure(step stepView) {
	t.title(step)
	t.trend(step)
	if step.Hint != "" {
		t.lines("  hint: " + step.Hint)
	}
	t.notes(step)
	if step.Commit != "" {
		t.lines("  commit: " + step.Commit)
	}
	if step.Log != "" {
		t.lines("  log: " + step.Log + " (" + step.LogLines + ")")
	}
	if step.TailTitle != "" {
		t.lines("  " + step.TailTitle)
	}
	for _, line := range step.Tail {
		t.write("  | ", line.Cut, line.Text, "\n")
	}
}
