package suite

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/distribution/reference"
	"go.yaml.in/yaml/v4"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/nearest"
	"runtests/pkg/regular"
)

// Deployment is an entry of `deploy`: an application in production, made from the container of a
// test that passed.
type Deployment struct {
	Name string // of its container in production, and of its images
	From string // the name of the step whose container it is made from
	// Host is where it runs: ssh://[USER@]HOST[:PORT][/SOCKET], unix:///SOCKET, or empty:
	// the engine that the tests run on.
	Host  string
	Files []File // copied there, in the file's order
	Check HealthCheck
	// PortsFile is a file on the production machine that says which host port each port
	// of the container has, for a proxy; empty: none.
	PortsFile string
	// Drain is how long the old version keeps running beside the new one, after that one answers
	// and PortsFile names it; default 2s.
	Drain time.Duration
	Auto  bool // promote it at the end of every run in which all steps passed
	Keep  int  // earlier images to keep there for rolling back, default 3

	// Container is complete except for its name, its image, its labels, and the choice of a port
	// from a range. Its mounts are paths on the production machine.
	Container container.Container
}

// File is a file that a deployment copies.
type File struct {
	Source string // on this machine, absolute
	Target string // on the production machine, absolute
}

// HealthCheck is how to find out whether an application works.
type HealthCheck struct {
	HTTP     string        // a URL as the production machine sees it, which must answer with 2xx or 3xx; empty: none
	Command  []string      // executed in the container, must end with 0; empty: none
	Timeout  time.Duration // from the start of the container, default 1m
	Interval time.Duration // between two attempts, default 100ms
}

// deployment is an entry of `deploy` while it is read.
type deployment struct {
	settings
	Deployment
}

// keys are those of an entry of `deploy`: its own, and those of a test's container that make sense
// there.
func (p *deployment) keys() keys {
	set := map[string]setter{
		"from":        textVar(&p.From, notEmpty),
		"host":        p.setHost,
		"files":       p.setFiles,
		"ports":       p.setPorts,
		"restart":     textVar(&p.Restart, restart),
		"healthcheck": section(p.Check.keys()),
		"ports_file":  textVar(&p.PortsFile, machinePath),
		"drain":       durationVar(&p.Drain, 0),
		"auto":        boolVar(&p.Auto),
		"keep":        intVar(&p.Keep, 0, 1000),
		"volumes":     p.setDeployedVolumes,
		"user":        textVar(&p.User, deployedUser),
	}
	shared := p.containerKeys()
	for _, key := range []string{
		"command", "environment", "env_file", "extra_hosts", "cpus", "pids_limit", "stop_grace_period", "working_dir", "network_mode",
		"mac_address", "mem_limit", "shm_size", "tmpfs", "dns", "cap_add", "cap_drop", "security_opt", "devices", "init", "privileged", "read_only",
	} {
		set[key] = shared[key]
	}
	return keys{what: "a deployment", set: set, extensions: true}
}

func (h *HealthCheck) keys() keys {
	return keys{what: "a healthcheck", set: map[string]setter{
		"http":     textVar(&h.HTTP, checkURL),
		"command":  commandVar(&h.Command),
		"timeout":  durationVar(&h.Timeout, time.Second),
		"interval": durationVar(&h.Interval, 10*time.Millisecond),
	}}
}

// deployments reads the section `deploy`. The steps and the images are known.
func (d *decoder) deployments(v value, s *Suite, chosenImage bool) (all []Deployment) {
	for _, p := range v.pairs("deploy") {
		if !p.named("a deployment", deploymentName) {
			continue
		}
		if slices.ContainsFunc(s.Images, func(i Image) bool { return i.Name == p.name }) {
			p.key.fail("", "%s is also the name of an image: a report could not tell them apart", quoted(p.name))
		}
		entry := p.deployment()
		if entry.From != "" && !chosenImage {
			entry.From = d.deployedStep(entry.read["from"], entry.From, s.Steps)
		}
		all = append(all, entry.Deployment)
		d.deployed = append(d.deployed, entry)
		s.production = append(s.production, entry.writesHere()...)
	}
	if chosenImage { // of the command line: the steps are not the suite's
		return nil
	}
	return all
}

