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

// ByHand is a promotion of the container kept as kept, as commands that a person types at a
// shell: a comment before each. here is the address of the engine that tests run on. Secrets
// are not in it. It says what is done when all goes well; what is done otherwise no person
// would type in time.
func ByHand(d suite.Deployment, here, kept string) (string, error) {
	host := d.Host
	if host == "" {
		host = here
	}
	m, err := newMachine(host)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, "# "+format+"\n", args...) }
	do := func(command string) { b.WriteString(command + "\n") }
	there := func(words ...string) { do(m.byHand(shellescape.QuoteCommand(words))) }
	image := Repository(d.Name) + ":RUN"

	say("the container that passed becomes an image there; layers that it has are not sent")
	do(shellescape.QuoteCommand([]string{"docker", "commit", kept, image}))
	do("docker save " + image + " | " + m.byHand("docker load"))
	for _, f := range d.Files {
		say("%s goes beside its place", path.Base(f.Target))
		do("cat " + shellescape.Quote(f.Source) + " | " + m.byHand("cat >"+shellescape.Quote(beside(f.Target, d.Name))))
	}
	c := d.Container
	c.Image = image
	choice, err := choosePorts(d, nil, nil, m.host)
	if err != nil {
		return "", err
	}
	choice.handover = choice.handover && allOpen(c.Ports)
	say("the new container is made, and does not run yet")
	c.Ports, c.Restart = choice.ports, ""
	create := "docker create " + shellescape.QuoteCommand([]string{"--label", LabelName + "=" + d.Name, "--label", labelRelease + "=RUN"})
	do(m.byHand(strings.Replace(c.CommandLine("docker", d.Name+suffixNext), "docker run", create, 1)))
	for _, f := range d.Files {
		say("the file takes its place; the one that is there is kept")
		there("cp", "-p", f.Target, f.Target+".previous")
		there("mv", "-f", beside(f.Target, d.Name), f.Target)
	}
	stop := []string{"docker", "stop", "-t", fmt.Sprint(int(c.StopGrace.Seconds())), d.Name}
	if !choice.handover {
		say("the old version stops, the new one starts")
		there(stop...)
	} else {
		say("the new version starts on ports of its own")
	}
	there("docker", "start", d.Name+suffixNext)
	say("does it work? again and again, for %s; if not: stop it, start %s, put the files back", d.Check.Timeout, d.Name)
	switch {
	case d.Check.HTTP != "":
		there("curl", "-fsS", "-o", "/dev/null", choice.checkURL(d))
	case len(d.Check.Command) > 0:
		there(append([]string{"docker", "exec", d.Name + suffixNext}, d.Check.Command...)...)
	default:
		there("docker", "inspect", "-f", "{{.State.Running}}", d.Name+suffixNext)
	}
	if d.PortsFile != "" {
		say("the proxy learns the new ports")
		do(m.byHand("printf %s " + shellescape.Quote(choice.file()) + " >" + shellescape.Quote(d.PortsFile)))
	}
	if choice.handover {
		say("the old version ends what it does, and stops")
		there("sleep", seconds(d.Drain.Round(time.Second)))
		there(stop...)
	}
	say("the old version is kept for going back, the new one takes its name")
	there("docker", "rm", "-v", d.Name+suffixPrevious)
	there("docker", "rename", d.Name, d.Name+suffixPrevious)
	there("docker", "update", "--restart", "no", d.Name+suffixPrevious)
	there("docker", "rename", d.Name+suffixNext, d.Name)
	there("docker", "update", "--restart", d.Container.Restart, d.Name)
	return b.String(), nil
}

func allOpen(ports []container.Port) bool {
	return !slices.ContainsFunc(ports, func(p container.Port) bool { return !p.Open() })
}

// beside is the place where a file waits for its own.
func beside(place, deployment string) string {
	return path.Join(path.Dir(place), "."+path.Base(place)+"."+deployment+suffixNext)
}

// byHand is a command on the machine.
func (m machine) byHand(command string) string {
	if m.ssh == nil {
		if m.socket == "" || m.socket == "/var/run/docker.sock" {
			return command
		}
		return "DOCKER_HOST=unix://" + shellescape.Quote(m.socket) + " " + command
	}
	var words []string
	for i := len(SSHFlags) + 1; i < len(m.ssh); i++ {
		if m.ssh[i] != "--" {
			words = append(words, m.ssh[i])
		}
	}
	if m.socket != "" {
		command = "DOCKER_HOST=unix://" + shellescape.Quote(m.socket) + " " + command
	}
	return "ssh " + shellescape.QuoteCommand(words) + " " + shellescape.Quote(command)
}
