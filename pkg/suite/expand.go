package suite

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// maxSteps bounds tests × images.
const maxSteps = 10_000

// outside is what the steps of a test depend on beside the test itself. It serves directories that
// the suite does not name, too.
type outside struct {
	images   []Image
	defaults settings
	over     overrides
	env      Env
}

// expander makes steps from tests.
type expander struct {
	d *decoder
	outside
	steps   []Step
	names   map[string]bool // of the steps so far
	tests   []string        // the names so far
	entries []entry
	full    bool // the bound on steps was reported
}

// read reads a mapping of tests, or globs that name their directories.
func (e *expander) read(v value) {
	switch {
	case v.isNull():
	case v.isMapping():
		for _, p := range v.pairs("tests") {
			e.test(p)
		}
	default:
		e.globs(v)
	}
}

// test adds an entry of `tests`.
func (e *expander) test(p pair) {
	s := e.defaults
	good := p.named("a test", properName)
	s.read = s.testKeys().decode(p.value)
	if s.dir == "" {
		s.dir = filepath.Join("tests", p.name)
	}
	if good {
		e.add(p.key, p.name, e.d.from.abs(s.dir), s)
	}
}

// globs adds the directories that globs match, each once.
func (e *expander) globs(v value) {
	items, _ := v.items(true)
	seen := map[string]bool{}
	for _, item := range items {
		for _, dir := range e.d.directories(item) {
			if !seen[dir] {
				seen[dir] = true
				e.directory(item, dir)
			}
		}
	}
}

// directory adds a directory that a glob matched as a test.
func (e *expander) directory(v value, dir string) {
	test := filepath.Base(dir)
	if _, err := properName(test); err != nil {
		v.fail("rename it, or write tests as a mapping", "directory %s: the name of a test %v", quoted(dir), err)
		return
	}
	if slices.Contains(e.tests, test) {
		v.fail("write tests as a mapping, with a name for each", "two directories would be test %s", quoted(test))
		return
	}
	s := e.defaults
	s.read = nil
	e.add(v, test, dir, s)
}

// directories returns the directories that a glob matches, except hidden ones.
func (d *decoder) directories(v value) []string {
	pattern, ok := parsed(v, filePath)
	if !ok {
		return nil
	}
	full := pattern
	if !filepath.IsAbs(pattern) {
		full = filepath.Join(globEscape.Replace(d.from.dir), pattern)
	}
	dirs, err := d.files.directories(full)
	if err != nil {
		v.fail("a * stands for any text, a ? for one character, [a-z] for a range", "tests: %s is not a pattern", quoted(pattern))
		return nil
	}
	if len(dirs) == 0 {
		v.fail("paths start from the directory of the suite file", "tests: no directory matches %s", quoted(pattern))
	}
	return dirs
}

var globEscape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// add adds the steps of a test, one for each of its images.
func (e *expander) add(at value, test, dir string, s settings) {
	e.tests = append(e.tests, test)
	e.entries = append(e.entries, entry{test, dir, at, s})
	e.checkTogether(at, &s)
	e.checkSockets(at, dir, &s)
	uses := e.imagesOf(at, s)
	given := s.read["image"].given() || e.defaults.read["image"].given() // and then it was at fault itself
	if len(uses) == 0 && !given {
		at.fail("give it image: NAME, or give one in defaults, or run with --image IMAGE", "test %s has no image", quoted(test))
	}
	for _, use := range uses {
		e.addStep(use, test, dir, s)
	}
}

// imagesOf returns the images a test runs on: the command line's, else its own or the
// defaults', else the only one of the suite.
func (e *expander) imagesOf(at value, s settings) []imageUse {
	switch {
	case e.over.Image != "":
		return []imageUse{{e.over.Image, at.node}}
	case len(s.images) > 0:
		return s.images
	case len(e.images) == 1:
		return []imageUse{{e.images[0].Name, at.node}}
	}
	return nil
}

