package suite

import (
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"go.yaml.in/yaml/v4"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/nearest"
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

// deployKeys are the keys of an entry of `deploy`: its own, and those of a test's container that
// make sense there.
var deployKeys = keys[deployment]{what: "a deployment", extensions: true, set: deploymentKeys()}

func deploymentKeys() map[string]setter[deployment] {
	set := map[string]setter[deployment]{
		"from":        textKey(notEmpty, func(p *deployment) *string { return &p.From }),
		"host":        setHost,
		"files":       setFiles,
		"ports":       setPorts,
		"restart":     textKey(matching(restartForm, "must be no, always, unless-stopped or on-failure[:NUMBER]"), func(p *deployment) *string { return &p.Restart }),
		"healthcheck": func(d *decoder, p *deployment, n *yaml.Node) { healthCheckKeys.decode(d, &p.Check, n) },
		"ports_file":  textKey(machinePath, func(p *deployment) *string { return &p.PortsFile }),
		"drain":       durationKey(0, func(p *deployment) *time.Duration { return &p.Drain }),
		"auto":        boolKey(func(p *deployment) *bool { return &p.Auto }),
		"keep":        intKey(0, 1000, func(p *deployment) *int { return &p.Keep }),
		"volumes":     setDeployedVolumes,
	}
	for _, key := range []string{
		"command", "environment", "env_file", "extra_hosts", "cpus", "pids_limit", "stop_grace_period", "user", "working_dir", "network_mode",
		"mac_address", "mem_limit", "shm_size", "tmpfs", "dns", "cap_add", "cap_drop", "security_opt", "devices", "init", "privileged", "read_only",
	} {
		shared := containerKeys[key]
		set[key] = func(d *decoder, p *deployment, n *yaml.Node) { shared(d, &p.settings, n) }
	}
	return set
}

var healthCheckKeys = keys[HealthCheck]{what: "a healthcheck", set: map[string]setter[HealthCheck]{
	"http":     textKey(checkURL, func(h *HealthCheck) *string { return &h.HTTP }),
	"command":  func(d *decoder, h *HealthCheck, n *yaml.Node) { h.Command, _ = d.command(n) },
	"timeout":  durationKey(time.Second, func(h *HealthCheck) *time.Duration { return &h.Timeout }),
	"interval": durationKey(10*time.Millisecond, func(h *HealthCheck) *time.Duration { return &h.Interval }),
}}

// deployments reads the section `deploy`. The steps and the images are known.
func (d *decoder) deployments(n *yaml.Node, s *Suite, chosenImage bool) (all []Deployment) {
	for _, p := range d.pairs(n, "deploy") {
		if wrong, remedy := deploymentName(p.key.Value); wrong != "" {
			d.fail(p.key, remedy, "the name of a deployment %s, not %s", wrong, quoted(p.key.Value))
			continue
		}
		if slices.ContainsFunc(s.Images, func(i Image) bool { return i.Name == p.key.Value }) {
			d.fail(p.key, "", "%s is also the name of an image: a report could not tell them apart", quoted(p.key.Value))
		}
		entry := d.deployment(p)
		if from := entry.at["from"]; from != nil && entry.From != "" && !chosenImage {
			entry.From = d.deployedStep(from, entry.From, s.Steps)
		}
		all = append(all, entry.Deployment)
	}
	if chosenImage { // of the command line: the steps are not the suite's
		return nil
	}
	return all
}

func (d *decoder) deployment(p pair) deployment {
	entry := deployment{
		settings:   settings{Container: container.Container{StopGrace: 10 * time.Second, Restart: "unless-stopped", KeepLog: true}, at: map[string]*yaml.Node{}},
		Deployment: Deployment{Name: p.key.Value, Drain: 2 * time.Second, Keep: 3, Check: HealthCheck{Timeout: time.Minute, Interval: 100 * time.Millisecond}},
	}
	deployKeys.decode(d, &entry, p.value)
	if entry.at["from"] == nil {
		d.fail(p.key, "add from: TEST@IMAGE, the step whose container it deploys", "deployment %s has no from", quoted(p.key.Value))
	}
	d.checkDeployment(p.key, &entry)
	entry.Deployment.Container = entry.settings.container()
	addVolumes(&entry.Deployment.Container, entry.volumes)
	return entry
}

// deployedStep returns the name of the step that from names.
func (d *decoder) deployedStep(n *yaml.Node, from string, steps []Step) string {
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
		d.fail(n, "choose one: "+strings.Join(found, ", "), "from: the test %s has %d images", quoted(from), len(found))
	case len(names) == 0 && len(d.problems) > 0: // the tests are wrong themselves
	default:
		d.fail(n, nearest.Hint(from, names), "from: there is no test or step %s", quoted(from))
	}
	return ""
}

// checkDeployment reports the keys that exclude each other.
func (d *decoder) checkDeployment(n *yaml.Node, p *deployment) {
	c := p.settings.Container
	if len(c.Ports) > 0 && !p.ownNetwork() {
		d.fail(p.where(n, "ports"), "", "a container with network_mode: %s cannot publish ports", c.NetworkMode)
	}
	if c.MacAddress != "" && !p.ownNetwork() {
		d.fail(p.where(n, "mac_address"), "", "a container with network_mode: %s cannot have a MAC address of its own", c.NetworkMode)
	}
	if p.Check.HTTP != "" && len(p.Check.Command) > 0 {
		d.fail(p.where(n, "healthcheck"), "", "a healthcheck takes http or command, not both")
	}
	if p.PortsFile != "" && len(c.Ports) == 0 {
		d.fail(p.where(n, "ports_file"), "", "ports_file is for a deployment with ports")
	}
	d.checkTmpfs(n, &p.settings)
}

