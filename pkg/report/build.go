package report

import (
	"strings"
	"time"
)

// Build is what became of an image in a run. The image's ID is the Result's ImageID.
type Build struct {
	// Current says that the image was what it would have been built to: nothing was done.
	Current bool `json:"current,omitempty"`
	// Built is when the image that has the name now was built; zero: there is none.
	Built time.Time `json:"built,omitzero"`
	// Why is why it was built, in words: "the Dockerfile has changed".
	Why          string `json:"why,omitempty"`
	Builder      string `json:"builder,omitempty"`       // what built it: BuildKit, classic, Podman
	Size         int64  `json:"size,omitempty"`          // bytes, parents included
	PreviousID   string `json:"previous_id,omitempty"`   // the ID of the image that had the name before
	PreviousSize int64  `json:"previous_size,omitempty"` // bytes
	Packages     int    `json:"packages,omitempty"`      // how many are installed in it; 0: not known
	// Changes are the packages that are not as in the image before.
	Changes []PackageChange `json:"changes,omitempty"`
}

// Package is a package that is installed in an image.
type Package struct {
	Manager string `json:"manager"` // what installed it: dpkg, apk, rpm, opam, pip, npm
	Name    string `json:"name"`
	Version string `json:"version"`
}

// PackageChange is a package whose version in two images is not the same.
type PackageChange struct {
	Manager string `json:"manager"`
	Name    string `json:"name"`
	From    string `json:"from,omitempty"` // empty: it was added
	To      string `json:"to,omitempty"`   // empty: it is gone
}

// shortID is an image's ID as the docker command shows it.
func shortID(id string) string {
	id = Clean(strings.TrimPrefix(id, "sha256:"))
	return id[:min(12, len(id))]
}

// currentSince says that nothing was to be done; empty when something was.
func currentSince(step *Result) string {
	if step.Build == nil || !step.Build.Current {
		return ""
	}
	return "current since " + step.Build.Built.Format(TimeLayout)
}

// imageLine is a built image in one line: "4f8c0d12ab34, 1.03GB, 12.4MB more than before".
func imageLine(step *Result) string {
	b := step.Build
	if b == nil || step.ImageID == "" {
		return ""
	}
	line := shortID(step.ImageID)
	if b.Size > 0 {
		line += ", " + Size(b.Size)
	}
	switch grown := b.Size - b.PreviousSize; {
	case b.Size <= 0 || b.PreviousSize <= 0 || b.Current:
	case grown > 0:
		line += ", " + Size(grown) + " more than before"
	case grown < 0:
		line += ", " + Size(-grown) + " less than before"
	default:
		line += ", as before"
	}
	return line
}

// whyLine is why an image was built.
func whyLine(step *Result) string {
	if step.Build == nil || step.Build.Current {
		return ""
	}
	return Clean(step.Build.Why)
}

// diskLine is the engine's disk in one line: "74GB free of 252GB, 1.2GB less than before".
func diskLine(d Disk) string {
	if d.Total == 0 {
		return ""
	}
	free := d.FreeAfter
	if free == 0 {
		free = d.FreeBefore
	}
	line := Size(free) + " free of " + Size(d.Total) + " where the engine keeps images"
	if used := d.FreeBefore - free; used > 0 {
		line += ", " + Size(used) + " less than before the run"
	}
	return line
}
