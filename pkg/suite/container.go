package suite

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// settings are the keys of `defaults` and of a test. A test's keys are read into a copy of the
// defaults, which merges them: a setter replaces its field, but those of environment and volumes
// replace only entries of the same name or target.
type settings struct {
	container.Container // except its Image, Env and Mounts

	dir        string // as written; of a test only
	images     []imageUse
	variables  []container.Variable // of environment
	fromFiles  []container.Variable // of env_file
	volumes    []volume
	mount      Mount
	timeout    time.Duration
	retries    int
	pullPolicy PullPolicy // empty: the image's

	at map[string]*yaml.Node // where each key was given last
}

// imageUse is an image as a test names it, and where.
type imageUse struct {
	name string
	node *yaml.Node
}

func initialSettings() settings {
	return settings{
		Container: container.Container{StopGrace: 10 * time.Second},
		mount:     ReadWrite, timeout: time.Hour, at: map[string]*yaml.Node{},
	}
}

// clone may share lists with s: no setter changes one in place.
func (s settings) clone() settings {
	s.at = maps.Clone(s.at)
	return s
}

func (s *settings) mark(key string, n *yaml.Node) { s.at[key] = n }

// where returns the value of the first of the keys that was given, or n.
func (s *settings) where(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		if at := s.at[key]; at != nil {
			return at
		}
	}
	return n
}

// container returns the container of the settings, without volumes. Variables of environment
// override those of env_file.
func (s *settings) container() container.Container {
	c := s.Container
	given := make([]assignment, len(s.variables))
	for i, v := range s.variables {
		given[i].Variable = v
	}
	c.Env = assign(s.fromFiles, given)
	c.SecurityOpt = securityOptions(c)
	c.Tmpfs = slices.Clone(c.Tmpfs) // the steps of a test share nothing that could be appended to
	return c
}

// ownNetwork reports whether the container has a network of its own, with an address and ports.
func (s *settings) ownNetwork() bool {
	mode, _, _ := strings.Cut(s.NetworkMode, ":")
	return mode != "host" && mode != "none" && mode != "container"
}

// checkTmpfs reports the paths that are both in tmpfs and in volumes.
func (d *decoder) checkTmpfs(n *yaml.Node, s *settings) {
	for _, t := range s.Tmpfs {
		target, _, _ := strings.Cut(t, ":")
		target = path.Clean(target)
		if slices.ContainsFunc(s.volumes, func(v volume) bool { return v.target() == target }) {
			d.fail(s.where(n, "tmpfs", "volumes"), "", "%s is both in tmpfs and in volumes", quoted(target))
		}
	}
}

const mib = 1 << 20

// containerKeys are the keys that defaults and tests share.
var containerKeys = map[string]setter[settings]{
	"image":             setImages,
	"command":           setCommand,
	"environment":       setEnvironment,
	"env_file":          setEnvFiles,
	"volumes":           setVolumes,
	"extra_hosts":       setExtraHosts,
	"cpus":              valueKey(parseCPUs, func(s *settings) *float64 { return &s.CPUs }),
	"pids_limit":        valueKey(parsePidsLimit, func(s *settings) *int64 { return &s.PidsLimit }),
	"mount":             choiceKey(func(s *settings) *Mount { return &s.mount }, ReadWrite, ReadOnly, Copied),
	"pull_policy":       pullPolicyKey(func(s *settings) *PullPolicy { return &s.pullPolicy }),
	"timeout":           durationKey(time.Nanosecond, func(s *settings) *time.Duration { return &s.timeout }),
	"stop_grace_period": durationKey(time.Nanosecond, func(s *settings) *time.Duration { return &s.StopGrace }),
	"retries":           intKey(0, 100, func(s *settings) *int { return &s.retries }),
	"user":              textKey(notEmpty, func(s *settings) *string { return &s.User }),
	"working_dir":       textKey(containerPath, func(s *settings) *string { return &s.WorkingDir }),
	"platform":          textKey(matching(platformForm, "must be OS/ARCHITECTURE, as linux/arm64"), func(s *settings) *string { return &s.Platform }),
	"network_mode":      textKey(networkMode, func(s *settings) *string { return &s.NetworkMode }),
	"mac_address":       textKey(macAddress, func(s *settings) *string { return &s.MacAddress }),
	"mem_limit":         sizeKey(6*mib, func(s *settings) *int64 { return &s.Memory }),
	"shm_size":          sizeKey(1, func(s *settings) *int64 { return &s.ShmSize }),
	"tmpfs":             textsKey(true, tmpfsPath, func(s *settings) *[]string { return &s.Tmpfs }),
	"dns":               textsKey(true, ipAddress, func(s *settings) *[]string { return &s.DNS }),
	"cap_add":           textsKey(false, matching(capability, "must be a capability such as NET_ADMIN"), func(s *settings) *[]string { return &s.CapAdd }),
	"cap_drop":          textsKey(false, matching(capability, "must be a capability such as NET_RAW, or ALL"), func(s *settings) *[]string { return &s.CapDrop }),
	"security_opt":      textsKey(false, notEmpty, func(s *settings) *[]string { return &s.SecurityOpt }),
	"devices":           textsKey(false, matching(devicePattern, "must be HOST[:CONTAINER[:rwm]], absolute paths"), func(s *settings) *[]string { return &s.Devices }),
	"init":              boolKey(func(s *settings) *bool { return &s.Init }),
	"privileged":        boolKey(func(s *settings) *bool { return &s.Privileged }),
	"read_only":         boolKey(func(s *settings) *bool { return &s.ReadOnly }),
}