// The suffixes of the names of a deployment's other containers.
var deploymentSuffixes = []string{"-next", "-outgoing", "-previous"}

// deploymentName is the rule for a deployment's name, which its container and its images get.
func deploymentName(text string) (string, string) {
	if _, err := reference.ParseNormalizedNamed("deploy/" + text); err != nil || container.CheckName(text) != nil || len(text) > maxName {
		return "must be lower-case letters and digits, at least two, with single dots, dashes and underscores between them", ""
	}
	for _, suffix := range deploymentSuffixes {
		if strings.HasSuffix(text, suffix) {
			return "must not end in " + suffix, "NAME-next, NAME-outgoing and NAME-previous are its other containers"
		}
	}
	return "", ""
}

var restartForm = regexp.MustCompile(`^(no|always|unless-stopped|on-failure(:[1-9]\d{0,5})?)$`)

// setHost reads a URL. Its errors do not repeat the URL: it may contain a password.
func setHost(d *decoder, p *deployment, n *yaml.Node) {
	s, ok := d.scalar(n)
	if !ok {
		return
	}
	if wrong, remedy := deployHost(s.text); wrong != "" {
		d.fail(s.node, remedy, "host %s", wrong)
		return
	}
	p.Host = s.text
}

// deployHost allows "": the engine that the tests run on.
func deployHost(text string) (string, string) {
	const form = "the form is ssh://USER@HOST, ssh://HOST:PORT or unix:///SOCKET"
	u, err := url.Parse(text)
	switch {
	case text == "":
		return "", ""
	case err != nil:
		return "must be an ssh or unix URL", form
	case u.Scheme == "unix" && u.Host == "" && path.IsAbs(u.Path):
		return "", ""
	case u.Scheme != "ssh" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "":
		return "must be an ssh or unix URL", form
	case strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(u.User.Username(), "-"):
		return "must be an ssh or unix URL", form
	}
	if _, set := u.User.Password(); set {
		return "must not have a password", "log in with a key: ssh-copy-id installs it"
	}
	return "", ""
}

// machinePath is the rule for a file on the production machine.
func machinePath(text string) (string, string) {
	if !path.IsAbs(text) || strings.ContainsAny(text, "\x00\n") || path.Clean(text) == "/" {
		return "must be an absolute path on the production machine", ""
	}
	return "", ""
}

func checkURL(text string) (string, string) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" || strings.ContainsAny(text, " '\"\n") {
		return "must be a URL", "the form is http://127.0.0.1:PORT/PATH, as the production machine sees it"
	}
	if u.User != nil {
		return "must not have a user or a password", ""
	}
	return "", ""
}

// setFiles reads a mapping from files on this machine to paths on the production machine.
func setFiles(d *decoder, p *deployment, n *yaml.Node) {
	p.Files = nil
	for _, entry := range d.pairs(n, "files") {
		target, ok := d.text(entry.value, machinePath)
		if !ok {
			continue
		}
		if entry.key.Value == "" {
			d.fail(entry.key, "", "files: a file has no name")
			continue
		}
		target = path.Clean(target)
		if slices.ContainsFunc(p.Files, func(f File) bool { return f.Target == target }) {
			d.fail(entry.value, "", "files: two files have the target %s", quoted(target))
			continue
		}
		p.Files = append(p.Files, File{Source: d.from.abs(entry.key.Value), Target: target})
	}
}

// setDeployedVolumes reads volumes whose paths are the production machine's.
func setDeployedVolumes(d *decoder, p *deployment, n *yaml.Node) {
	before := len(d.problems)
	setVolumes(d, &p.settings, n)
	if len(d.problems) > before {
		return
	}
	for _, item := range deref(n).Content {
		if source := deref(volumeSource(deref(item))); strings.HasPrefix(source.Value, ".") || strings.HasPrefix(source.Value, "~") {
			d.fail(source, "", "volumes: a path on the production machine must be absolute")
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
	var wrong TargetsError
	for _, name := range names {
		if !slices.Contains(known, name) {
			wrong.add(name, hint.Errorf(nearest.Hint(name, known), "target %s: the suite has no deployment of that name", quoted(name)))
		}
	}
	if len(wrong.Targets) > 0 {
		return nil, &wrong
	}
	return slices.DeleteFunc(slices.Clone(s.Deployments), func(entry Deployment) bool { return !slices.Contains(names, entry.Name) }), nil
}

// CheckFiles returns an error for the first of the files that cannot be read.
func (p *Deployment) CheckFiles() error {
	for _, f := range p.Files {
		if _, err := readFile(f.Source, MaxFileBytes); err != nil {
			return hint.Errorf("in files: { SOURCE: TARGET }, SOURCE is a file on this machine", "read %s: %w", filepath.Clean(f.Source), err)
		}
	}
	return nil
}

// MaxFileBytes bounds a file that a deployment copies. Larger files belong in the image.
const MaxFileBytes = 64 << 20
