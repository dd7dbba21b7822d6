package render

import (
	"bufio"
	"io"
	"strings"

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
	out := textWriter{bufio.NewWriter(w), outcomeColumn(v.steps), "  "}
	if v.Changes != "" {
		out.lines(v.Changes, "")
	}
	out.lines(v.Headline)
	if len(v.Notes) > 0 {
		out.lines("")
		out.lines(v.Notes...)
	}
	for i, step := range v.Failed {
		if i == 0 || !blocked(step) || !blocked(v.Failed[i-1]) { // no empty lines between steps that are blocked
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
		out.step(step)
	}
	out.gone(v.Gone)
	return out.Flush()
}

// outcomeColumn returns the width of the column of outcomes: 9, three more than "failed" and "passed"
// have, or more if an outcome needs it.
func outcomeColumn(steps []stepView) int {
	width := 9
	for i := range steps {
		width = max(width, len(steps[i].Outcome)+2)
	}
	return width
}

func blocked(step *stepView) bool { return step.result.Outcome == report.Blocked }

// textWriter writes text. Flush returns its errors.
type textWriter struct {
	*bufio.Writer
	column int    // the width of the column of outcomes
	indent string // before each line about a step other than its first
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

// fact writes a line about a step, unless text is empty.
func (t textWriter) fact(label, text string) {
	if text != "" {
		t.lines(t.indent + label + text)
	}
}

// noted returns text with a note in brackets, or "" if text is empty.
func noted(text, note string) string {
	if text == "" {
		return ""
	}
	return text + " (" + note + ")"
}

// title writes a step's first line: "failed   ecs@debian   exit status 2 after 12m3s".
func (t textWriter) title(step *stepView) {
	t.write(step.Outcome, strings.Repeat(" ", t.column-len(step.Outcome)), step.Name)
	if step.Reason != "" {
		t.write("   ", step.Reason)
	}
	t.lines("")
}

// gone writes the names of steps that the suite no longer has.
func (t textWriter) gone(names []string) {
	if len(names) > 0 {
		t.lines("")
	}
	for _, name := range names {
		t.title(&stepView{Outcome: "gone", Name: name})
	}
}

func (t textWriter) verdict(step *stepView) {
	for _, line := range verdictLines(step.Verdict) {
		t.lines(t.indent + line)
	}
}

func (t textWriter) notes(step *stepView) {
	for _, note := range step.Notes {
		t.lines(t.indent + "note: " + note)
	}
}

// log writes where the whole log is.
func (t textWriter) log(step *stepView) { t.fact("log: ", noted(step.Log, step.LogLines)) }

// step writes what there is to know about a step other than its output.
func (t textWriter) step(step *stepView) {
	t.title(step)
	t.fact("", step.Trend)
	t.fact("", step.Pace)
	t.verdict(step)
	if step.result.Outcome != report.Passed {
		t.fact("hint: ", step.Hint)
	}
	t.notes(step)
	t.fact("$ ", step.Command)
	t.fact("image: ", step.Built)
	t.fact("why: ", step.Why)
	t.fact("packages: ", step.Packages)
	t.fact("production: ", step.Deployed)
	t.fact("container: ", noted(step.Container, "kept"))
}

func (t textWriter) failure(step *stepView) {
	t.step(step)
	t.fact("commit: ", step.Commit)
	t.log(step)
	t.fact("", step.TailTitle)
	for _, line := range step.Tail {
		t.lines("  | " + line.String())
	}
}
