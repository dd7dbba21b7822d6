package report

import "strings"

// Deployment is what became of a deployment in a run.
type Deployment struct {
	Host       string   `json:"host"`                  // the production machine
	Release    string   `json:"release,omitempty"`     // the tag of the image that runs there now; empty: as before
	Run        string   `json:"run,omitempty"`         // the ID of the run that tested it
	Commit     string   `json:"commit,omitempty"`      // the git commit of the test's directory
	Before     string   `json:"before,omitempty"`      // the tag of the image that ran there before
	Bytes      int64    `json:"bytes,omitempty"`       // sent there of the image
	Outage     Duration `json:"outage_seconds"`        // how long nothing answered there
	Handover   bool     `json:"handover,omitempty"`    // the new version answered before the old one was stopped
	RolledBack bool     `json:"rolled_back,omitempty"` // it was gone back to
}

// deployedLine is a deployment in one line: "prod.example.org runs 2026-11-22T03-00-04, outage 0.4s, …".
func deployedLine(step *Result) string {
	d := step.Deployment
	if d == nil || d.Release == "" {
		return ""
	}
	line := d.Host + " runs " + d.Release
	if d.RolledBack {
		line = d.Host + " runs " + d.Release + " again"
	}
	if d.Commit != "" {
		line += " (commit " + d.Commit[:min(12, len(d.Commit))] + ")"
	}
	switch {
	case d.Handover:
		line += ", handed over without an outage"
	case d.Before != "":
		line += ", outage " + d.Outage.String()
	}
	if d.Bytes > 0 {
		line += ", " + Size(d.Bytes) + " sent"
	}
	if d.Before != "" {
		line += ", before " + d.Before
	}
	return Clean(strings.TrimSpace(line))
}