// defaultsKeys and testKeys are those of `defaults` and of a test.
var (
	defaultsKeys = keys[settings]{what: "defaults", set: containerKeys, extensions: true}
	testKeys     = keys[settings]{what: "a test", set: withDir(containerKeys), extensions: true}
)

func withDir(set map[string]setter[settings]) map[string]setter[settings] {
	set = maps.Clone(set)
	set["dir"] = textKey(testDirectory, func(s *settings) *string { return &s.dir })
	return set
}

func pullPolicyKey[T any](field func(*T) *PullPolicy) setter[T] {
	const ifNotPresent PullPolicy = "if_not_present" // Compose's other name of missing
	set := choiceKey(field, PullAlways, PullMissing, PullNever, ifNotPresent)
	return func(d *decoder, to *T, n *yaml.Node) {
		if set(d, to, n); *field(to) == ifNotPresent {
			*field(to) = PullMissing
		}
	}
}

func setImages(d *decoder, s *settings, n *yaml.Node) {
	nodes, ok := d.items(n, true)
	if !ok {
		return
	}
	if len(nodes) == 0 {
		d.fail(n, "", "image must name at least one image")
	}
	var images []imageUse
	for _, item := range nodes {
		text, ok := d.text(item, notEmpty)
		if !ok {
			continue
		}
		if slices.ContainsFunc(images, func(i imageUse) bool { return i.name == text }) {
			d.fail(item, "", "image %s is given twice", quoted(text))
			continue
		}
		images = append(images, imageUse{text, item})
	}
	s.images = images
}

func setCommand(d *decoder, s *settings, n *yaml.Node) {
	if args, ok := d.command(n); ok {
		s.Command = args
	}
}

// command reads a list of words, or a text that is split into words.
func (d *decoder) command(n *yaml.Node) (args []string, ok bool) {
	if deref(n).Kind == yaml.SequenceNode {
		args, ok := d.texts(n, false, anything)
		if ok && (len(args) == 0 || args[0] == "") {
			d.fail(n, "", "the command is empty")
		}
		return args, true
	}
	text, ok := d.scalar(n)
	if !ok {
		return nil, false
	}
	args, err := words(text.text)
	if err != nil {
		d.failErr(text.node, err)
		return nil, false
	}
	return args, true
}

func parsePidsLimit(text string) (int64, string, string) {
	i, err := strconv.ParseInt(text, 10, 32)
	if err != nil || i == 0 || i < -1 {
		return 0, "must be a whole number of processes, or -1 for no limit", ""
	}
	return i, "", ""
}

func setExtraHosts(d *decoder, s *settings, n *yaml.Node) {
	if deref(n).Kind == yaml.MappingNode {
		s.ExtraHosts = d.extraHostsMap(n)
		return
	}
	texts, ok := d.texts(n, false, extraHost)
	if !ok {
		return
	}
	s.ExtraHosts = nil
	for _, text := range texts {
		host, address, _ := hostAddress(text)
		s.ExtraHosts = append(s.ExtraHosts, host+":"+address)
	}
}

