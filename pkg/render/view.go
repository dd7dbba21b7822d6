package render

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// view is a run in a person's words, cleaned: what the text and the pages show of it.
type view struct {
	Subject  string
	Suite    string
	Headline string // "ecs on ci-slave, 2026-11-22 03:00:04, took 41m12s (Docker 28.5.2)"
	Where    string // "ci-slave"
	When     string // "2026-11-22 03:00:04"
	State    string // "took 41m12s"
	Engine   string // "Docker 28.5.2"; empty when unknown
	Program  string
	Folder   string
	Disk     string // "74GB free of 252GB where the engine keeps images"; empty when not known
	Notes    []string

	Changes string   // what changed since the runs before: "2 newly failing, 1 fixed"; may be empty
	Gone    []string // steps that the suite has no longer

	Success, Failures int
	Failed            []stepView // did not pass: what is new first, and what it blocks after it; then in the suite's order
	Flaky             []stepView // did not pass, and then did when they were run again
	Going             []stepView // have not ended, in a run that is going on
	Passed            []stepView
}

// stepView is a step in a person's words.
type stepView struct {
	Outcome   string
	Name      string // "image NAME" for an image's build, "deploy NAME" for a deployment
	Reason    string // "exit status 2 after 12m3s"; how long it took when it passed
	Hint      string
	Trend     string // "still failing since 2026-11-20 (3 runs)"; empty: as before
	Badge     string // the word of it: "still failing"
	PaceWord  string // "slower"; may be empty
	Pace      string // "slower than usual: 12m3s, usually 3m10s"; may be empty
	Verdict   *verdictView
	Commit    string // "4f8c0d12ab34, with uncommitted changes"; of the test's directory; may be empty
	Notes     []string
	Command   string
	Container string
	Image     string   // "4f8c0d12ab34, 1.03GB, 12.4MB larger than before", of an image's build
	Why       string   // why it was built
	Packages  string   // "412, 3 changed: libgmp10 6.2.1 → 6.3.0, …"
	Changes   []string // all packages that changed, a line each
	Deployed  string   // what runs in production now
	Anchor    string   // names it in its page
	Log       string   // the path of its log
	LogLink   string   // to the log, from the run's folder
	PageLink  string   // to the page with more of its end, from there; may be empty
	LogLines  string   // "18,204 lines"
	TailTitle string   // "the last 40 lines:", "the whole log:", "no output"; empty: nothing is known of its output
	Tail      []lineView
}

// blocked says that the step was not carried out because of an image.
func (v stepView) blocked() bool { return v.Outcome == string(report.Blocked) }

// lineView is a line of a tail.
type lineView struct {
	Cut  string // "[1,048,576 bytes left out] ", or empty
	Text string
}

// newView puts r in words.
func newView(r *report.Run) view {
	v := view{
		Subject: r.Subject(),
		Suite:   plain.Clean(r.Suite),
		Where:   plain.Clean(r.Host),
		When:    r.Started.Format(report.TimeLayout),
		State:   ending(r),
		Program: plain.Clean(r.Program),
		Folder:  plain.Clean(r.Folder),
		Disk:    diskLine(r.Disk),
		Notes:   cleanAll(r.Notes),
		Changes: r.Changes(),
		Gone:    cleanAll(r.Gone),
	}
	if r.Engine.Name != "" {
		v.Engine = plain.Clean(r.Engine.String())
	}
	v.Headline = headline(v)
	v.Success, v.Failures = r.Counts()
	v.addSteps(r)
	return v
}

// addSteps puts the steps where a reader finds them.
func (v *view) addSteps(r *report.Run) {
	order := make([]int, len(r.Steps))
	for i := range order {
		order[i] = i
	}
	byUrgency(r, order)
	for _, i := range order {
		step := &r.Steps[i]
		shown := newStepView(r, step)
		shown.Anchor = anchor(i)
		switch {
		case step.Outcome == report.Passed:
			v.Passed = append(v.Passed, shown)
		case step.Outcome == "" && r.Running:
			v.Going = append(v.Going, shown)
		case step.Verdict != nil && step.Verdict.Word == report.Flaky:
			v.Flaky = append(v.Flaky, shown)
		default:
			v.Failed = append(v.Failed, shown)
		}
	}
}

func headline(v view) string {
	var s strings.Builder
	s.WriteString(v.Suite)
	if v.Where != "" {
		s.WriteString(" on " + v.Where)
	}
	s.WriteString(", " + v.When + ", " + v.State)
	if v.Engine != "" {
		s.WriteString(" (" + v.Engine + ")")
	}
	return s.String()
}

// ending says how a run ended, if it did.
func ending(r *report.Run) string {
	took := report.Duration(r.Finished.Sub(r.Started)).String()
	signal := plain.Clean(r.Signal)
	switch {
	case r.Finished.IsZero() && r.Running:
		return "still going on"
	case r.Finished.IsZero() && signal != "":
		return "interrupted by " + signal + " and cut off"
	case r.Finished.IsZero():
		return "cut off before its end"
	case signal != "":
		return "interrupted by " + signal + " after " + took
	}
	return "took " + took
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
		Image:     imageLine(step),
		Why:       whyLine(step),
		Deployed:  deployedLine(step),
		TailTitle: tailTitle(step.Log),
	}
	if step.Build != nil {
		v.Packages = step.Build.PackagesLine()
		for _, change := range step.Build.Changes {
			v.Changes = append(v.Changes, plain.Clean(change.Manager)+": "+change.String())
		}
	}
	if step.Outcome == report.Blocked { // what is to be done is told once, with the image
		v.Command = ""
	}
	if step.Log.File != "" {
		v.Log = plain.Clean(filepath.Join(r.Folder, step.Log.File))
		v.LogLines = report.Count(step.Log.Lines, "line")
		v.LogLink = relative(step.Log.File)
		v.PageLink = relative(step.Log.Page)
	}
	for i, line := range step.Log.Tail.Lines {
		v.Tail = append(v.Tail, lineView{cutMark(step.Log.Tail.Cut[i]), plain.Clean(line)})
	}
	return v
}

// What a report says in place of an outcome that there is not yet.
const (
	running report.Outcome = "running"
	waiting report.Outcome = "waiting"
)

// outcome is the step's outcome. One without it, in a run that is over, was interrupted with the run.
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

// reason says why a step did not pass, and after how long; of one that passed, how long it took. The
// reason of a timeout tells the time by itself, and what never ran took none.
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
	case step.Outcome == report.Timeout || step.Kind == report.Deploy || step.Log.File == "": // it tells its time itself, or there was none
		return why
	}
	return why + " after " + took
}

// tailTitle says what the lines of a tail are of their log.
func tailTitle(log report.Log) string {
	kept := len(log.Tail.Lines)
	switch {
	case log.File == "":
		return ""
	case log.Bytes == 0 && kept == 0:
		return "no output"
	case kept == 0: // shortened away
		return ""
	case int64(kept) == log.Lines && len(log.Tail.Cut) == 0:
		return "the whole log:"
	case kept == 1:
		return "the last line:"
	}
	return "the last " + report.Count(int64(kept), "line") + ":"
}

func cutMark(bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return "[" + report.Count(bytes, "byte") + " left out] "
}

// commandLine is a command on one line. A line feed in it, which can only be within
// single quotes, is written in the way that a shell reads back.
func commandLine(command string) string {
	return plain.Clean(strings.ReplaceAll(command, "\n", `'$'\n''`))
}

func cleanAll(lines []string) []string {
	var clean []string
	for _, line := range lines {
		clean = append(clean, plain.Clean(line))
	}
	return clean
}