func (e *expander) addStep(use imageUse, test, dir string, s settings) {
	at := e.d.value(use.node)
	img := Image{Name: use.name, Reference: use.name}
	if i := slices.IndexFunc(e.images, func(named Image) bool { return named.Name == use.name }); i >= 0 {
		img = e.images[i]
	} else if _, err := imageReference(use.name); err != nil {
		at.fail(hint.Of(err), "image %v, not %s", err, quoted(use.name))
		return
	}
	step := newStep(test, use.name, dir, img, s, e.over)
	switch {
	case len(step.Name) > maxStepName:
		at.fail("give the image a short name in images", "the step's name %s is longer than %d bytes", quoted(step.Name), maxStepName)
	case e.names[step.Name]:
		at.fail("give one of the images a name of its own in images", "two steps would be named %s", quoted(step.Name))
	case len(e.steps) < maxSteps:
		e.names[step.Name] = true
		e.steps = append(e.steps, step)
	case !e.full:
		at.fail("", "the suite has more than %d steps", maxSteps)
		e.full = true
	}
}

// checkTogether reports the keys that exclude each other.
func (e *expander) checkTogether(at value, s *settings) {
	if s.mount == Copied && s.ReadOnly {
		s.read.or(at, "mount", "read_only").fail("use mount: ro, or read_only: false",
			"mount: copy and read_only: true exclude each other: nothing can be copied into a read-only container")
	}
	if s.MacAddress+e.over.MacAddress != "" && !s.ownNetwork() {
		s.read.or(at, "network_mode", "mac_address").fail(`mac_address: "" removes the default`,
			"a container with network_mode: %s cannot have a MAC address of its own", s.NetworkMode)
	}
	s.checkTmpfs(at)
}

// checkSockets reports mounts that contain an engine's socket. A suite gives a test the engine by
// mounting the socket itself, not by mounting a directory above it.
func (e *expander) checkSockets(at value, dir string, s *settings) {
	sockets := e.d.env.engineSockets()
	if nameSocket(s.volumes, sockets) || nameSocket(e.over.volumes, sockets) {
		return
	}
	for _, v := range s.volumes {
		if err := checkSocket(v.mount, sockets, e.d.files); err != nil {
			s.read.or(at, "volumes").fail(hint.Of(err), "%v", err)
		}
	}
	if s.mount == Copied {
		return
	}
	if err := checkSocket(container.Mount{Source: dir}, sockets, e.d.files); err != nil {
		s.read.or(at, "dir").fail(hint.Of(err), "%v", err)
	}
}

// newStep returns the step of a test on one image.
func newStep(test, imageName, dir string, img Image, s settings, over overrides) Step {
	step := Step{
		Name: stepName(test, imageName), Test: test, Image: imageName,
		Dir: dir, Mount: s.mount, Timeout: cmp.Or(over.Timeout, s.timeout), Retries: s.retries,
		PullPolicy: cmp.Or(s.pullPolicy, img.PullPolicy, PullMissing), Container: s.container(),
	}
	if img.Build != nil { // it is nowhere else
		step.PullPolicy = PullNever
	}
	c := &step.Container
	c.Image = img.Reference
	c.MacAddress = cmp.Or(over.MacAddress, c.MacAddress)
	if len(c.Command) == 0 {
		c.Command = []string{testDir + "/test.sh"}
	}
	step.Script = c.Command[0] == testDir+"/test.sh"
	if step.Mount == Copied {
		c.Copies = []container.Copy{{Source: step.Dir, Target: testDir}}
	} else {
		c.Mounts = []container.Mount{{Source: step.Dir, Target: testDir, ReadOnly: step.Mount == ReadOnly}}
	}
	addVolumes(c, mergeVolumes(s.volumes, over.volumes))
	return step
}

// stepName returns TEST@IMAGE. It becomes a file name, so slashes become underscores.
func stepName(test, image string) string {
	return test + "@" + strings.ReplaceAll(image, "/", "_")
}