func (p pair) deployment() deployment {
	entry := deployment{
		settings:   settings{Container: container.Container{StopGrace: 10 * time.Second, Restart: "unless-stopped", KeepLog: true}},
		Deployment: Deployment{Name: p.name, Drain: 2 * time.Second, Keep: 3, Check: HealthCheck{Timeout: time.Minute, Interval: 100 * time.Millisecond}},
	}
	entry.read = entry.keys().decode(p.value)
	if !entry.read["from"].given() {
		p.key.fail("add from: TEST@IMAGE, the step whose container it deploys", "deployment %s has no from", quoted(p.name))
	}
	entry.check(p.key)
	entry.Deployment.Container = entry.container()
	addVolumes(&entry.Deployment.Container, entry.volumes)
	entry.checkPlaces(p.key)
	return entry
}

// writesHere returns the directories and files that the container of a deployment can write, if it runs on the
// machine of the engine that tests run on, as far as its host tells.
func (p *Deployment) writesHere() []string {
	if p.Host != "" && !strings.HasPrefix(p.Host, "unix:") {
		return nil
	}
	return WritableSources(p.Container.Mounts)
}

// deployedStep returns the name of the step that from names.
func (d *decoder) deployedStep(v value, from string, steps []Step) string {
	var found, names []string
	for _, step := range steps {
		if from == step.Name || from == step.Test+"@"+step.Image {
			return step.Name
		}
		if step.Test == from {
			found = append(found, step.Name)
		}
		names = append(names, step.Name, step.Test)
	}
	switch {
	case len(found) == 1:
		return found[0]
	case len(found) > 1:
		v.fail("choose one: "+strings.Join(found, ", "), "from: the test %s has %d images", quoted(from), len(found))
	case len(names) == 0 && len(d.problems) > 0: // the tests are wrong themselves
	default:
		v.fail(nearest.Hint(from, names), "from: there is no test or step %s", quoted(from))
	}
	return ""
}

// check reports the keys that exclude each other.
func (p *deployment) check(at value) {
	c := p.settings.Container
	if len(c.Ports) > 0 && !p.ownNetwork() {
		p.read.or(at, "ports").fail("", "a container with network_mode: %s cannot publish ports", c.NetworkMode)
	}
	if c.MacAddress != "" && !p.ownNetwork() {
		p.read.or(at, "mac_address").fail("", "a container with network_mode: %s cannot have a MAC address of its own", c.NetworkMode)
	}
	if p.Check.HTTP != "" && len(p.Check.Command) > 0 {
		p.read.or(at, "healthcheck").fail("", "a healthcheck takes http or command, not both")
	}
	if p.PortsFile != "" && len(c.Ports) == 0 {
		p.read.or(at, "ports_file").fail("", "ports_file is for a deployment with ports")
	}
	p.checkTmpfs(at)
}

// The suffixes of the names of a deployment's other containers.
var deploymentSuffixes = []string{"-next", "-outgoing", "-previous"}

// deploymentName is the rule for a deployment's name, which its container and its images get.
func deploymentName(text string) (string, error) {
	if _, err := reference.ParseNormalizedNamed("deploy/" + text); err != nil || container.CheckName(text) != nil || len(text) > maxName {
		return "", errors.New("must be lower-case letters and digits, at least two, with single dots, dashes and underscores between them")
	}
	for _, suffix := range deploymentSuffixes {
		if strings.HasSuffix(text, suffix) {
			return "", hint.Errorf("NAME-next, NAME-outgoing and NAME-previous are its other containers", "must not end in %s", suffix)
		}
	}
	return text, nil
}

var restart = matching(regexp.MustCompile(`^(no|always|unless-stopped|on-failure(:[1-9]\d{0,5})?)$`), "must be no, always, unless-stopped or on-failure[:NUMBER]")

// setHost reads a URL. Its errors do not repeat the URL: it may contain a password.
func (p *deployment) setHost(v value) {
	s, ok := v.scalar()
	if !ok {
		return
	}
	if err := checkHost(s.text); err != nil {
		s.fail(hint.Of(err), "host %v", err)
		return
	}
	p.Host = s.text
}

// checkHost allows "": the engine that the tests run on.
func checkHost(text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "", err == nil && u.Scheme == "unix" && u.Host == "" && path.IsAbs(u.Path):
		return nil
	case err != nil || u.Scheme != "ssh" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "",
		strings.HasPrefix(u.Hostname(), "-"), strings.HasPrefix(u.User.Username(), "-"):
		return hint.Errorf("the form is ssh://USER@HOST, ssh://HOST:PORT or unix:///SOCKET", "must be an ssh or unix URL")
	}
	if _, set := u.User.Password(); set {
		return hint.Errorf("log in with a key: ssh-copy-id installs it", "must not have a password")
	}
	return nil
}

