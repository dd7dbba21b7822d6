package suite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// maxSteps bounds tests × images.
const maxSteps = 10_000

// overrides are Overrides, checked.
type overrides struct {
	image   string
	timeout time.Duration
	volumes []volume
	mac     string
}

// check returns all that is wrong with the overrides in one error.
func (o Overrides) check(env Env) (overrides, error) {
	over := overrides{image: o.Image, timeout: o.Timeout, mac: o.MacAddress}
	var faults []error
	if o.Image != "" {
		if _, err := imageReference(o.Image); err != nil {
			faults = append(faults, fmt.Errorf("image %s: it %w", quoted(o.Image), err))
		}
	}
	if _, err := macAddress(o.MacAddress); err != nil {
		faults = append(faults, fmt.Errorf("MAC address %s: it %w", quoted(o.MacAddress), err))
	}
	if o.Timeout < 0 || o.Timeout > maxDuration {
		faults = append(faults, fmt.Errorf("timeout %s: it must be from 0 to a year", o.Timeout))
	}
	for _, text := range o.Volumes {
		v, err := parseVolume(text, env.place(env.Dir))
		if err != nil {
			faults = append(faults, fmt.Errorf("volume %s: %w", quoted(text), err))
			continue
		}
		over.volumes = mergeVolumes(over.volumes, []volume{v})
	}
	faults = append(faults, over.checkSockets(engineSockets(env.lookup))...)
	return over, errors.Join(faults...)
}

// checkSockets checks the volumes of the command line as expander.checkSockets does those of a test.
func (o overrides) checkSockets(sockets []string) (faults []error) {
	if nameSocket(o.volumes, sockets) {
		return nil
	}
	for _, v := range o.volumes {
		if err := checkSocket(v.mount, sockets, disk{}); err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}

// expander makes steps from tests.
type expander struct {
	d        *decoder
	images   images
	defaults settings
	over     overrides
	steps    []Step
	names    map[string]bool // of the steps so far
	tests    []string        // the names so far
	full     bool            // the bound on steps was reported
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
	case e.over.image != "":
		return []imageUse{{e.over.image, at.node}}
	case len(s.images) > 0:
		return s.images
	case len(e.images.list) == 1:
		return []imageUse{{e.images.list[0].Name, at.node}}
	}
	return nil
}

func (e *expander) addStep(use imageUse, test, dir string, s settings) {
	at := e.d.value(use.node)
	img, known := e.images.named(use.name)
	if !known {
		if _, err := imageReference(use.name); err != nil {
			at.fail(hint.Of(err), "image %v, not %s", err, quoted(use.name))
			return
		}
		img = Image{Name: use.name, Reference: use.name}
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
	if s.MacAddress+e.over.mac != "" && !s.ownNetwork() {
		s.read.or(at, "network_mode", "mac_address").fail(`mac_address: "" removes the default`,
			"a container with network_mode: %s cannot have a MAC address of its own", s.NetworkMode)
	}
	s.checkTmpfs(at)
}

// checkSockets reports mounts that contain an engine's socket. A suite gives a test the engine by
// mounting the socket itself, not by mounting a directory above it.
func (e *expander) checkSockets(at value, dir string, s *settings) {
	sockets := engineSockets(e.d.env.lookup)
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
		Dir: dir, Mount: s.mount, Timeout: s.timeout, Retries: s.retries,
		PullPolicy: PullMissing, Container: s.container(),
	}
	switch {
	case img.Build != nil: // it is nowhere else
		step.PullPolicy = PullNever
	case s.pullPolicy != "":
		step.PullPolicy = s.pullPolicy
	case img.PullPolicy != "":
		step.PullPolicy = img.PullPolicy
	}
	if over.timeout > 0 {
		step.Timeout = over.timeout
	}
	c := &step.Container
	c.Image = img.Reference
	if over.mac != "" {
		c.MacAddress = over.mac
	}
	if len(c.Command) == 0 {
		c.Command = []string{testDir + "/test.sh"}
	}
	step.Script = c.Command[0] == testDir+"/test.sh"
	mountAll(&step, mergeVolumes(s.volumes, over.volumes))
	return step
}

