package render

import (
	"path/filepath"

	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// verdictView is a verdict in words, cleaned.
type verdictView struct {
	Cause    string // empty: none was found
	Title    string // "dependencies, it passes on the last image it passed on"
	Trials   []trialView
	Packages []string
	Commits  []string
}

type trialView struct {
	Text    string // "passed   on the image of 2026-11-21, 3.2s"
	Outcome string
	What    string
	Reason  string
	Log     string // the path of its log
	Link    string // to the log, from the run's folder
	Command string
}

// causes has what each cause means.
var causes = map[report.Cause]string{
	report.Flaky:        "it passed when run again unchanged",
	report.Dependencies: "it passes on the last image it passed on",
	report.Code:         "it passes with the last files it passed with",
	report.Environment:  "it also fails on the last image and with the last files it passed with; something around it has changed, or the time",
}

func newVerdictView(r *report.Run, v *report.Verdict) *verdictView {
	if v == nil {
		return nil
	}
	shown := &verdictView{Title: plain.Clean(string(v.Cause)), Cause: plain.Clean(string(v.Cause))}
	why := plain.Clean(v.Reason)
	if why == "" {
		why = causes[v.Cause]
	}
	switch {
	case shown.Cause == "":
		shown.Title = why
	case why != "":
		shown.Title += ", " + why
	}
	for i := range v.Trials {
		shown.Trials = append(shown.Trials, newTrialView(r, &v.Trials[i]))
	}
	for _, p := range v.Packages {
		shown.Packages = append(shown.Packages, p.String())
	}
	for _, c := range v.Commits {
		shown.Commits = append(shown.Commits, commitText(c))
	}
	return shown
}

func newTrialView(r *report.Run, t *report.Trial) trialView {
	v := trialView{
		Outcome: plain.Clean(string(t.Outcome)),
		What:    plain.Clean(t.What),
		Command: commandLine(t.Command),
	}
	v.Reason = t.Duration.String()
	if t.Outcome != report.Passed && t.Reason != "" {
		v.Reason = plain.Clean(t.Reason) + " after " + v.Reason
	}
	if t.Log != "" {
		v.Log = plain.Clean(filepath.Join(r.Folder, t.Log))
		v.Link = relative(t.Log)
	}
	v.Text = v.Outcome + " " + v.What + ", " + v.Reason
	return v
}

func commitText(c report.Commit) string {
	text := shortID(c.ID) + " " + plain.Clean(c.Subject)
	if author := plain.Clean(c.Author); author != "" {
		text += " (" + author + ")"
	}
	return text
}

// verdictLines returns a verdict as lines of text.
func verdictLines(v *verdictView) []string {
	if v == nil {
		return nil
	}
	lines := []string{"verdict: " + v.Title}
	for _, trial := range v.Trials {
		lines = append(lines, "  "+trial.Text)
		if trial.Command != "" {
			lines = append(lines, "    $ "+trial.Command)
		}
		if trial.Log != "" {
			lines = append(lines, "    log: "+trial.Log)
		}
	}
	return append(append(lines, listed("changed package", "", v.Packages)...), listed("commit", " since it last passed", v.Commits)...)
}

// maxListed is how many packages or commits the text lists. The page and the record have all.
const maxListed = 20

// listed returns a line with the number of things, then things, a line each.
func listed(thing, since string, things []string) []string {
	if len(things) == 0 {
		return nil
	}
	lines := []string{"  " + report.Count(int64(len(things)), thing) + since + ":"}
	for _, t := range things[:min(len(things), maxListed)] {
		lines = append(lines, "    "+t)
	}
	if more := len(things) - maxListed; more > 0 {
		lines = append(lines, "    and "+report.Thousands(int64(more))+" more")
	}
	return lines
}
