// Package images brings the images of a suite up to date: it reads from the Dockerfiles
// what stands on what, tells what is provably current from what is to be built, builds
// it, and knows which builds of before nobody needs any more.
//
// An image N that is built in the run R is REPO:R from the moment it is complete, and N
// is moved to it only then: a build that fails, or is killed, leaves N where it was.
// All that is remembered of a build is in the image's labels.
package images

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/distribution/reference"

	"runtests/pkg/suite"
)

// Chain is the images to bring up to date: parents before children, otherwise in the
// suite's order.
type Chain struct {
	Images []Image
}

// Image is an image of a chain, and what it stands on.
type Image struct {
	suite.Image
	Needs []string // names of images of the chain, in the suite's order
	Bases []string // references of images that come from elsewhere, in the Dockerfile's order

	parents map[string]string // the references of Needs, by name
	base    string            // the reference that its file system begins with; empty: none
}

// Fault is something that keeps a chain from being built.
type Fault struct {
	Image  string // the name of the image; empty: the suite as a whole
	Err    error
	Remedy string
}

func (f *Fault) Error() string {
	if f.Image == "" {
		return f.Err.Error()
	}
	return fmt.Sprintf("image %q: %v", f.Image, f.Err)
}

// Unwrap returns the fault itself.
func (f *Fault) Unwrap() error { return f.Err }

// Hint returns the remedy.
func (f *Fault) Hint() string { return f.Remedy }

// Faults is all that is wrong with a chain, in the suite's order.
type Faults []*Fault

// Error prints a fault per line, each with its remedy under it.
func (f Faults) Error() string {
	var lines []string
	for _, one := range f {
		lines = append(lines, one.Error())
		if one.Remedy != "" {
			lines = append(lines, "  "+one.Remedy)
		}
	}
	return strings.Join(lines, "\n")
}

// Plan finds what the wanted images stand on, and puts them all in an order to build them
// in. Names of images that are not built are fine; there is nothing to build for them.
//
// A parent whose name is near that of an image of the suite is taken for a slip of the pen
// unless onEngine says that the engine has an image of that reference; a nil onEngine: it
// is taken as it stands. The error is of type Faults: all that is wrong with the wanted
// images and with what they stand on.
func Plan(all []suite.Image, wanted []string, onEngine func(reference string) bool) (*Chain, error) {
	p := planner{
		all: all, onEngine: onEngine,
		byReference: map[string]string{}, state: map[string]visit{}, planned: map[string]*Image{},
	}
	p.index()
	for _, name := range p.inOrder(wanted) {
		p.visit(name)
	}
	if len(p.faults) > 0 {
		return nil, p.faults
	}
	return &p.chain, nil
}

// visit is how far an image has been looked at.
type visit int

const (
	begun visit = iota + 1
	done
)

type planner struct {
	all         []suite.Image
	onEngine    func(string) bool
	byReference map[string]string // the names of the images that are built
	state       map[string]visit
	path        []string // the images that are begun, each standing on the one after it
	planned     map[string]*Image
	chain       Chain
	faults      Faults
}

func (p *planner) fail(image, remedy string, err error) {
	p.faults = append(p.faults, &Fault{Image: image, Err: err, Remedy: remedy})
}

// index finds the images by what the engine calls them.
func (p *planner) index() {
	for _, one := range p.all {
		if one.Build == nil {
			continue
		}
		name, err := familiar(one.Reference)
		if err != nil {
			p.fail(one.Name, "", err)
			continue
		}
		if other, taken := p.byReference[name]; taken {
			p.fail(one.Name, "each built image needs a name of its own (image: NAME)", fmt.Errorf("image %q is built as %s too", other, name))
			continue
		}
		if _, err := runTag(name, longestRun); err != nil {
			p.fail(one.Name, "give it a shorter tag (image: NAME:TAG)", err)
			continue
		}
		p.byReference[name] = one.Name
	}
}

// inOrder are the wanted images in the suite's order, each once.
func (p *planner) inOrder(wanted []string) (names []string) {
	var known []string
	for _, one := range p.all {
		known = append(known, one.Name)
		if slices.Contains(wanted, one.Name) {
			names = append(names, one.Name)
		}
	}
	for _, name := range wanted {
		if !slices.Contains(known, name) {
			remedy := ""
			if near, ok := nearest(name, known); ok {
				remedy = fmt.Sprintf("did you mean %q?", near)
			}
			p.fail("", remedy, fmt.Errorf("the suite has no image %q", name))
		}
	}
	return names
}