func (d *decoder) extraHostsMap(n *yaml.Node) []string {
	var hosts []string
	for _, p := range d.pairs(n, d.key) {
		nodes, _ := d.items(p.value, true)
		for _, item := range nodes {
			keeps := func(text string) (string, string) { return extraHost(p.key.Value + "=" + text) }
			if address, ok := d.text(item, keeps); ok {
				host, address, _ := hostAddress(p.key.Value + "=" + address)
				hosts = append(hosts, host+":"+address)
			}
		}
	}
	if len(hosts) > maxList {
		d.fail(n, "", "extra_hosts has more than %d entries", maxList)
		return nil
	}
	return hosts
}

// setEnvironment reads a mapping, or a list of NAME=VALUE and NAME. As in Compose, a name without
// a value is inherited, and left out if the environment does not have it.
func setEnvironment(d *decoder, s *settings, n *yaml.Node) {
	if isNull(n) {
		return
	}
	s.variables = assign(s.variables, d.environment(n))
}

func (d *decoder) environment(n *yaml.Node) (out []assignment) {
	if deref(n).Kind == yaml.MappingNode {
		for _, p := range d.pairs(n, d.key) {
			out = d.fromPair(out, p)
		}
		if len(out) > maxList {
			d.fail(n, "", "%s has more than %d entries", d.key, maxList)
			return nil
		}
		return out
	}
	nodes, _ := d.items(n, false)
	for _, item := range nodes {
		name, _, given := strings.Cut(deref(item).Value, "=")
		text, ok := d.environmentValue(name, item, given)
		if !ok {
			continue
		}
		name, value, given := strings.Cut(text.text, "=")
		out = d.assignment(out, text.node, name, value, given, text.hidden)
	}
	return out
}

func (d *decoder) fromPair(out []assignment, p pair) []assignment {
	name := p.key.Value
	if isNull(p.value) {
		return d.assignment(out, p.key, name, "", false, false)
	}
	if deref(p.value).Kind == yaml.MappingNode {
		return d.longVariable(out, p)
	}
	text, ok := d.environmentValue(name, p.value, true)
	if !ok {
		return out
	}
	return d.assignment(out, p.key, name, text.text, true, text.hidden)
}

// longVariable is a variable that may say whether it is secret, whatever its name.
type longVariable struct {
	secret *bool
	value  *yaml.Node
}

var longVariableKeys = keys[longVariable]{what: "a variable", set: map[string]setter[longVariable]{
	"secret": func(d *decoder, v *longVariable, n *yaml.Node) {
		boolKey(func(v *longVariable) *bool { v.secret = new(bool); return v.secret })(d, v, n)
	},
	"value": func(_ *decoder, v *longVariable, n *yaml.Node) { v.value = n },
}}

func (d *decoder) longVariable(out []assignment, p pair) []assignment {
	var long longVariable
	before := len(d.problems)
	d.secret = true // until the keys are read: the value may be secret
	longVariableKeys.decode(d, &long, p.value)
	d.secret = false
	if len(d.problems) > before {
		d.hasSecret = true
		return out
	}
	if long.value != nil && !isNull(long.value) {
		d.secret = long.secret == nil || *long.secret
		text, ok := d.scalar(long.value)
		d.secret = false
		if !ok {
			return out
		}
		out = d.assignment(out, p.key, p.key.Value, text.text, true, text.hidden)
	} else {
		out = d.assignment(out, p.key, p.key.Value, "", false, false)
	}
	if long.secret != nil && len(out) > 0 && len(d.problems) == before {
		out[len(out)-1].Secret = *long.secret
	}
	return out
}

// environmentValue reads a variable of that name; its value is secret if the name is a secret's.
func (d *decoder) environmentValue(name string, n *yaml.Node, hasValue bool) (scalar, bool) {
	d.secret = hasValue && secretName.MatchString(name)
	defer func() { d.secret = false }()
	return d.scalar(n)
}

