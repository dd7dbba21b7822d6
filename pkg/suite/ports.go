package suite

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// maxRange bounds a range of ports.
const maxRange = 100

// setPorts reads a list of ports in Compose's short form.
func (p *deployment) setPorts(v value) {
	items, _ := v.items(false)
	p.Ports = nil
	for _, item := range items {
		ports, _ := unshown(item, parsePorts)
		for _, port := range ports {
			if slices.ContainsFunc(p.Ports, port.Collides) {
				item.fail("", "ports: port %s of the host is given twice", port.Range())
				break
			}
			p.Ports = append(p.Ports, port)
		}
	}
}

// parsePorts reads [IP:]HOST:CONTAINER[/PROTOCOL]. A range of host ports for one port of the
// container leaves the choice open; a range for a range of the same length is that many ports.
func parsePorts(text string) ([]container.Port, error) {
	const form = "the form is [IP:]HOST:CONTAINER[/udp], as in 10001:9080 or 10001-10002:9080"
	wrong := func(why string) error { return hint.Errorf(form, "%s", why) }
	rest, protocol, given := strings.Cut(text, "/")
	if !given {
		protocol = "tcp"
	}
	if protocol != "tcp" && protocol != "udp" {
		return nil, hint.Errorf("use tcp or udp", "the protocol %s is not supported", quoted(protocol))
	}
	at := strings.LastIndexByte(rest, ':')
	if at < 0 {
		return nil, wrong("the host port is missing")
	}
	host, inside := rest[:at], rest[at+1:]
	ip := ""
	if at := strings.LastIndexByte(host, ':'); at >= 0 {
		ip, host = strings.Trim(host[:at], "[]"), host[at+1:]
		if _, err := netip.ParseAddr(ip); err != nil {
			return nil, hint.Errorf(form, "%s is not an IP address", quoted(ip))
		}
	}
	first, last, err := portRange(host)
	if err != nil {
		return nil, wrong(err.Error())
	}
	from, to, err := portRange(inside)
	if err != nil {
		return nil, wrong(err.Error())
	}
	if from == to {
		return []container.Port{{HostIP: ip, First: first, Last: last, Container: from, Protocol: protocol}}, nil
	}
	if last-first != to-from {
		return nil, wrong("two ranges of ports must have the same length")
	}
	var ports []container.Port
	for i := range to - from + 1 {
		ports = append(ports, container.Port{HostIP: ip, First: first + i, Last: first + i, Container: from + i, Protocol: protocol})
	}
	return ports, nil
}

// portRange reads PORT or PORT-PORT.
func portRange(text string) (first, last int, err error) {
	low, high, isRange := strings.Cut(text, "-")
	if first, err = portNumber(low); err != nil || !isRange {
		return first, first, err
	}
	if last, err = portNumber(high); err != nil {
		return 0, 0, err
	}
	if last < first || last-first >= maxRange {
		return 0, 0, fmt.Errorf("a range of ports must go up, and have at most %d ports", maxRange)
	}
	return first, last, nil
}

func portNumber(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("a port is a number from 1 to 65535")
	}
	return int(n), nil
}
