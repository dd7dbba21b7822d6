package render

import (
	"strings"

	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// shortID returns the first 12 digits of an image's ID or of a commit, as docker and git show them.
func shortID(id string) string {
	id = plain.Clean(strings.TrimPrefix(id, "sha256:"))
	return id[:min(12, len(id))]
}

// stepCommit returns the commit of a test's directory in words.
func stepCommit(step *report.Result) string {
	if step.Commit == "" {
		return ""
	}
	text := shortID(step.Commit)
	if step.Dirty {
		text += ", with uncommitted changes"
	}
	if step.Untrusted {
		text += " (as the test's own directory says)"
	}
	return text
}

// currentSince returns since when an image is current, or "" if something was done.
func currentSince(step *report.Result) string {
	if step.Build == nil || !step.Build.Current {
		return ""
	}
	return "current since " + step.Build.Built.Format(report.TimeLayout)
}

// imageLine returns a built image in one line: "4f8c0d12ab34, 1.03GB, 12.4MB larger than before".
func imageLine(step *report.Result) string {
	b := step.Build
	if b == nil || step.ImageID == "" {
		return ""
	}
	line := shortID(step.ImageID)
	if b.Size > 0 {
		line += ", " + report.Size(b.Size)
	}
	switch grown := b.Size - b.PreviousSize; {
	case b.Size <= 0 || b.PreviousSize <= 0 || b.Current:
	case grown > 0:
		line += ", " + report.Size(grown) + " larger than before"
	case grown < 0:
		line += ", " + report.Size(-grown) + " smaller than before"
	default:
		line += ", same size as before"
	}
	return line
}

// whyLine returns why an image was built.
func whyLine(step *report.Result) string {
	if step.Build == nil || step.Build.Current {
		return ""
	}
	return plain.Clean(step.Build.Why)
}

// diskLine returns the engine's disk in one line: "74GB free of 252GB where the engine keeps images, 1.2GB less than before the run".
func diskLine(d report.Disk) string {
	if d.Total == 0 {
		return ""
	}
	free := d.FreeAfter
	if free == 0 {
		free = d.FreeBefore
	}
	line := report.Size(free) + " free of " + report.Size(d.Total) + " where the engine keeps images"
	if used := d.FreeBefore - free; used > 0 {
		line += ", " + report.Size(used) + " less than before the run"
	}
	return line
}

// deployedLine returns a deployment in one line: "prod.example.org runs 2026-11-22T03-00-04, outage 0.4s, …".
func deployedLine(step *report.Result) string {
	d := step.Deployment
	if d == nil || d.Release == "" {
		return ""
	}
	line := d.Host + " runs " + d.Release
	if d.RolledBack {
		line += " again"
	}
	if d.Commit != "" {
		line += " (commit " + report.ShortCommit(d.Commit) + ")"
	}
	switch {
	case d.Handover:
		line += ", handed over without an outage"
	case d.Previous != "":
		line += ", outage " + d.Outage.String()
	}
	if d.Bytes > 0 {
		line += ", " + report.Size(d.Bytes) + " sent"
	}
	if d.Previous != "" {
		line += ", previously " + d.Previous
	}
	return plain.Clean(strings.TrimSpace(line))
}
