// Package images brings the images of a suite up to date: it reads from the Dockerfiles which
// image is built on which, decides which images are current, builds the others, and lists the
// earlier builds that nobody needs any more.
//
// An image that is built in the run R is called REPO:R as soon as it is complete, and only then
// gets its own name: a build that fails, or is killed, leaves that name where it was. All that
// is remembered of a build is in the image's labels.
package images

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"runtests/pkg/nearest"
	"runtests/pkg/suite"
)

// Image is an image to bring up to date, and the images that it is built on.
type Image struct {
	suite.Image
	Needs []string // names of images that the suite builds, in its order
	Bases []string // references of images that come from elsewhere, in the Dockerfile's order

	parents map[string]string // the references of Needs, by name
	base    string            // the reference of the image whose layers it begins with; empty: none
}

// Plan returns the chain of the wanted images and of those that they are built on: parents before
// children, otherwise in the suite's order. It ignores wanted images that are not built.
//
// A parent that the engine does not have, and whose name is near that of an image of the suite,
// is a misspelling. onEngine reports whether the engine has an image of that reference; if it is
// nil, every parent is taken as it is written. The error is of type Faults: all that is wrong
// with the wanted images and with those that they are built on.
func Plan(all []suite.Image, wanted []string, onEngine func(reference string) bool) ([]Image, error) {
	p := planner{all: all, onEngine: onEngine, byReference: map[string]string{}, visited: map[string]bool{}}
	p.index()
	for _, name := range p.inOrder(wanted) {
		p.visit(name)
	}
	if len(p.faults) > 0 {
		return nil, p.faults
	}
	return p.chain, nil
}

// planner is a Plan under way.
type planner struct {
	all         []suite.Image
	onEngine    func(string) bool
	byReference map[string]string // the names of the images that are built
	visited     map[string]bool
	path        []string // the images whose visit has begun, each built on the next
	chain       []Image
	faults      Faults
}

func (p *planner) fail(image, remedy string, err error) {
	p.faults = append(p.faults, &Fault{Image: image, Err: err, Remedy: remedy})
}

// index fills byReference.
func (p *planner) index() {
	for _, image := range p.all {
		if image.Build == nil {
			continue
		}
		name, err := familiar(image.Reference)
		if err != nil {
			p.fail(image.Name, "", err)
			continue
		}
		if other, taken := p.byReference[name]; taken {
			p.fail(image.Name, "give each built image its own name (image: NAME)", fmt.Errorf("image %q is built as %s too", other, name))
			continue
		}
		if _, err := runTag(name, longestRun); err != nil {
			p.fail(image.Name, "give it a shorter tag (image: NAME:TAG)", err)
			continue
		}
		p.byReference[name] = image.Name
	}
}

// inOrder returns the wanted names in the suite's order, each once.
func (p *planner) inOrder(wanted []string) (names []string) {
	var known []string
	for _, image := range p.all {
		known = append(known, image.Name)
		if slices.Contains(wanted, image.Name) {
			names = append(names, image.Name)
		}
	}
	for _, name := range wanted {
		if !slices.Contains(known, name) {
			p.fail("", nearest.Hint(name, known), fmt.Errorf("the suite has no image %q", name))
		}
	}
	return names
}

// visit adds an image to the chain, after those that it is built on.
func (p *planner) visit(name string) {
	if slices.Contains(p.path, name) {
		p.cycle(name)
		return
	}
	if p.visited[name] {
		return
	}
	p.visited[name] = true
	p.path = append(p.path, name)
	if image := p.read(name); image != nil {
		for _, need := range image.Needs {
			p.visit(need)
		}
		p.chain = append(p.chain, *image)
	}
	p.path = p.path[:len(p.path)-1]
}

// cycle adds the fault of images that are built on each other: the end of the path, and name.
func (p *planner) cycle(name string) {
	members := append(slices.Clone(p.path[slices.Index(p.path, name):]), name)
	if len(members) == 2 {
		p.fail(name, "give one of the two another name or another tag", errors.New("its Dockerfile builds it on itself"))
		return
	}
	p.fail(name, "build one of them on another image", fmt.Errorf("it is built on itself: %s", strings.Join(members, " → ")))
}

// read returns an image with those that it is built on. It returns nil if the image is not built,
// or is at fault.
func (p *planner) read(name string) *Image {
	entry := p.all[p.place(name)]
	if entry.Build == nil {
		return nil
	}
	file, err := readBuild(*entry.Build)
	if err != nil {
		p.fail(name, remedyFor(err), err)
		return nil
	}
	image := &Image{Image: entry, parents: map[string]string{}, base: file.base}
	for _, o := range file.origins {
		need, ours := p.byReference[o.reference]
		if !ours {
			p.checkBase(entry, o)
			image.Bases = append(image.Bases, o.reference)
			continue
		}
		image.Needs = append(image.Needs, need)
		image.parents[need] = o.reference
	}
	slices.SortFunc(image.Needs, func(a, b string) int { return p.place(a) - p.place(b) })
	return image
}

// place returns the index of an image in the suite.
func (p *planner) place(name string) int {
	return slices.IndexFunc(p.all, func(i suite.Image) bool { return i.Name == name })
}

// readBuild reads the Dockerfile of a build, and checks that its context is a directory.
func readBuild(build suite.Build) (*dockerfile, error) {
	info, err := os.Stat(build.Context)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read its context: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("its context %s is not a directory", build.Context)
	}
	file, err := readDockerfile(build)
	var line *lineError
	if err != nil && !errors.As(err, &line) {
		err = fmt.Errorf("read its Dockerfile: %w", err)
	}
	return file, err
}

func remedyFor(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "correct `build` in the suite file: `context` is a directory, `dockerfile` a path relative to it"
	case errors.Is(err, fs.ErrPermission):
		return "allow this user to read it"
	}
	return ""
}

// checkBase adds a fault if a parent that the suite does not build is probably a misspelling of
// one that it does. A parent with a registry in its name was meant as it is.
func (p *planner) checkBase(image suite.Image, o origin) {
	named, err := reference.ParseNormalizedNamed(o.reference)
	if err != nil || reference.Domain(named) != "docker.io" {
		return
	}
	own := repository(image.Reference)
	var candidates, references []string // of the built images, without and with their tags
	for _, other := range p.all {
		if repo := repository(other.Reference); other.Build != nil && repo != own {
			candidates, references = append(candidates, repo), append(references, other.Reference)
		}
	}
	parent := reference.FamiliarName(named)
	meant := nearest.Of(parent, candidates)
	if meant == "" || meant != parent && len(parent) < 4 { // other people's images have names as short as that: gcc, go
		return
	}
	if parent == own || p.onEngine == nil || p.onEngine(o.reference) {
		return
	}
	if meant == parent { // another tag
		meant = references[slices.Index(candidates, meant)]
	}
	p.fail(image.Name, fmt.Sprintf("did you mean %q? If not, get the image first: docker pull %s", meant, o.reference),
		&lineError{file: image.Build.Dockerfile, line: o.line, err: fmt.Errorf("no image of the suite is called %q, and the engine has none", o.reference)})
}
