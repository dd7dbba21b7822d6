package report

import "strings"

// Deployment is the promotion of a container to production in a run.
type Deployment struct {
	Host       string   `json:"host"`                  // the production machine
	Release    string   `json:"release,omitempty"`     // the tag of the image that runs there now; empty: unchanged
	Run        string   `json:"run,omitempty"`         // the ID of the run that tested it
	Commit     string   `json:"commit,omitempty"`      // the git commit of the test's directory
	Previous   string   `json:"before,omitempty"`      // the tag of the image that ran there until then
	Bytes      int64    `json:"bytes,omitempty"`       // how much of the image was sent
	Outage     Duration `json:"outage_seconds"`        // how long production did not answer
	Handover   bool     `json:"handover,omitempty"`    // the new version answered before the old one was stopped
	RolledBack bool     `json:"rolled_back,omitempty"` // an earlier version was restored
}

// ShortCommit returns the first 12 digits of a commit, and the marks after them: "1a2b3c4d5e6f-dirty".
func ShortCommit(commit string) string {
	id, marks, marked := strings.Cut(commit, "-")
	if marked {
		marks = "-" + marks
	}
	return id[:min(12, len(id))] + marks
}
