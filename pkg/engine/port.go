package engine

import (
	"fmt"
	"strconv"
	"strings"

	docker "github.com/fsouza/go-dockerclient"
)

// Port is a port of a container made visible as one of its host.
type Port struct {
	HostIP      string // empty: all addresses of the host
	First, Last int    // the host's port is one of these; equal: it is this one
	Container   int
	Protocol    string // tcp, udp or sctp
}

// Open says that the host's port is not decided yet.
func (p Port) Open() bool { return p.First != p.Last }

// Range is the host's port, or its range of ports.
func (p Port) Range() string {
	if p.Open() {
		return fmt.Sprintf("%d-%d", p.First, p.Last)
	}
	return strconv.Itoa(p.First)
}

// Collides says that both cannot be decided independently: they may mean one port of the host.
func (p Port) Collides(other Port) bool {
	any := func(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }
	return p.Protocol == other.Protocol && p.First <= other.Last && other.First <= p.Last &&
		(p.HostIP == other.HostIP || any(p.HostIP) || any(other.HostIP))
}

// String is the port as `docker run -p` takes it.
func (p Port) String() string {
	text := fmt.Sprintf("%s:%d", p.Range(), p.Container)
	switch {
	case strings.Contains(p.HostIP, ":"):
		text = "[" + p.HostIP + "]:" + text
	case p.HostIP != "":
		text = p.HostIP + ":" + text
	}
	if p.Protocol != "" && p.Protocol != "tcp" {
		text += "/" + p.Protocol
	}
	return text
}

// publish adds the ports to what is said of a container and of its host.
func publish(ports []Port, config *docker.Config, host *docker.HostConfig) {
	for _, p := range ports {
		inside := docker.Port(fmt.Sprintf("%d/%s", p.Container, p.Protocol))
		if config.ExposedPorts == nil {
			config.ExposedPorts, host.PortBindings = map[docker.Port]struct{}{}, map[docker.Port][]docker.PortBinding{}
		}
		config.ExposedPorts[inside] = struct{}{}
		host.PortBindings[inside] = append(host.PortBindings[inside], docker.PortBinding{HostIP: p.HostIP, HostPort: p.Range()})
	}
}