// machinePath is the rule for a file on the production machine.
var machinePath = holding("must be an absolute path on the production machine", func(text string) bool {
	return path.IsAbs(text) && !strings.ContainsAny(text, "\x00\n") && path.Clean(text) != "/"
})

func checkURL(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || !isWeb(u) || strings.ContainsAny(text, " '\"\n"):
		return "", hint.Errorf("the form is http://127.0.0.1:PORT/PATH, as the production machine sees it", "must be a URL")
	case u.User != nil:
		return "", errors.New("must not have a user or a password")
	}
	return text, nil
}

// setFiles reads a mapping from files on this machine to paths on the production machine.
func (p *deployment) setFiles(v value) {
	p.Files = nil
	for _, entry := range v.pairs("files") {
		target, ok := parsed(entry.value, machinePath)
		target = path.Clean(target)
		switch {
		case !ok:
		case entry.name == "":
			entry.key.fail("", "files: a file has no name")
		case slices.ContainsFunc(p.Files, func(f File) bool { return f.Target == target }):
			entry.value.fail("", "files: two files have the target %s", quoted(target))
		default:
			p.Files = append(p.Files, File{Source: v.d.from.abs(entry.name), Target: target})
		}
	}
}

// setDeployedVolumes reads volumes whose paths are the production machine's.
func (p *deployment) setDeployedVolumes(v value) {
	if !v.d.faultless(func() { p.setVolumes(v) }) {
		return
	}
	for _, item := range v.node.Content {
		if source := deref(volumeSource(deref(item))); strings.HasPrefix(source.Value, ".") || strings.HasPrefix(source.Value, "~") {
			v.at(source).fail("", "volumes: a path on the production machine must be absolute")
		}
	}
}

// volumeSource returns the node of a volume's source; of the short form, the whole node.
func volumeSource(n *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "source" {
			return n.Content[i+1]
		}
	}
	return n
}

// FindDeployments returns the named deployments, each once. If a name is unknown, the error is a
// *TargetsError.
func (s *Suite) FindDeployments(names []string) ([]Deployment, error) {
	if len(s.Deployments) == 0 {
		return nil, hint.Errorf("deploy: { NAME: { from: TEST@IMAGE, … } }", "the suite has no section deploy")
	}
	var known []string
	for _, entry := range s.Deployments {
		known = append(known, entry.Name)
	}
	same := func(target, name string) bool { return target == name }
	if err := checkTargets(names, known, same, "the suite has no deployment of that name"); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(s.Deployments), func(entry Deployment) bool { return !slices.Contains(names, entry.Name) }), nil
}

// CheckFiles returns an error for the first of the files that cannot be read.
func (p *Deployment) CheckFiles() error {
	for _, f := range p.Files {
		file, err := f.Open()
		if err != nil {
			return err
		}
		info, err := file.Stat()
		_ = file.Close() // it was only read
		if err == nil && info.Size() > MaxFileBytes {
			err = fmt.Errorf("larger than %d MiB", MaxFileBytes>>20)
		}
		if err != nil {
			return f.fault(err)
		}
	}
	return nil
}

// Open opens the file on this machine. Its folder may be reached through links; the file itself is none, since a test could
// have put a link to any file of this machine there. Open does not wait for a pipe, and fails for what is no regular file.
func (f File) Open() (*os.File, error) {
	folder, err := filepath.EvalSymlinks(filepath.Dir(f.Source))
	if err != nil {
		return nil, f.fault(err)
	}
	file, err := regular.OpenStrict(filepath.Join(folder, filepath.Base(f.Source)))
	if errors.Is(err, syscall.ELOOP) {
		return nil, hint.Errorf("name the file that it leads to: in files: { SOURCE: TARGET }, SOURCE is no link", "read %s: it is a link", filepath.Clean(f.Source))
	}
	if err != nil {
		return nil, f.fault(err)
	}
	return file, nil
}

// fault returns the error of a file that cannot be copied.
func (f File) fault(err error) error {
	if errors.Is(err, regular.ErrNot) {
		err = regular.ErrNot // without the path
	}
	return hint.Errorf("in files: { SOURCE: TARGET }, SOURCE is a file on this machine", "read %s: %w", filepath.Clean(f.Source), bare(err))
}

// MaxFileBytes bounds a file that a deployment copies. Larger files belong in the image.
const MaxFileBytes = 64 << 20
