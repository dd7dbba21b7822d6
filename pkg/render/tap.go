package render

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"runtests/pkg/report"
)

// tapVersion is the version in the first line. The rest is TAP 14, which adds nothing to 13 that is used
// here, and consumers of 14 read 13 too. Perl's prove before Test::Harness 3.46, which Debian 12 has,
// fails any stream that says 14.
const tapVersion = "TAP version 13"

// TAP writes r in the Test Anything Protocol: a test point for each step, in the suite's order, with a
// YAML block of its facts. Perl reads only a small part of YAML, so a string is written as JSON, and
// lines as a literal block whose first line is not indented.
func TAP(w io.Writer, r *report.Run) error {
	v := newView(r)
	out := textWriter{Writer: bufio.NewWriter(w)}
	out.lines(tapVersion, fmt.Sprintf("1..%d", len(v.steps)))
	out.fact("# ", v.Changes)
	for _, name := range v.Gone {
		out.lines("# gone: " + name)
	}
	for _, note := range v.Notes {
		out.lines("# " + note)
	}
	for i := range v.steps {
		out.testPoint(i+1, &v.steps[i])
	}
	return out.Flush()
}

// tapEscaper escapes the description of a test point: an unescaped # begins a directive.
var tapEscaper = strings.NewReplacer(`\`, `\\`, `#`, `\#`)

func (t textWriter) testPoint(number int, v *stepView) {
	result := "not ok"
	if v.result.Outcome == report.Passed {
		result = "ok"
	}
	t.lines(fmt.Sprintf("%s %d - %s", result, number, tapEscaper.Replace(v.Name)), "  ---")
	t.yaml("outcome", v.Outcome)
	t.yaml("duration_ms", time.Duration(v.result.Duration).Milliseconds())
	t.yaml("command", v.Command)
	t.yamlText("trend", v.Trend)
	t.yamlText("pace", v.Pace)
	t.yamlText("commit", v.Commit)
	if v.result.Outcome != report.Passed {
		t.fault(v)
	}
	t.lines("  ...")
}

// fault writes the facts about a step that did not pass.
func (t textWriter) fault(v *stepView) {
	t.yaml("message", v.Reason)
	if v.result.ExitStatus != nil {
		t.yaml("exit_status", *v.result.ExitStatus)
	}
	t.yamlText("hint", v.Hint)
	t.yamlText("container", v.Container)
	t.yamlText("log", v.Log)
	t.yamlLines("verdict", verdictLines(v.Verdict))
	t.yamlLines("notes", v.Notes)
	if len(v.Tail) > 0 {
		output := []string{v.TailTitle}
		for _, line := range v.Tail {
			output = append(output, line.String())
		}
		t.yamlLines("output", output)
	}
}

// yaml writes an entry whose value is a string or a number.
func (t textWriter) yaml(name string, value any) {
	t.write("  ", name, ": ")
	enc := json.NewEncoder(t)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(value) // it ends the line; Flush returns the writer's error
}

// yamlText writes an entry, unless its value is empty.
func (t textWriter) yamlText(name, value string) {
	if value != "" {
		t.yaml(name, value)
	}
}

// yamlLines writes an entry whose value is a literal block, unless there are no lines.
func (t textWriter) yamlLines(name string, lines []string) {
	for i, line := range lines {
		if i == 0 {
			t.write("  ", name, ": |\n")
			line = strings.TrimLeft(line, " \t") // a parser would take its indentation for the block's
		}
		t.lines("    " + line)
	}
}
