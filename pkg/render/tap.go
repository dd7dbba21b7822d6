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

// tapVersion is what the first line says. The rest is TAP 14, which differs from 13
// in nothing else that is used here and whose consumers read 13 too; perl's prove before
// Test::Harness 3.46, as Debian 12 has it, fails any stream that says 14.
const tapVersion = 13

// TAP writes r in the Test Anything Protocol: a test point per step, in the suite's
// order, each with a YAML block of its facts. Perl reads a small part of YAML only: so
// a string is written as JSON, lines as a literal block that begins without a space.
func TAP(w io.Writer, r *report.Run) error {
	out := bufio.NewWriter(w)
	_, _ = fmt.Fprintf(out, "TAP version %d\n1..%d\n", tapVersion, len(r.Steps)) // an error comes with Flush
	if changes := r.Changes(); changes != "" {
		_, _ = fmt.Fprintf(out, "# %s\n", changes)
	}
	for _, name := range cleanAll(r.Gone) {
		_, _ = fmt.Fprintf(out, "# gone: %s\n", name)
	}
	for _, note := range cleanAll(r.Notes) {
		_, _ = fmt.Fprintf(out, "# %s\n", note)
	}
	for i := range r.Steps {
		if err := tapPoint(out, i+1, r, &r.Steps[i]); err != nil {
			return fmt.Errorf("write TAP: %w", err)
		}
	}
	return out.Flush()
}

// tapEscaper escapes a test point's description: an unescaped # begins a directive.
var tapEscaper = strings.NewReplacer(`\`, `\\`, `#`, `\#`)

func tapPoint(w io.Writer, number int, r *report.Run, step *report.Result) error {
	v := newStepView(r, step)
	verdict := "not ok"
	if step.Outcome == report.Passed {
		verdict = "ok"
	}
	_, err := fmt.Fprintf(w, "%s %d - %s\n  ---\n", verdict, number, tapEscaper.Replace(v.Name))
	if err != nil {
		return err
	}
	for _, fact := range tapFacts(step, v) {
		value, err := yamlValue(fact.value)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "  %s:%s\n", fact.name, value); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, "  ...\n")
	return err
}

// fact is an entry of a YAML block; its value is a string, a number or lines.
type fact struct {
	name  string
	value any
}

// tapFacts are the facts of a step that a consumer of TAP may want, without those that there are not.
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

// yamlValue writes what stands after a key's colon.
func yamlValue(value any) (string, error) {
	lines, ok := value.([]string)
	if !ok {
		scalar, err := asJSON(value)
		return " " + scalar, err
	}
	lines[0] = strings.TrimLeft(lines[0], " \t") // its indentation is taken for the block's
	return " |\n    " + strings.Join(lines, "\n    "), nil
}

func asJSON(value any) (string, error) {
	var data bytes.Buffer
	enc := json.NewEncoder(&data)
	enc.SetEscapeHTML(false)
	err := enc.Encode(value)
	return strings.TrimSuffix(data.String(), "\n"), err
}
