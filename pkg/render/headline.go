package render

import (
	"bufio"
	"strings"

	"runtests/pkg/report"
)

// VerdictLine returns the step's verdict in one line, for the progress of a run: "verdict  ecs@debian:
// flaky, it passed when run again unchanged". It returns "" if there is no verdict.
func VerdictLine(s report.Result) string {
	if s.Verdict == nil {
		return ""
	}
	return "verdict  " + s.Title() + ": " + newVerdictView(&report.Run{}, s.Verdict).Title
}

// Headline returns the first line of the step in a report, for the progress of a run:
// "failed   ecs@debian   exit status 2 after 12m3s".
func Headline(s report.Result) string {
	var line strings.Builder
	step := newStepView(&report.Run{}, &s)
	out := textWriter{Writer: bufio.NewWriter(&line), column: outcomeColumn([]stepView{step})}
	out.title(&step)
	_ = out.Flush() // a strings.Builder returns no error
	return strings.TrimSuffix(line.String(), "\n")
}
