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

func (d *decoder) checkName(n *yaml.Node, what string) bool {
	wrong, remedy := properName(n.Value)
	if wrong != "" {
		d.fail(n, remedy, "the name of %s %s, not %s", what, wrong, quoted(n.Value))
	}
	return wrong == ""
}

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
		if wrong, remedy := imageReference(o.Image); wrong != "" {
			faults = append(faults, hint.Errorf(remedy, "image %s: it %s", quoted(o.Image), wrong))
		}
	}
	if wrong, remedy := macAddress(o.MacAddress); wrong != "" {
		faults = append(faults, hint.Errorf(remedy, "MAC address %s: it %s", quoted(o.MacAddress), wrong))
	}
	if o.Timeout < 0 || o.Timeout > maxDuration {
		faults = append(faults, fmt.Errorf("timeout %s: it must be from 0 to a year", o.Timeout))
	}
	for _, text := range o.Volumes {
		v, err := parseVolume(text, env.place(env.Dir))
		if err != nil {
			faults = append(faults, hint.Errorf(hint.Of(err), "volume %s: %w", quoted(text), err))
			continue
		}
		over.volumes = mergeVolumes(over.volumes, []volume{v})
	}
	faults = append(faults, over.checkSockets(engineSockets(env.Lookup))...)
	if len(faults) == 1 {
		return over, faults[0]
	}
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
func (e *expander) read(n *yaml.Node) {
	if isNull(n) {
		return
	}
	if deref(n).Kind == yaml.MappingNode {
		for _, p := range e.d.pairs(n, "tests") {
			e.d.key = "tests"
			e.test(p)
		}
		return
	}
	nodes, _ := e.d.items(n, true)
	var dirs []string
	for _, item := range nodes {
		e.d.key = "tests"
		for _, dir := range e.d.directories(item) {
			if !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
				e.directory(item, dir)
			}
		}
	}
}

func (e *expander) test(p pair) {
	s := e.defaults.clone()
	s.at = map[string]*yaml.Node{}
	good := e.d.checkName(p.key, "a test")
	testKeys.decode(e.d, &s, p.value)
	if s.dir == "" {
		s.dir = filepath.Join("tests", p.key.Value)
	}
	if good {
		e.add(p.key, p.key.Value, e.d.from.abs(s.dir), s)
	}
}

// directory adds a directory that a glob matched as a test.
func (e *expander) directory(n *yaml.Node, dir string) {
	test := filepath.Base(dir)
	if wrong, _ := properName(test); wrong != "" {
		e.d.fail(n, "rename it, or write tests as a mapping", "directory %s: the name of a test %s", quoted(dir), wrong)
		return
	}
	if slices.Contains(e.tests, test) {
		e.d.fail(n, "write tests as a mapping, with a name for each", "two directories would be test %s", quoted(test))
		return
	}
	s := e.defaults.clone()
	s.at = map[string]*yaml.Node{}
	e.add(n, test, dir, s)
}

// directories returns the directories that a glob matches, except hidden ones.
func (d *decoder) directories(n *yaml.Node) []string {
	pattern, ok := d.text(n, filePath)
	if !ok {
		return nil
	}
	full := pattern
	if !filepath.IsAbs(pattern) {
		full = filepath.Join(globEscape.Replace(d.from.dir), pattern)
	}
	dirs, err := d.files.directories(full)
	if err != nil {
		d.fail(n, "a * stands for any text, a ? for one character, [a-z] for a range", "tests: %s is not a pattern", quoted(pattern))
		return nil
	}
	if len(dirs) == 0 {
		d.fail(n, "paths start from the directory of the suite file", "tests: no directory matches %s", quoted(pattern))
	}
	return dirs
}

var globEscape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// add adds the steps of a test, one for each of its images.
func (e *expander) add(n *yaml.Node, test, dir string, s settings) {
	e.tests = append(e.tests, test)
	e.checkTogether(n, &s)
	e.checkSockets(n, dir, &s)
	uses := e.imagesOf(n, s)
	given := s.at["image"] != nil || e.defaults.at["image"] != nil // and then it was at fault itself
	if len(uses) == 0 && !given {
		e.d.fail(n, "give it image: NAME, or give one in defaults, or run with --image IMAGE", "test %s has no image", quoted(test))
	}
	for _, use := range uses {
		e.addStep(use, test, dir, s)
	}
}