// visit adds an image to the chain, after what it stands on.
func (p *planner) visit(name string) {
	switch p.state[name] {
	case done:
		return
	case begun:
		p.cycle(name)
		return
	}
	p.state[name] = begun
	p.path = append(p.path, name)
	if image := p.read(name); image != nil {
		for _, need := range image.Needs {
			p.visit(need)
		}
		p.chain.Images = append(p.chain.Images, *image)
	}
	p.path = p.path[:len(p.path)-1]
	p.state[name] = done
}

// cycle tells of images that stand on each other: the end of the path, and name again.
func (p *planner) cycle(name string) {
	members := append(slices.Clone(p.path[slices.Index(p.path, name):]), name)
	if len(members) == 2 {
		p.fail(name, "give one of the two another name or another tag", errors.New("its Dockerfile builds it on itself"))
		return
	}
	p.fail(name, "one of them must stand on something else", fmt.Errorf("it stands on itself: %s", strings.Join(members, " → ")))
}

// read finds what an image stands on; nil when it is not built, or is at fault.
func (p *planner) read(name string) *Image {
	one := p.all[slices.IndexFunc(p.all, func(i suite.Image) bool { return i.Name == name })]
	if one.Build == nil {
		return nil
	}
	file, err := readBuild(*one.Build)
	if err != nil {
		p.fail(name, remedyFor(err), err)
		return nil
	}
	image := &Image{Image: one, parents: map[string]string{}, base: file.base}
	for _, o := range file.origins {
		need, ours := p.byReference[o.reference]
		if !ours {
			p.doubt(one, o)
			image.Bases = append(image.Bases, o.reference)
			continue
		}
		image.Needs = append(image.Needs, need)
		image.parents[need] = o.reference
	}
	p.sort(image.Needs)
	return image
}

// readBuild reads the Dockerfile of a build whose context is there.
func readBuild(build suite.Build) (*dockerfile, error) {
	info, err := os.Stat(build.Context)
	switch {
	case err != nil:
		return nil, fmt.Errorf("look at its context: %w", err)
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
		return "see `build` in the suite file: `context` is a directory, `dockerfile` is a path from there"
	case errors.Is(err, fs.ErrPermission):
		return "give this user the right to read it"
	}
	return ""
}

// sort puts names in the suite's order.
func (p *planner) sort(names []string) {
	place := func(name string) int {
		return slices.IndexFunc(p.all, func(i suite.Image) bool { return i.Name == name })
	}
	slices.SortFunc(names, func(a, b string) int { return place(a) - place(b) })
}

// doubt is about a parent that is none of ours: its name may be ours with a slip of the
// pen. One that names a registry was meant as it is.
func (p *planner) doubt(image suite.Image, o origin) {
	named, err := reference.ParseNormalizedNamed(o.reference)
	if err != nil || reference.Domain(named) != "docker.io" {
		return
	}
	own := repository(image.Reference)
	var candidates []string
	for _, one := range p.all {
		if repo := repository(one.Reference); one.Build != nil && repo != own {
			candidates = append(candidates, repo)
		}
	}
	parent := reference.FamiliarName(named)
	meant, near := nearest(parent, candidates)
	if !near || parent == own || p.onEngine == nil || p.onEngine(o.reference) {
		return
	}
	if meant == parent { // another tag
		meant = p.referenceOf(meant)
	}
	p.fail(image.Name, fmt.Sprintf("did you mean %q? If not, get the image first: docker pull %s", meant, o.reference),
		&lineError{file: image.Build.Dockerfile, line: o.line, err: fmt.Errorf("no image of the suite is called %q, and the engine has none", o.reference)})
}

// referenceOf is the reference of the first built image of that repository.
func (p *planner) referenceOf(repo string) string {
	for _, one := range p.all {
		if one.Build != nil && repository(one.Reference) == repo {
			return one.Reference
		}
	}
	return repo
}

// repository is a reference without its tag, familiar.
func repository(text string) string {
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return text
	}
	return reference.FamiliarName(named)
}

// nearest is the candidate that differs least from name: in one letter, in two if the name
// is long, in none if it is very short.
func nearest(name string, candidates []string) (best string, ok bool) {
	distance := min(2+len(name)/12, (len(name)+2)/3)
	for _, c := range candidates {
		if d := levenshtein.Distance(name, c, nil); d < distance {
			best, distance, ok = c, d, true
		}
	}
	return best, ok
}
