package container

import (
	"slices"
	"strconv"
	"strings"

	"al.essio.dev/pkg/shellescape"
)

// CommandLine returns what a person types at a shell to run c by hand with the client cli:
// docker or podman. The container is kept under the name keepAs; if that is empty, it is
// removed when it ends.
//
// The line has all of c but what concerns only the program: labels, log driver, the time
// between TERM and KILL. It holds no secrets. It names their variables, which must be set in
// the environment, and the files they were read from.
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

// createCopyStart returns the command line of a container that files are copied into. The
// shell keeps the exit status across the removal.
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

// arguments returns c's flags, its image and its command.
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
	for _, m := range c.AllMounts() {
		if m.NeedsLongForm() {
			flag("--mount", m.long())
		} else {
			flag("-v", m.Short())
		}
	}
	var rest []string
	if len(c.Entrypoint) > 0 { // the client takes one word of it
		flag("--entrypoint", c.Entrypoint[0])
		rest = c.Entrypoint[1:]
	}
	return slices.Concat(words, []string{c.Image}, rest, c.Command)
}

// shownEnvironment returns the variables as NAME=VALUE. A secret or inherited variable is only
// named: the client takes its value from its own environment. What EnvFiles hold is left out.
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

// quantity returns a number of bytes as the docker client reads it: exact, in the largest
// unit that divides it. It returns "" for 0.
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
