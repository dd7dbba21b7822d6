package report

import (
	"bufio"
	"strings"
)

// VerdictLine is the step's verdict in one line, for whoever watches the run: "verdict
// ecs@debian: flaky, it passed when it was run again as it was". Empty: there is none.
func (s Result) VerdictLine() string {
	if s.Verdict == nil {
		return ""
	}
	return "verdict  " + s.Title() + ": " + newVerdictView(&Run{}, s.Verdict).Title
}

// Headline is the first line of the step in a report, for whoever watches the run:
// "failed   ecs@debian   exit status 2 after 12m3s".
func (s Result) Headline() string {
	var line strings.Builder
	step := newStepView(&Run{}, &s)
	out := textWriter{bufio.NewWriter(&line), outcomeColumn(view{Passed: []stepView{step}})}
	out.title(step)
	_ = out.Flush() // a strings.Builder takes everything
	return strings.TrimSuffix(line.String(), "\n")
}
