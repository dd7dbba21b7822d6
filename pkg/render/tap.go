package render

import (
	"bufio"
	"bytes"
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
	out := textWriter{Writer: bufio.NewWriter(w)}
	out.lines(tapVersion, fmt.Sprintf("1..%d", len(r.Steps)))
	if changes := r.Changes(); changes != "" {
		out.lines("# " + changes)
	}
	for _, name := range cleanAll(r.Gone) {
		out.lines("# gone: " + name)
	}
	for _, note := range cleanAll(r.Notes) {
		out.lines("# " + note)
	}
	for i := range r.Steps {
		out.testPoint(i+1, r, &r.Steps[i])
	}
	return out.Flush()
}

// tapEscaper escapes the description of a test point: an unescaped # begins a directive.
var tapEscaper = strings.NewReplacer(`\`, `\\`, `#`, `\#`)

func (t textWriter) testPoint(number int, r *report.Run, step *report.Result) {
	v := newStepView(r, step)
	result := "not ok"
	if step.Outcome == report.Passed {
		result = "ok"
	}
	t.lines(fmt.Sprintf("%s %d - %s", result, number, tapEscaper.Replace(v.Name)), "  ---")
	for _, fact := range tapFacts(step, v) {
		t.lines("  " + fact.name + ":" + yamlValue(fact.value))
	}
	t.lines("  ...")
}

// fact is an entry of a YAML block. Its value is a string, a number or lines.
type fact struct {
	name  string
	value any
}

// tapFacts returns the facts of a step for a consumer of TAP.
func tapFacts(step *report.Result, v stepView) []fact {
	facts := []fact{
		{"outcome", v.Outcome},
		{"duration_ms", time.Duration(step.Duration).Milliseconds()},
		{"command", v.Command},
	}
	for _, f := range []fact{{"trend", v.Trend}, {"pace", v.Pace}, {"commit", v.Commit}} {
		if f.value != "" {
			facts = append(facts, f)
		}
	}
	if step.Outcome == report.Passed {
		return facts
	}
	facts = append(facts, fact{"message", v.Reason})
	if step.ExitStatus != nil {
		facts = append(facts, fact{"exit_status", *step.ExitStatus})
	}
	for _, f := range []fact{{"hint", v.Hint}, {"container", v.Container}, {"log", v.Log}} {
		if f.value != "" {
			facts = append(facts, f)
		}
	}
	if v.Verdict != nil {
		facts = append(facts, fact{"verdict", verdictLines(v.Verdict)})
	}
	if len(v.Notes) > 0 {
		facts = append(facts, fact{"notes", v.Notes})
	}
	if len(v.Tail) > 0 {
		output := []string{v.TailTitle}
		for _, line := range v.Tail {
			output = append(output, line.Cut+line.Text)
		}
		facts = append(facts, fact{"output", output})
	}
	return facts
}

// yamlValue returns what follows the colon after a key.
func yamlValue(value any) string {
	if lines, ok := value.([]string); ok {
		lines[0] = strings.TrimLeft(lines[0], " \t") // a parser would take its indentation for the block's
		return " |\n    " + strings.Join(lines, "\n    ")
	}
	var data bytes.Buffer
	enc := json.NewEncoder(&data)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(value) // a string or a number has no error
	return " " + strings.TrimSuffix(data.String(), "\n")
}