// imagesOf returns the images a test runs on: the command line's, else its own or the
// defaults', else the only one of the suite.
func (e *expander) imagesOf(n *yaml.Node, s settings) []imageUse {
	switch {
	case e.over.image != "":
		return []imageUse{{e.over.image, n}}
	case len(s.images) > 0:
		return s.images
	case len(e.images.list) == 1:
		return []imageUse{{e.images.list[0].Name, n}}
	}
	return nil
}

func (e *expander) addStep(use imageUse, test, dir string, s settings) {
	img, known := e.images.named(use.name)
	if !known {
		if wrong, remedy := imageReference(use.name); wrong != "" {
			e.d.fail(use.node, remedy, "image %s, not %s", wrong, quoted(use.name))
			return
		}
		img = Image{Name: use.name, Reference: use.name}
	}
	step := newStep(test, use.name, dir, img, s, e.over)
	if len(step.Name) > maxStepName {
		e.d.fail(use.node, "give the image a short name in images", "the step's name %s is longer than %d bytes", quoted(step.Name), maxStepName)
		return
	}
	if e.names[step.Name] {
		e.d.fail(use.node, "give one of the images a name of its own in images", "two steps would be named %s", quoted(step.Name))
		return
	}
	if len(e.steps) == maxSteps {
		if !e.full {
			e.d.fail(use.node, "", "the suite has more than %d steps", maxSteps)
		}
		e.full = true
		return
	}
	e.names[step.Name] = true
	e.steps = append(e.steps, step)
}

// checkTogether reports the keys that exclude each other.
func (e *expander) checkTogether(n *yaml.Node, s *settings) {
	if s.mount == Copied && s.ReadOnly {
		e.d.fail(s.where(n, "mount", "read_only"), "use mount: ro, or read_only: false",
			"mount: copy and read_only: true exclude each other: nothing can be copied into a read-only container")
	}
	if s.MacAddress+e.over.mac != "" && !s.ownNetwork() {
		e.d.fail(s.where(n, "network_mode", "mac_address"), `mac_address: "" removes the default`,
			"a container with network_mode: %s cannot have a MAC address of its own", s.NetworkMode)
	}
	e.d.checkTmpfs(n, s)
}

// checkSockets reports mounts that contain an engine's socket. A suite gives a test the engine by
// mounting the socket itself, not by mounting a directory above it.
func (e *expander) checkSockets(n *yaml.Node, dir string, s *settings) {
	sockets := engineSockets(e.d.env.Lookup)
	if nameSocket(s.volumes, sockets) || nameSocket(e.over.volumes, sockets) {
		return
	}
	for _, v := range s.volumes {
		if err := checkSocket(v.mount, sockets, e.d.files); err != nil {
			e.d.fail(s.where(n, "volumes"), hint.Of(err), "%v", err)
		}
	}
	if s.mount == Copied {
		return
	}
	if err := checkSocket(container.Mount{Source: dir}, sockets, e.d.files); err != nil {
		e.d.fail(s.where(n, "dir"), hint.Of(err), "%v", err)
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
	if len(faults) == 1 {
		return nil, faults[0]
	}
	return &s, errors.Join(faults...)
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
	if wrong, _ := properName(test); wrong != "" {
		return nil, hint.Errorf("rename it", "test directory %s: the name of a test %s", quoted(dir), wrong)
	}
	d := &decoder{file: o.file, env: o.env, files: disk{}}
	e := expander{d: d, names: map[string]bool{}, images: o.images, defaults: o.defaults, over: o.over}
	e.directory(&yaml.Node{Kind: yaml.ScalarNode, Line: 1, Column: 1}, dir)
	if len(d.problems) > 0 {
		p := d.problems[0]
		return nil, hint.Errorf(p.Hint, "test directory %s: %s", quoted(dir), p.Message)
	}
	return e.steps, nil
}