// mountAll puts the test's directory and the volumes into the step's container.
func mountAll(step *Step, volumes []volume) {
	c := &step.Container
	if step.Mount == Copied {
		c.Copies = []container.Copy{{Source: step.Dir, Target: testDir}}
	} else {
		c.Mounts = []container.Mount{{Source: step.Dir, Target: testDir, ReadOnly: step.Mount == ReadOnly}}
	}
	addVolumes(c, volumes)
}

// stepName returns TEST@IMAGE. It becomes a file name, so slashes become underscores.
func stepName(test, image string) string {
	return test + "@" + strings.ReplaceAll(image, "/", "_")
}

// FromDirs returns a suite of test directories without a suite file: `runtests run DIR... --image
// IMAGE`. Each test has the name of its directory. The logs go to ./logs.
func FromDirs(dirs []string, env Env, o Overrides) (*Suite, error) {
	if o.Image == "" {
		return nil, hint.Errorf("add --image IMAGE", "run without a suite file: no image is given")
	}
	if len(dirs) == 0 {
		return nil, hint.Errorf("runtests run DIR --image IMAGE", "run without a suite file: no test directory is given")
	}
	over, err := o.check(env)
	if err != nil {
		return nil, err
	}
	s := newSuite("", env.Dir)
	s.Logs = filepath.Join(env.Dir, s.Logs)
	s.outside = outside{defaults: initialSettings(), over: over, env: env}
	var faults []error
	for _, dir := range dirs {
		if err := s.addDirectory(dir, env.Dir); err != nil {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &s, nil
}

// addDirectory adds a directory as a test, unless it is one already.
func (s *Suite) addDirectory(dir, wd string) error {
	full := absolute(wd, dir)
	info, err := os.Stat(full)
	switch {
	case isNotExist(err):
		return hint.Errorf("a test is a directory with a test.sh in it", "test directory %s: there is none", quoted(dir))
	case err != nil:
		return fmt.Errorf("test directory %s: %w", quoted(dir), bare(err))
	case !info.IsDir():
		return hint.Errorf("a test is a directory with a test.sh in it", "test directory %s: not a directory", quoted(dir))
	}
	steps, err := s.outside.steps(full)
	if err != nil {
		return err
	}
	for _, step := range steps {
		i := slices.IndexFunc(s.Steps, func(have Step) bool { return have.Name == step.Name })
		if i < 0 {
			s.Steps = append(s.Steps, step)
		} else if s.Steps[i].Dir != step.Dir {
			return hint.Errorf("run them one after the other", "test directories %s and %s: both are named %s", quoted(s.Steps[i].Dir), quoted(full), quoted(step.Test))
		}
	}
	return nil
}

// outside are the settings of directories that the suite does not name.
type outside struct {
	file     string
	images   images
	defaults settings
	over     overrides
	env      Env
}

// steps returns the steps of a test directory, an absolute path.
func (o outside) steps(dir string) ([]Step, error) {
	test := filepath.Base(dir)
	if _, err := properName(test); err != nil {
		return nil, hint.Errorf("rename it", "test directory %s: the name of a test %w", quoted(dir), err)
	}
	d := &decoder{file: o.file, env: o.env, files: disk{}}
	e := expander{d: d, names: map[string]bool{}, images: o.images, defaults: o.defaults, over: o.over}
	e.directory(d.value(&yaml.Node{Kind: yaml.ScalarNode, Line: 1, Column: 1}), dir)
	if len(d.problems) > 0 {
		p := d.problems[0]
		return nil, hint.Errorf(p.Hint, "test directory %s: %s", quoted(dir), p.Message)
	}
	return e.steps, nil
}
