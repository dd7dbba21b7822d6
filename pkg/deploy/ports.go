package deploy

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/suite"
)

// hostPort is a port of the production machine.
type hostPort struct {
	protocol string
	number   int
}

// A PortError is a port of production that somebody else has.
type PortError struct {
	Port, Host string
	number     int
}

func (e *PortError) Error() string {
	return fmt.Sprintf("port %s of %s is in use by another program", e.Port, e.Host)
}

// Hint is what a person can do about it.
func (e *PortError) Hint() string {
	return fmt.Sprintf("see there who has it (ss -lptun 'sport = :%d'; docker ps), or choose another port", e.number)
}

// choice is what became of the ports of a deployment.
type choice struct {
	ports []container.Port // none of them is open
	// handover says that the new version can run beside the old one: each has its own ports.
	handover bool
}

// choosePorts decides the open ones: taken are the ports of the machine somebody listens
// on, old those that the version which runs now has.
func choosePorts(d suite.Deployment, taken map[hostPort]bool, old []publishedPort, host string) (choice, error) {
	ours := map[hostPort]bool{}
	for _, p := range old {
		_, protocol, _ := strings.Cut(p.inside, "/")
		ours[hostPort{protocol, p.number}] = true
	}
	c := choice{handover: len(d.Container.Ports) > 0 && d.Container.MacAddress == ""}
	for _, p := range d.Container.Ports {
		free, beside := 0, false
		for number := p.First; number <= p.Last && !beside; number++ {
			at := hostPort{p.Protocol, number}
			one := p
			one.First, one.Last = number, number
			switch {
			case slices.ContainsFunc(c.ports, one.Collides):
			case ours[at]: // it becomes free when the old version stops
				free = cmp.Or(free, number)
			case !taken[at]:
				free, beside = number, true
			}
		}
		if free == 0 {
			return choice{}, &PortError{p.Range(), host, p.First}
		}
		c.handover = c.handover && beside
		p.First, p.Last = free, free
		c.ports = append(c.ports, p)
	}
	return c, nil
}

func inside(p container.Port) string { return fmt.Sprintf("%d/%s", p.Container, p.Protocol) }

// label is the value of labelPorts.
func (c choice) label() string {
	var pairs []string
	for _, p := range c.ports {
		pairs = append(pairs, fmt.Sprintf("%s=%d", inside(p), p.First))
	}
	return strings.Join(pairs, ",")
}

// file is the text of a ports_file: a line for each port of the container, and the host's.
func (c choice) file() string {
	var b strings.Builder
	for _, p := range c.ports {
		fmt.Fprintf(&b, "%d %d\n", p.Container, p.First)
	}
	return b.String()
}

// checkURL is the URL of the health check with the port that was chosen, where its own is
// one of an open range.
func (c choice) checkURL(d suite.Deployment) string {
	u, err := url.Parse(d.Check.HTTP)
	if err != nil || d.Check.HTTP == "" {
		return ""
	}
	number, err := strconv.Atoi(u.Port())
	if err != nil {
		return d.Check.HTTP
	}
	for i, p := range d.Container.Ports {
		if p.Open() && p.Protocol == "tcp" && p.First <= number && number <= p.Last {
			u.Host = strings.TrimSuffix(u.Host, u.Port()) + strconv.Itoa(c.ports[i].First)
			return u.String()
		}
	}
	return d.Check.HTTP
}
