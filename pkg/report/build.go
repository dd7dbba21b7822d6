package report

import (
	"slices"
	"strings"
	"time"

	"runtests/pkg/plain"
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

// String is the change as a person says it: "libgmp10 6.2.1 → 6.3.0", "m4 1.4 added".
func (c PackageChange) String() string {
	name := plain.Clean(c.Name)
	switch {
	case c.From == "":
		return name + " " + plain.Clean(c.To) + " added"
	case c.To == "":
		return name + " " + plain.Clean(c.From) + " removed"
	}
	return name + " " + plain.Clean(c.From) + " → " + plain.Clean(c.To)
}

// PackagesLine is what is installed in the image, in one line of at most about a thousand
// bytes: "412, 3 changed: libgmp10 6.2.1 → 6.3.0, …, 1 added: ocaml 5.2, 1 removed: m4 1.4".
// It is empty when nothing is known.
func (b *Build) PackagesLine() string {
	if b.Packages == 0 && len(b.Changes) == 0 {
		return ""
	}
	var changed, added, removed []string
	for _, c := range b.Changes {
		name := brief(c.Name)
		switch {
		case c.From == "":
			added = append(added, name+" "+brief(c.To))
		case c.To == "":
			removed = append(removed, name+" "+brief(c.From))
		default:
			changed = append(changed, name+" "+brief(c.From)+" → "+brief(c.To))
		}
	}
	parts := []string{Thousands(int64(b.Packages))}
	for _, some := range []struct {
		are   string
		which []string
	}{{"changed", changed}, {"added", added}, {"removed", removed}} {
		if len(some.which) > 0 {
			parts = append(parts, Thousands(int64(len(some.which)))+" "+some.are+": "+fewOf(some.which))
		}
	}
	return strings.Join(parts, ", ")
}

// fewOf names some of many.
func fewOf(all []string) string {
	const few = 3
	if len(all) > few {
		all = append(slices.Clone(all[:few]), "…")
	}
	return strings.Join(all, ", ")
}

// brief is a name or a version as a line has room for it.
func brief(s string) string {
	const most = 40 // characters
	runes := []rune(plain.Clean(s))
	if len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return string(runes)
}
