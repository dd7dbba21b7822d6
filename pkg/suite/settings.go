package suite

import (
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"runtests/pkg/container"
)

// settings are the keys of `defaults` and of a test. A test's keys are read into a copy of the
// defaults, which merges them: a setter replaces its field, but those of environment and volumes
// replace only entries of the same name or target. A copy may share lists with the original: no
// setter changes one in place.
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

	read values // of the mapping itself
}

// imageUse is an image as a test names it, and where.
type imageUse struct {
	name string
	node *yaml.Node
}

func initialSettings() settings {
	return settings{Container: container.Container{StopGrace: 10 * time.Second}, mount: ReadWrite, timeout: time.Hour}
}

const mib = 1 << 20

// containerKeys are the keys that defaults and tests share.
func (s *settings) containerKeys() map[string]setter {
	return map[string]setter{
		"image":             s.setImages,
		"command":           commandVar(&s.Command),
		"environment":       s.setEnvironment,
		"env_file":          s.setEnvFiles,
		"volumes":           s.setVolumes,
		"extra_hosts":       s.setExtraHosts,
		"cpus":              parsedVar(&s.CPUs, parseCPUs),
		"pids_limit":        parsedVar(&s.PidsLimit, parsePidsLimit),
		"mount":             choiceVar(&s.mount, ReadWrite, ReadOnly, Copied),
		"pull_policy":       pullPolicyVar(&s.pullPolicy),
		"timeout":           durationVar(&s.timeout, time.Nanosecond),
		"stop_grace_period": durationVar(&s.StopGrace, time.Nanosecond),
		"retries":           intVar(&s.retries, 0, 100),
		"user":              s.setUser,
		"working_dir":       textVar(&s.WorkingDir, containerPath),
		"platform":          textVar(&s.Platform, platform),
		"network_mode":      textVar(&s.NetworkMode, networkMode),
		"mac_address":       textVar(&s.MacAddress, macAddress),
		"mem_limit":         sizeVar(&s.Memory, 6*mib),
		"shm_size":          sizeVar(&s.ShmSize, 1),
		"tmpfs":             textsVar(&s.Tmpfs, true, tmpfsPath),
		"dns":               textsVar(&s.DNS, true, ipAddress),
		"cap_add":           textsVar(&s.CapAdd, false, matching(capability, "must be a capability such as NET_ADMIN")),
		"cap_drop":          textsVar(&s.CapDrop, false, matching(capability, "must be a capability such as NET_RAW, or ALL")),
		"security_opt":      textsVar(&s.SecurityOpt, false, notEmpty),
		"devices":           textsVar(&s.Devices, false, device),
		"init":              boolVar(&s.Init),
		"privileged":        boolVar(&s.Privileged),
		"read_only":         boolVar(&s.ReadOnly),
	}
}

func (s *settings) defaultsKeys() keys {
	return keys{what: "defaults", set: s.containerKeys(), extensions: true}
}

func (s *settings) testKeys() keys {
	set := s.containerKeys()
	set["dir"] = textVar(&s.dir, testDirectory)
	return keys{what: "a test", set: set, extensions: true}
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
func (s *settings) checkTmpfs(at value) {
	for _, t := range s.Tmpfs {
		target, _, _ := strings.Cut(t, ":")
		target = path.Clean(target)
		if slices.ContainsFunc(s.volumes, func(v volume) bool { return v.target() == target }) {
			s.read.or(at, "tmpfs", "volumes").fail("", "%s is both in tmpfs and in volumes", quoted(target))
		}
	}
}

func pullPolicyVar(to *PullPolicy) setter {
	const ifNotPresent PullPolicy = "if_not_present" // Compose's other name of missing
	set := choiceVar(to, PullAlways, PullMissing, PullNever, ifNotPresent)
	return func(v value) {
		if set(v); *to == ifNotPresent {
			*to = PullMissing
		}
	}
}

func (s *settings) setImages(v value) {
	items, ok := v.items(true)
	if !ok {
		return
	}
	if len(items) == 0 {
		v.fail("", "image must name at least one image")
	}
	s.images = nil
	for _, item := range items {
		name, ok := parsed(item, notEmpty)
		switch {
		case !ok:
		case slices.ContainsFunc(s.images, func(i imageUse) bool { return i.name == name }):
			item.fail("", "image %s is given twice", quoted(name))
		default:
			s.images = append(s.images, imageUse{name, item.node})
		}
	}
}

// commandVar reads a list of words, or a text that is split into words.
func commandVar(to *[]string) setter {
	return func(v value) {
		if !v.isList() {
			unshownVar(to, words)(v)
			return
		}
		args, ok := list(v, false, anything)
		if ok && (len(args) == 0 || args[0] == "") {
			v.fail("", "the command is empty")
		}
		*to = args
	}
}

// setExtraHosts reads a list of HOST:ADDRESS, or a mapping from hosts to their addresses.
func (s *settings) setExtraHosts(v value) {
	if !v.isMapping() {
		textsVar(&s.ExtraHosts, false, extraHost)(v)
		return
	}
	s.ExtraHosts = nil
	for _, p := range v.pairs(v.key) {
		hosts, _ := list(p.value, true, func(address string) (string, error) { return extraHost(p.name + "=" + address) })
		s.ExtraHosts = append(s.ExtraHosts, hosts...)
	}
	if len(s.ExtraHosts) > maxList {
		v.fail("", "extra_hosts has more than %d entries", maxList)
	}
}
