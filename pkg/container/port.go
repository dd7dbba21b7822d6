package container

import (
	"fmt"
	"strconv"
	"strings"
)

// A Port is a port of a container published on the host.
type Port struct {
	HostIP      string // empty: all addresses of the host
	First, Last int    // the range that the host's port is taken from; equal: exactly this port
	Container   int
	Protocol    string // tcp or udp
}

// Open reports whether the host's port is still to be chosen from a range.
func (p Port) Open() bool { return p.First != p.Last }

// Range returns the host's port or range of ports.
func (p Port) Range() string {
	if p.Open() {
		return fmt.Sprintf("%d-%d", p.First, p.Last)
	}
	return strconv.Itoa(p.First)
}

// Collides reports whether both ports could need the same port of the host.
func (p Port) Collides(other Port) bool {
	everywhere := func(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }
	return p.Protocol == other.Protocol && p.First <= other.Last && other.First <= p.Last &&
		(p.HostIP == other.HostIP || everywhere(p.HostIP) || everywhere(other.HostIP))
}

// String returns the port as `docker run -p` takes it.
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
