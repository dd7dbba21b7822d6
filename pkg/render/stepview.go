package render

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// stepView is a step in words, cleaned.
type stepView struct {
	Outcome   string
	Name      string // "image NAME" for an image's build, "deploy NAME" for a deployment
	Reason    string // "exit status 2 after 12m3s", or the duration if the step passed
	Hint      string
	Trend     string // "still failing since 2026-11-20 (3 runs)"; empty: as before
	Badge     string // "still failing"; may be empty
	PaceWord  string // "slower"; may be empty
	Pace      string // "slower than usual: 12m3s, usually 3m10s"; may be empty
	Verdict   *verdictView
	Commit    string // of the test's directory: "4f8c0d12ab34, with uncommitted changes"; may be empty
	Notes     []string
	Command   string
	Container string
	Built     string   // the built image: "4f8c0d12ab34, 1.03GB, 12.4MB larger than before"
	Why       string   // why the image was built
	Packages  string   // "412, 3 changed: libgmp10 6.2.1 → 6.3.0, …"
	Changes   []string // each changed package
	Deployed  string   // what runs in production now
	Anchor    string   // of the step in the run's page
	Log       string   // the path of its log
	LogLink   string   // to the log, from the run's folder
	PageLink  string   // to the page with more lines of the log, from the run's folder; may be empty
	LogLines  string   // "18,204 lines"
	TailTitle string   // "the last 40 lines:", "the whole log:", "no output"; empty: there is no log
	Tail      []lineView

	result *report.Result // for conditions and numbers: its texts are not cleaned
}

func newStepView(r *report.Run, step *report.Result) stepView {
	v := stepView{
		Outcome:   plain.Clean(string(outcome(r, step))),
		Name:      step.Title(),
		Reason:    reason(r, step),
		Hint:      plain.Clean(step.Hint),
		Trend:     trendText(r, step),
		Badge:     plain.Clean(string(step.Change())),
		PaceWord:  paceWord(step),
		Pace:      paceText(step),
		Verdict:   newVerdictView(r, step.Verdict),
		Commit:    stepCommit(step),
		Notes:     cleanAll(step.Notes),
		Command:   commandLine(step.Command),
		Container: plain.Clean(step.Container),
		Built:     imageLine(step),
		Why:       whyLine(step),
		Deployed:  deployedLine(step),
		TailTitle: tailTitle(step.Log),
		Tail:      newLines(step.Log.Tail),
		result:    step,
	}
	if step.Build != nil {
		v.Packages = step.Build.PackagesLine()
		for _, change := range step.Build.Changes {
			v.Changes = append(v.Changes, plain.Clean(change.Manager)+": "+change.String())
		}
	}
	if step.Outcome == report.Blocked { // the remedy stands with the image
		v.Command = ""
	}
	if step.Log.File != "" {
		v.Log = plain.Clean(filepath.Join(r.Folder, step.Log.File))
		v.LogLines = report.Count(step.Log.Lines, "line")
		v.LogLink = relative(step.Log.File)
		v.PageLink = relative(step.Log.Page)
	}
	return v
}

// What a report shows as the outcome of a step that has not ended.
const (
	running report.Outcome = "running"
	waiting report.Outcome = "waiting"
)

// outcome returns the step's outcome. If the run has ended and the step has not, it is Interrupted.
func outcome(r *report.Run, step *report.Result) report.Outcome {
	switch {
	case step.Outcome != "":
		return step.Outcome
	case !r.Running:
		return report.Interrupted
	case !step.Started.IsZero():
		return running
	}
	return waiting
}

// reason returns why a step did not pass, and after how long; or the duration if it passed. The reason
// of a timeout has the duration already, and a step that never ran has none.
func reason(r *report.Run, step *report.Result) string {
	took := step.Duration.String()
	why := plain.Clean(step.Reason)
	if why == "" && step.Outcome == report.Failed && step.ExitStatus != nil {
		why = "exit status " + strconv.Itoa(*step.ExitStatus)
	}
	switch {
	case step.Outcome == report.Passed && currentSince(step) != "":
		return currentSince(step)
	case step.Outcome == report.Passed:
		return took
	case step.Outcome == "" && r.Running && step.Started.IsZero():
		return "not started yet"
	case step.Outcome == "" && r.Running:
		return "since " + step.Started.Format(time.TimeOnly)
	case step.Outcome == "" && step.Started.IsZero():
		return "the run was cut off before this step started"
	case step.Outcome == "":
		return "the run was cut off during this step"
	case why == "" && step.Duration == 0:
		return ""
	case why == "":
		return "after " + took
	case step.Outcome == report.Timeout || step.Kind == report.KindDeploy || step.Log.File == "": // why has the duration, or there is none
		return why
	}
	return why + " after " + took
}

// tailTitle returns which lines of the log a tail has.
func tailTitle(log report.Log) string {
	kept := len(log.Tail.Lines)
	switch {
	case log.File == "":
		return ""
	case log.Bytes == 0 && kept == 0:
		return "no output"
	case kept == 0: // see Shorten
		return ""
	case int64(kept) == log.Lines && len(log.Tail.Cut) == 0:
		return "the whole log:"
	case kept == 1:
		return "the last line:"
	}
	return "the last " + report.Count(int64(kept), "line") + ":"
}

// lineView is a line of a tail.
type lineView struct {
	Cut  string // "[1,048,576 bytes left out] ", or empty
	Text string
}

func (l lineView) String() string { return l.Cut + l.Text }

// newLines returns the lines of a tail.
func newLines(tail plain.Tail) []lineView {
	var lines []lineView
	for i, text := range tail.Lines {
		line := lineView{Text: plain.Clean(text)}
		if cut := tail.Cut[i]; cut != 0 {
			line.Cut = "[" + report.Count(cut, "byte") + " left out] "
		}
		lines = append(lines, line)
	}
	return lines
}

// commandLine returns a command as one line. A line feed in it, which can only be inside single quotes,
// is written so that a shell reads it back.
func commandLine(command string) string {
	return plain.Clean(strings.ReplaceAll(command, "\n", `'$'\n''`))
}
