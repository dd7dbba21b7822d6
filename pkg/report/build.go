package report

import "time"

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
