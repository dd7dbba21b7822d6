package deploy

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/suite"
)

// hostPort is a port of the production machine.
type hostPort struct {
	protocol string
	number   int
}

// assignment is the host ports that a deployment's container gets.
type assignment struct {
	ports []container.Port // none of them is a range
	// handover reports whether the new version can run beside the old one, on ports of its own.
	handover bool
}

// assignPorts chooses a port of each range. taken are the ports of the machine on which some
// program listens, old those of the version that runs now.
func assignPorts(d suite.Deployment, taken map[hostPort]bool, old []publishedPort, host string) (assignment, error) {
	ours := map[hostPort]bool{}
	for _, p := range old {
		_, protocol, _ := strings.Cut(p.inside, "/")
		ours[hostPort{protocol, p.number}] = true
	}
	a := assignment{handover: len(d.Container.Ports) > 0 && d.Container.MacAddress == ""}
	for _, p := range d.Container.Ports {
		chosen, free := 0, false
		for number := p.First; number <= p.Last && !free; number++ {
			at := hostPort{p.Protocol, number}
			candidate := p
			candidate.First, candidate.Last = number, number
			switch {
			case slices.ContainsFunc(a.ports, candidate.Collides):
			case ours[at]: // free when the old version has stopped
				chosen = cmp.Or(chosen, number)
			case !taken[at]:
				chosen, free = number, true
			}
		}
		if chosen == 0 {
			return assignment{}, hint.Errorf(
				fmt.Sprintf("find out there which program has it (ss -lptun 'sport = :%d'; docker ps), or choose another port", p.First),
				"port %s of %s is in use by another program", p.Range(), host)
		}
		a.handover = a.handover && free
		p.First, p.Last = chosen, chosen
		a.ports = append(a.ports, p)
	}
	return a, nil
}

func inside(p container.Port) string { return fmt.Sprintf("%d/%s", p.Container, p.Protocol) }

// label returns the value of labelPorts.
func (a assignment) label() string {
	var pairs []string
	for _, p := range a.ports {
		pairs = append(pairs, fmt.Sprintf("%s=%d", inside(p), p.First))
	}
	return strings.Join(pairs, ",")
}

// file returns the text of a ports_file: for each port of the container a line with the host's.
func (a assignment) file() string {
	var b strings.Builder
	for _, p := range a.ports {
		fmt.Fprintf(&b, "%d %d\n", p.Container, p.First)
	}
	return b.String()
}

// checkURL returns the URL of the health check. Where its port lies in a range of the
// deployment, the port that was chosen from the range takes its place.
func (a assignment) checkURL(d suite.Deployment) string {
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
			u.Host = strings.TrimSuffix(u.Host, u.Port()) + strconv.Itoa(a.ports[i].First)
			return u.String()
		}
	}
	return d.Check.HTTP
}

// reuse returns the assignment with the ports that a container had instead; running are those
// of the version that runs now.
func (a assignment) reuse(c container.Summary, running []publishedPort) assignment {
	had := published(c)
	for _, now := range running {
		a.handover = a.handover && !slices.ContainsFunc(had, func(p publishedPort) bool { return p.number == now.number })
	}
	a.ports = slices.Clone(a.ports)
	for i, p := range a.ports {
		at := slices.IndexFunc(had, func(h publishedPort) bool { return h.inside == inside(p) })
		if at < 0 {
			continue
		}
		a.ports[i].First, a.ports[i].Last = had[at].number, had[at].number
		had = slices.Delete(had, at, at+1)
	}
	return a
}
