package engine

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strconv"
	"strings"

	"al.essio.dev/pkg/shellescape"
)

// CommandLine is what a person types at a shell to run c by hand, with the docker client
// (or Podman's) called cli. A container that is kept is kept as keepAs; with an empty
// keepAs it is removed at its end.
//
// It says all of c but what is the program's own business: labels, log driver, the time
// between TERM and KILL. Secrets are not in it: it names their variables, which must be
// in the environment, and the files that they came from.
func (c Container) CommandLine(cli, keepAs string) string {
	if len(c.Copies) > 0 {
		return c.createCopyStart(shellescape.Quote(cli), keepAs)
	}
	words := []string{cli, "run"}
	if keepAs == "" {
		words = append(words, "--rm")
	}
	return shellescape.QuoteCommand(append(words, c.arguments(keepAs)...))
}

// createCopyStart is CommandLine for a container that files are copied into. The shell
// keeps the exit status over the removal.
func (c Container) createCopyStart(cli, keepAs string) string {
	var b strings.Builder
	b.WriteString("c=$(" + cli + " create " + shellescape.QuoteCommand(c.arguments(keepAs)) + ")")
	for _, copied := range c.Copies {
		b.WriteString(" && " + cli + " cp " + shellescape.Quote(strings.TrimSuffix(copied.Source, "/")+"/.") + ` "$c":` + shellescape.Quote(copied.Target))
	}
	b.WriteString(" && " + cli + ` start -a "$c"`)
	if keepAs == "" {
		b.WriteString("; s=$?; " + cli + ` rm -fv "$c" >/dev/null; (exit $s)`)
	}
	return b.String()
}

// arguments are c's flags, its image and its command.
func (c Container) arguments(name string) []string {
	var words []string
	flag := func(name string, values ...string) {
		for _, value := range values {
			if value != "" {
				words = append(words, name, value)
			}
		}
	}
	flagIf := func(name string, set bool) {
		if set {
			words = append(words, name)
		}
	}
	flag("--name", name)
	flag("--platform", c.Platform)
	flag("--mac-address", c.MacAddress)
	flag("--network", c.NetworkMode)
	for _, port := range c.Ports {
		flag("-p", port.String())
	}
	flag("--restart", c.Restart)
	flag("--dns", c.DNS...)
	flag("--add-host", c.ExtraHosts...)
	flag("--user", c.User)
	flag("--workdir", c.WorkingDir)
	flag("--env-file", c.EnvFiles...)
	flag("-e", c.shownEnvironment()...)
	flag("--memory", quantity(c.Memory))
	flag("--shm-size", quantity(c.ShmSize))
	if c.CPUs > 0 {
		flag("--cpus", strconv.FormatFloat(c.CPUs, 'f', -1, 64))
	}
	if c.PidsLimit != 0 {
		flag("--pids-limit", strconv.FormatInt(c.PidsLimit, 10))
	}
	flagIf("--init", c.Init)
	flagIf("--privileged", c.Privileged)
	flagIf("--read-only", c.ReadOnly)
	flag("--cap-add", c.CapAdd...)
	flag("--cap-drop", c.CapDrop...)
	flag("--security-opt", c.SecurityOpt...)
	flag("--device", c.Devices...)
	flag("--tmpfs", c.Tmpfs...)
	for _, m := range c.allMounts() {
		if m.hasColon() {
			flag("--mount", m.long())
		} else {
			flag("-v", m.short())
		}
	}
	var rest []string
	if len(c.Entrypoint) > 0 { // the client takes one word of it
		flag("--entrypoint", c.Entrypoint[0])
		rest = c.Entrypoint[1:]
	}
	return slices.Concat(words, []string{c.Image}, rest, c.Command)
}

// shownEnvironment are the variables with their values, of a secret or inherited one only its name: the
// client takes its value from its own environment. What a file says is left to the file.
func (c Container) shownEnvironment() []string {
	var env []string
	for _, v := range c.Env {
		switch {
		case v.FromFile && len(c.EnvFiles) > 0:
		case v.Secret, v.Inherited:
			env = append(env, v.Name)
		default:
			env = append(env, v.Name+"="+v.Value)
		}
	}
	return env
}

// long is the mount in the form of --mount: comma-separated values, each quoted as in CSV.
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
		switch {
		case slices.Contains(propagations, o):
			fields = append(fields, "bind-propagation="+o)
		case o == "nocopy":
			fields = append(fields, "volume-nocopy")
		}
	}
	var line bytes.Buffer
	w := csv.NewWriter(&line)
	_ = w.Write(fields) // a bytes.Buffer takes everything
	w.Flush()
	return strings.TrimSuffix(line.String(), "\n")
}

// quantity is a number of bytes as the docker client reads it, exact, in the largest unit;
// empty for none.
func quantity(n int64) string {
	if n <= 0 {
		return ""
	}
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "g"}, {1 << 20, "m"}, {1 << 10, "k"}} {
		if n%unit.size == 0 {
			return strconv.FormatInt(n/unit.size, 10) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}
