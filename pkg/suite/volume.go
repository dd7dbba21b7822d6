package suite

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// testDir is where a test's directory is in its container.
const testDir = "/test"

// volume is an entry of `volumes`: a mount, or a tmpfs of Compose's long form.
type volume struct {
	mount container.Mount
	tmpfs string // PATH[:OPTIONS]; empty for a mount
}

func (v volume) target() string { return v.mount.Target }

// mountOptions are the options of the short form besides ro and rw. Many Compose files written for
// other systems have cached, which changes nothing on Linux.
var mountOptions = append([]string{"z", "Z", "cached"}, container.Propagations...)

// refusedOptions are the options of Compose that are not supported, each with its remedy.
var refusedOptions = map[string]string{
	"nocopy":     "leave it out: a new volume gets what the image has at its target",
	"delegated":  "leave it out: it changes nothing on Linux",
	"consistent": "leave it out: it changes nothing on Linux",
}

// place is where relative paths and ~ start.
type place struct{ dir, home string }

func (p place) abs(file string) string {
	if file == "~" || strings.HasPrefix(file, "~/") {
		return filepath.Join(p.home, file[1:])
	}
	return absolute(p.dir, file)
}

func absolute(dir, file string) string {
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	return filepath.Join(dir, file)
}

// parseVolume reads Compose's short form: [SOURCE:]TARGET[:OPTIONS]. A source that starts
// with /, . or ~ is a path; any other is the name of a volume.
func parseVolume(text string, from place) (volume, error) {
	parts := strings.Split(text, ":")
	if len(parts) > 3 {
		return volume{}, hint.Errorf("the long form takes any path: {type: bind, source: …, target: …}", "a volume has at most three parts: SOURCE:TARGET:OPTIONS")
	}
	if slices.Contains(parts, "") {
		return volume{}, hint.Errorf("the form is SOURCE:TARGET or SOURCE:TARGET:ro", "a part of the volume is empty")
	}
	if len(parts) == 1 {
		return checkVolume(container.Mount{Target: parts[0]})
	}
	m := container.Mount{Source: parts[0], Target: parts[1]}
	if strings.ContainsAny(m.Source[:1], "/.~") {
		m.Source = from.abs(m.Source)
	}
	if len(parts) == 3 {
		if err := setMountOptions(&m, parts[2]); err != nil {
			return volume{}, err
		}
	}
	return checkVolume(m)
}

func setMountOptions(m *container.Mount, text string) error {
	for option := range strings.SplitSeq(text, ",") {
		switch {
		case option == "ro":
			m.ReadOnly = true
		case option == "rw":
		case slices.Contains(mountOptions, option):
			m.Options = append(m.Options, option)
		case refusedOptions[option] != "":
			return hint.Errorf(refusedOptions[option], "the option %s is not supported", option)
		default:
			return hint.Errorf("the options are ro, rw, "+strings.Join(mountOptions, ", "), "a volume has no option %s", quoted(option))
		}
	}
	return nil
}

func checkVolume(m container.Mount) (volume, error) {
	target, err := checkTarget(m.Target)
	if err != nil {
		return volume{}, err
	}
	m.Target = target
	// The rule for a volume's name is the one for a container's: volumeNameRegex in moby's volume/local.
	if m.Source != "" && !m.Bind() && container.CheckName(m.Source) != nil {
		return volume{}, hint.Errorf("a path starts with /, ./ or ~/", "%s is not the name of a volume", quoted(m.Source))
	}
	return volume{mount: m}, nil
}

// checkTarget checks and cleans a path in the container.
func checkTarget(target string) (string, error) {
	if !path.IsAbs(target) {
		return "", fmt.Errorf("the path in the container must be absolute, not %s", quoted(target))
	}
	switch target = path.Clean(target); target {
	case "/":
		return "", errors.New("the root of the container cannot be a mount")
	case testDir:
		return "", hint.Errorf("use a path below it, such as /test/data, or another path", "%s is the test's own directory", testDir)
	}
	return target, nil
}

// addVolumes adds the volumes to the container.
func addVolumes(c *container.Container, volumes []volume) {
	for _, v := range volumes {
		if v.tmpfs != "" {
			c.Tmpfs = append(c.Tmpfs, v.tmpfs)
		} else {
			c.Mounts = append(c.Mounts, v.mount)
		}
	}
}

// mergeVolumes puts each of more in the place of the one with its target, or at the end.
func mergeVolumes(base, more []volume) []volume {
	merged := slices.Clone(base)
	for _, v := range more {
		merged = put(merged, v, func(have volume) bool { return have.target() == v.target() })
	}
	return merged
}

// put puts item in the place of the first of the list that is the same, or at the end.
func put[T any](list []T, item T, same func(T) bool) []T {
	if i := slices.IndexFunc(list, same); i >= 0 {
		list[i] = item
		return list
	}
	return append(list, item)
}

// setVolumes reads a list of volumes, which replace those of the defaults of the same target.
func (s *settings) setVolumes(v value) {
	items, _ := v.items(false)
	var list []volume
	for _, item := range items {
		vol, ok := item.volume()
		switch {
		case !ok:
		case slices.ContainsFunc(list, func(have volume) bool { return have.target() == vol.target() }):
			item.fail("", "volumes: %s is mounted twice", quoted(vol.target()))
		default:
			list = append(list, vol)
		}
	}
	s.volumes = mergeVolumes(s.volumes, list)
}

// volume reads the short form or the long one.
func (v value) volume() (volume, bool) {
	if !v.isMapping() {
		return unshown(v, func(text string) (volume, error) { return parseVolume(text, v.d.from) })
	}
	var long longVolume
	if !v.d.faultless(func() { long.keys().decode(v) }) {
		return volume{}, false
	}
	vol, err := long.volume(v.d.from)
	if err != nil {
		v.failErr(err)
	}
	return vol, err == nil
}
