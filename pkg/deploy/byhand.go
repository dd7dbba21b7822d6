package deploy

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"

	"runtests/pkg/container"
	"runtests/pkg/suite"
)

// Commands returns the promotion of the container kept as commands that a person could type at a
// shell, with a comment before each step. here is the address of the engine that tests run on.
// The commands contain no secrets, and show only what happens when all goes well: nobody could
// type the rest in time.
func Commands(d suite.Deployment, here, kept string) (string, error) {
	host := d.Host
	if host == "" {
		host = here
	}
	m, err := newMachine(host)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	comment := func(format string, args ...any) { fmt.Fprintf(&b, "# "+format+"\n", args...) }
	local := func(command string) { b.WriteString(command + "\n") }
	remote := func(words ...string) { local(m.typed(shellescape.QuoteCommand(words))) }
	image := Repository(d.Name) + ":RUN"

	comment("make an image of the container that passed, and send it without the layers that are there")
	local(shellescape.QuoteCommand([]string{"docker", "commit", kept, image}))
	local("docker save " + image + " | " + m.typed("docker load"))
	for _, f := range d.Files {
		comment("copy %s to the user's home", path.Base(f.Target))
		local("cat " + shellescape.Quote(f.Source) + " | " + m.typed("cat >"+shellescape.Quote(waiting(f.Target, d.Name))))
	}
	c := d.Container
	c.Image = image
	ports, err := assignPorts(d, nil, nil, m.host)
	if err != nil {
		return "", err
	}
	ports.handover = ports.handover && !slices.ContainsFunc(c.Ports, func(p container.Port) bool { return !p.Open() })
	comment("create the new container; it does not run yet")
	c.Ports, c.Restart = ports.ports, ""
	create := "docker create " + shellescape.QuoteCommand([]string{"--label", LabelName + "=" + d.Name, "--label", labelRelease + "=RUN"})
	local(m.typed(strings.Replace(c.CommandLine("docker", d.Name+suffixNext), "docker run", create, 1)))
	for _, f := range d.Files {
		comment("put the file in its place, and keep the old one")
		remote("mv", "-T", f.Target, f.Target+".previous") // -T: a container that writes there may have put links
		remote("mv", "-T", waiting(f.Target, d.Name), f.Target)
	}
	stop := []string{"docker", "stop", "-t", fmt.Sprint(int(c.StopGrace.Seconds())), d.Name}
	if !ports.handover {
		comment("stop the old version, start the new one")
		remote(stop...)
	} else {
		comment("start the new version on ports of its own")
	}
	remote("docker", "start", d.Name+suffixNext)
	comment("check it, again and again for %s; if it does not work: stop it, start %s, put the files back", d.Check.Timeout, d.Name)
	switch {
	case d.Check.HTTP != "":
		remote("curl", "-fsS", "-o", "/dev/null", ports.checkURL(d))
	case len(d.Check.Command) > 0:
		remote(append([]string{"docker", "exec", d.Name + suffixNext}, d.Check.Command...)...)
	default:
		remote("docker", "inspect", "-f", "{{.State.Running}}", d.Name+suffixNext)
	}
	if d.PortsFile != "" {
		comment("give the proxy the new ports")
		local(m.typed("printf %s " + shellescape.Quote(ports.file()) + " >" + shellescape.Quote(d.PortsFile)))
	}
	if ports.handover {
		comment("let the old version finish its work, and stop it")
		remote("sleep", seconds(d.Drain.Round(time.Second)))
		remote(stop...)
	}
	comment("keep the old version for rolling back, and give its name to the new one")
	remote("docker", "rm", "-v", d.Name+suffixPrevious)
	remote("docker", "rename", d.Name, d.Name+suffixPrevious)
	remote("docker", "update", "--restart", "no", d.Name+suffixPrevious)
	remote("docker", "rename", d.Name+suffixNext, d.Name)
	remote("docker", "update", "--restart", d.Container.Restart, d.Name)
	return b.String(), nil
}

// waiting returns the name under which a file waits in the user's home, where no container writes, until it is put in its
// place.
func waiting(place, deployment string) string {
	return "." + path.Base(place) + "." + deployment + suffixNext
}

// typed returns a command as a person types it here to run it on the machine.
func (m machine) typed(command string) string {
	if m.socket != "" && (m.ssh != nil || m.socket != "/var/run/docker.sock") {
		command = "DOCKER_HOST=unix://" + shellescape.Quote(m.socket) + " " + command
	}
	if m.ssh == nil {
		return command
	}
	words := slices.DeleteFunc(slices.Clone(m.ssh[len(SSHFlags)+1:]), func(word string) bool { return word == "--" })
	return "ssh " + shellescape.QuoteCommand(words) + " " + shellescape.Quote(command)
}
