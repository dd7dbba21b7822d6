package report

import "path/filepath"

// verdictView is a verdict in a person's words, cleaned.
type verdictView struct {
	Word     string // empty: none was reached
	Title    string // "dependencies, it passes on the image that it last passed on"
	Tried    []trialView
	Packages []string
	Commits  []string
}

type trialView struct {
	Text    string // "passed   on the image of 2026-11-21, 3.2s"
	Outcome string
	What    string
	Reason  string
	Log     string // the path of its log
	Link    string // to it, from the run's folder
	Command string
}

// causes are the words of a verdict with what they mean.
var causes = map[Cause]string{
	Flaky:        "it passed when it was run again as it was",
	Dependencies: "it passes on the image that it last passed on",
	Code:         "it passes with the files that it last passed with",
	Environment:  "the image and the files that it last passed with fail too; something around it has changed, or the time",
}

func newVerdictView(r *Run, v *Verdict) *verdictView {
	if v == nil {
		return nil
	}
	view := &verdictView{Word: Clean(string(v.Word))}
	why := Clean(v.Reason)
	if why == "" {
		why = causes[v.Word]
	}
	switch {
	case view.Word == "":
		view.Title = why
	case why == "":
		view.Title = view.Word
	default:
		view.Title = view.Word + ", " + why
	}
	for i := range v.Tried {
		view.Tried = append(view.Tried, newTrialView(r, &v.Tried[i]))
	}
	for _, p := range v.Packages {
		view.Packages = append(view.Packages, p.String())
	}
	for _, c := range v.Commits {
		view.Commits = append(view.Commits, commitText(c))
	}
	return view
}

func newTrialView(r *Run, t *Trial) trialView {
	v := trialView{
		Outcome: Clean(string(t.Outcome)),
		What:    Clean(t.What),
		Command: commandLine(t.Command),
	}
	v.Reason = t.Duration.String()
	if t.Outcome != Passed && t.Reason != "" {
		v.Reason = Clean(t.Reason) + " after " + v.Reason
	}
	if t.Log != "" {
		v.Log = Clean(filepath.Join(r.Folder, t.Log))
		v.Link = relative(t.Log)
	}
	v.Text = v.Outcome + " " + v.What + ", " + v.Reason
	return v
}

func commitText(c Commit) string {
	text := shortID(c.ID) + " " + Clean(c.Subject)
	if author := Clean(c.Author); author != "" {
		text += " (" + author + ")"
	}
	return text
}

// verdictLines are a verdict as lines of text.
func verdictLines(v *verdictView) []string {
	if v == nil {
		return nil
	}
	lines := []string{"verdict: " + v.Title}
	for _, trial := range v.Tried {
		lines = append(lines, "  "+trial.Text)
		if trial.Command != "" {
			lines = append(lines, "    $ "+trial.Command)
		}
		if trial.Log != "" {
			lines = append(lines, "    log: "+trial.Log)
		}
	}
	return append(append(lines, listed("package", v.Packages)...), listed("commit", v.Commits)...)
}

// maxListed is how many packages or commits the text lists; the page and the record have all.
const maxListed = 20

// listed are things with a line that counts them.
func listed(thing string, things []string) []string {
	if len(things) == 0 {
		return nil
	}
	lines := []string{"  " + Count(int64(len(things)), thing) + " between:"}
	for _, t := range things[:min(len(things), maxListed)] {
		lines = append(lines, "    "+t)
	}
	if more := len(things) - maxListed; more > 0 {
		lines = append(lines, "    and "+Thousands(int64(more))+" more")
	}
	return lines
}