// assignment appends a variable, or reports its fault.
func (d *decoder) assignment(out []assignment, n *yaml.Node, name, value string, given, hidden bool) []assignment {
	if !variableName.MatchString(name) {
		d.fail(n, "the form is NAME: value, or - NAME=value", "%s: a name is missing or contains a space", d.key)
		return out
	}
	if strings.ContainsRune(value, 0) {
		d.fail(n, "", "%s: the value of %s contains a NUL byte", d.key, name)
		return out
	}
	v := container.Variable{Name: name, Value: value, Secret: hidden || secretName.MatchString(name)}
	if !given {
		inherited, ok := d.lookup(name)
		v.Value, v.Inherited = inherited, true
		return append(out, assignment{v, !ok})
	}
	return append(out, assignment{Variable: v})
}

func (d *decoder) lookup(name string) (string, bool) {
	if d.env.Lookup == nil {
		return "", false
	}
	return d.env.Lookup(name)
}

// envFile is the long form of an env_file.
type envFile struct {
	path     string
	required bool
}

var envFileKeys = keys[envFile]{what: "an env_file", set: map[string]setter[envFile]{
	"path":     textKey(filePath, func(f *envFile) *string { return &f.path }),
	"required": boolKey(func(f *envFile) *bool { return &f.required }),
}}

func setEnvFiles(d *decoder, s *settings, n *yaml.Node) {
	nodes, ok := d.items(n, true)
	if !ok {
		return
	}
	s.EnvFiles, s.fromFiles = nil, nil
	for _, item := range nodes {
		d.addEnvFile(s, item)
	}
}

func (d *decoder) addEnvFile(s *settings, n *yaml.Node) {
	f := envFile{required: true}
	if deref(n).Kind == yaml.MappingNode {
		envFileKeys.decode(d, &f, n)
		if f.path == "" {
			d.fail(n, "", "env_file has no path")
			return
		}
	} else if text, ok := d.text(n, filePath); ok {
		f.path = text
	} else {
		return
	}
	file := d.from.abs(f.path)
	data, err := d.files.read(file, maxEnvFile)
	if err != nil {
		if f.required || !isNotExist(err) {
			d.fail(n, "", "read env_file %s: %v", quoted(f.path), err)
		}
		return
	}
	p := dotenv{env: d.env.Lookup, known: slices.Clone(s.fromFiles)}
	if err := p.parse(string(data)); err != nil {
		d.failEnvFile(file, err)
		return
	}
	if slices.ContainsFunc(p.known, func(v container.Variable) bool { return secretName.MatchString(v.Name) }) {
		d.warnIfOpen("env_file", file, 0o007)
	}
	s.EnvFiles = append(s.EnvFiles, file)
	s.fromFiles = p.known
}

// failEnvFile reports a fault in an env_file without an excerpt, which could show a secret.
func (d *decoder) failEnvFile(file string, err error) {
	p := Problem{File: file, Line: 1, Column: 1, Message: err.Error(), Hint: hint.Of(err)}
	if l, ok := err.(*lineError); ok { //nolint:errorlint // parse returns nothing else
		p.Line, p.Message = l.line, l.err.Error()
	}
	if !slices.Contains(d.problems, p) {
		d.problems = append(d.problems, p)
	}
}

func setVolumes(d *decoder, s *settings, n *yaml.Node) {
	nodes, _ := d.items(n, false)
	var list []volume
	for _, item := range nodes {
		v, ok := d.volume(item)
		if !ok {
			continue
		}
		if slices.ContainsFunc(list, func(have volume) bool { return have.target() == v.target() }) {
			d.fail(item, "", "volumes: %s is mounted twice", quoted(v.target()))
			continue
		}
		list = append(list, v)
	}
	s.volumes = mergeVolumes(s.volumes, list)
}

func (d *decoder) volume(n *yaml.Node) (volume, bool) {
	if deref(n).Kind == yaml.MappingNode {
		return d.longVolume(n)
	}
	text, ok := d.scalar(n)
	if !ok {
		return volume{}, false
	}
	v, err := parseVolume(text.text, d.from)
	if err != nil {
		d.failErr(text.node, err)
	}
	return v, err == nil
}

// longVolume is Compose's long form of a volume.
type longVolume struct {
	kind           volumeType
	source, target string
	readOnly       bool
	selinux        string
	size           int64
	mode           string
}

