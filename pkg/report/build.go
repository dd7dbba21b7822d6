package report

import (
	"slices"
	"strings"
	"time"

	"runtests/pkg/plain"
)

// Build is the build of an image in a run. The image's ID is in Result.ImageID.
type Build struct {
	Current      bool      `json:"current,omitempty"`       // the image was up to date, so nothing was done
	Built        time.Time `json:"built,omitzero"`          // when the present image was built; zero: there is none
	Why          string    `json:"why,omitempty"`           // why it was built: "the Dockerfile has changed"
	Builder      string    `json:"builder,omitempty"`       // what built it: BuildKit, classic, Podman
	Size         int64     `json:"size,omitempty"`          // bytes, parents included
	PreviousID   string    `json:"previous_id,omitempty"`   // the ID of the previous image of that name
	PreviousSize int64     `json:"previous_size,omitempty"` // bytes
	Packages     int       `json:"packages,omitempty"`      // how many are installed in it; 0: not known

	Changes []PackageChange `json:"changes,omitempty"` // since the previous image
}

// Package is a package installed in an image.
type Package struct {
	Manager string `json:"manager"` // what installed it: dpkg, apk, rpm, opam, pip, npm
	Name    string `json:"name"`
	Version string `json:"version"`
}

// PackageChange is a package that differs between two images.
type PackageChange struct {
	Manager string `json:"manager"`
	Name    string `json:"name"`
	From    string `json:"from,omitempty"` // empty: the package was added
	To      string `json:"to,omitempty"`   // empty: the package was removed
}

// String returns the change in words: "libgmp10 6.2.1 → 6.3.0", "m4 1.4 added".
func (c PackageChange) String() string {
	text, change := c.words(plain.Clean)
	if change == "changed" {
		return text
	}
	return text + " " + change
}

// words returns the name and the versions, each passed through clean, and how the package changed.
func (c PackageChange) words(clean func(string) string) (text, change string) {
	text, from, to := clean(c.Name)+" ", clean(c.From), clean(c.To)
	switch {
	case c.From == "":
		return text + to, "added"
	case c.To == "":
		return text + from, "removed"
	}
	return text + from + " → " + to, "changed"
}

// PackagesLine returns what is installed in the image, in one line of at most about a thousand bytes:
// "412, 3 changed: libgmp10 6.2.1 → 6.3.0, …, 1 added: ocaml 5.2, 1 removed: m4 1.4". It returns ""
// if nothing is known.
func (b *Build) PackagesLine() string {
	if b.Packages == 0 && len(b.Changes) == 0 {
		return ""
	}
	groups := map[string][]string{}
	for _, c := range b.Changes {
		text, change := c.words(brief)
		groups[change] = append(groups[change], text)
	}
	parts := []string{Thousands(int64(b.Packages))}
	for _, change := range []string{"changed", "added", "removed"} {
		if packages := groups[change]; len(packages) > 0 {
			parts = append(parts, Thousands(int64(len(packages)))+" "+change+": "+firstFew(packages))
		}
	}
	return strings.Join(parts, ", ")
}

// firstFew lists the first three of all.
func firstFew(all []string) string {
	const few = 3
	if len(all) > few {
		all = append(slices.Clone(all[:few]), "…")
	}
	return strings.Join(all, ", ")
}

// brief returns a name or a version, cleaned and cut to 40 characters.
func brief(s string) string {
	const most = 40 // characters
	runes := []rune(plain.Clean(s))
	if len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return string(runes)
}
