package container

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
)

// A Mount is a directory, a file or a volume mounted in a container.
type Mount struct {
	Source   string // an absolute path on the engine's machine (a bind mount) or a volume's name; empty: an anonymous volume
	Target   string // an absolute path in the container
	ReadOnly bool
	Options  []string // further options of Docker's short form, as z, Z, rslave
}

// Propagations are the mount propagations that engines accept: mount_namespaces(7).
var Propagations = []string{"private", "rprivate", "shared", "rshared", "slave", "rslave"}

// Bind reports whether the mount is a path of the engine's machine, and not a volume.
func (m Mount) Bind() bool { return strings.HasPrefix(m.Source, "/") }

// NeedsLongForm reports whether Docker's short form, which separates its parts by colons,
// cannot express the mount.
func (m Mount) NeedsLongForm() bool {
	return strings.Contains(m.Source, ":") || strings.Contains(m.Target, ":")
}

// Short returns the mount in Docker's short form: SOURCE:TARGET[:OPTIONS].
func (m Mount) Short() string {
	if m.Source == "" {
		return m.Target
	}
	s := m.Source + ":" + m.Target
	var options []string
	if m.ReadOnly && !slices.Contains(m.Options, "ro") {
		options = append(options, "ro")
	}
	if options = append(options, m.Options...); len(options) > 0 {
		s += ":" + strings.Join(options, ",")
	}
	return s
}

// long returns the mount in the form of --mount: comma-separated values, each quoted as in CSV.
func (m Mount) long() string {
	fields := []string{"type=volume"}
	if m.Bind() {
		fields[0] = "type=bind"
	}
	if m.Source != "" {
		fields = append(fields, "src="+m.Source)
	}
	fields = append(fields, "dst="+m.Target)
	if m.ReadOnly || slices.Contains(m.Options, "ro") {
		fields = append(fields, "readonly")
	}
	for _, o := range m.Options {
		if slices.Contains(Propagations, o) {
			fields = append(fields, "bind-propagation="+o)
		}
	}
	var line bytes.Buffer
	w := csv.NewWriter(&line)
	_ = w.Write(fields) // a bytes.Buffer never fails
	w.Flush()
	return strings.TrimSuffix(line.String(), "\n")
}

// AllMounts returns c's mounts and, if its root file system is read-only, an anonymous volume
// for the target of each copy: nothing could be copied there otherwise.
func (c Container) AllMounts() []Mount {
	if !c.ReadOnly {
		return c.Mounts
	}
	mounts := slices.Clone(c.Mounts)
	for _, copied := range c.Copies {
		mounts = append(mounts, Mount{Target: copied.Target})
	}
	return mounts
}