type volumeType string

const (
	bindVolume  volumeType = "bind"
	namedVolume volumeType = "volume"
	tmpfsVolume volumeType = "tmpfs"
)

var longVolumeKeys = keys[longVolume]{what: "a volume", refused: map[string]string{"volume": "leave it out, with its option nocopy: a new volume gets what the image has at its target"}, set: map[string]setter[longVolume]{
	"type":      choiceKey(func(v *longVolume) *volumeType { return &v.kind }, bindVolume, namedVolume, tmpfsVolume),
	"source":    textKey(filePath, func(v *longVolume) *string { return &v.source }),
	"target":    textKey(containerPath, func(v *longVolume) *string { return &v.target }),
	"read_only": boolKey(func(v *longVolume) *bool { return &v.readOnly }),
	"bind":      section(bindOptionKeys),
	"tmpfs":     section(tmpfsOptionKeys),
}}

// The keys of the sections of a long volume, one for each type.
var (
	bindOptionKeys = keys[longVolume]{what: "bind", refused: map[string]string{"propagation": "use the short form: SOURCE:TARGET:rslave"}, set: map[string]setter[longVolume]{
		"selinux": choiceKey(func(v *longVolume) *string { return &v.selinux }, "z", "Z"),
	}}
	tmpfsOptionKeys = keys[longVolume]{what: "tmpfs", set: map[string]setter[longVolume]{
		"size": sizeKey(1, func(v *longVolume) *int64 { return &v.size }),
		"mode": textKey(octalMode, func(v *longVolume) *string { return &v.mode }),
	}}
)

func octalMode(text string) (string, string) {
	if mode, err := strconv.ParseUint(text, 8, 32); err != nil || mode > 0o7777 {
		return "must be a mode in octal such as 1777", ""
	}
	return "", ""
}

func section[T any](k keys[T]) setter[T] {
	return func(d *decoder, to *T, n *yaml.Node) { k.decode(d, to, n) }
}

func (d *decoder) longVolume(n *yaml.Node) (volume, bool) {
	var long longVolume
	before := len(d.problems)
	longVolumeKeys.decode(d, &long, n)
	if len(d.problems) > before {
		return volume{}, false
	}
	v, err := long.volume(d.from)
	if err != nil {
		d.failErr(n, err)
	}
	return v, err == nil
}

func (l longVolume) volume(from place) (volume, error) {
	switch {
	case l.kind == "":
		return volume{}, hint.Errorf("the types are bind, volume and tmpfs", "the volume has no type")
	case l.target == "":
		return volume{}, errors.New("the volume has no target")
	case l.kind == bindVolume && l.source == "":
		return volume{}, errors.New("a bind has no source")
	case l.kind == tmpfsVolume && l.source != "":
		return volume{}, errors.New("a tmpfs takes no source")
	case l.kind != bindVolume && l.selinux != "",
		l.kind != tmpfsVolume && (l.size > 0 || l.mode != ""):
		return volume{}, fmt.Errorf("a volume of type %s takes no options of another type", l.kind)
	}
	if l.kind == tmpfsVolume {
		return l.tmpfs()
	}
	m := container.Mount{Source: l.source, Target: l.target, ReadOnly: l.readOnly}
	if l.kind == bindVolume {
		m.Source = from.abs(l.source)
	} else if strings.HasPrefix(l.source, "/") {
		return volume{}, hint.Errorf("use type: bind for a path", "%s is not the name of a volume", quoted(l.source))
	}
	if l.selinux != "" {
		m.Options = append(m.Options, l.selinux)
	}
	return checkVolume(m)
}

func (l longVolume) tmpfs() (volume, error) {
	target, err := checkTarget(l.target)
	if err != nil {
		return volume{}, err
	}
	var options []string
	if l.size > 0 {
		options = append(options, "size="+strconv.FormatInt(l.size, 10))
	}
	if l.mode != "" {
		options = append(options, "mode="+l.mode)
	}
	if l.readOnly {
		options = append(options, "ro")
	}
	text := target
	if len(options) > 0 {
		text += ":" + strings.Join(options, ",")
	}
	return volume{mount: container.Mount{Target: target}, tmpfs: text}, nil
}
