package engine

import (
	"testing"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
)

// TestPorts reads ports in the forms of the docker client, and writes those of the API.
func TestPorts(t *testing.T) {
	for want, p := range map[string]container.Port{
		"10001:9080":           {First: 10001, Last: 10001, Container: 9080, Protocol: "tcp"},
		"10001-10002:9080":     {First: 10001, Last: 10002, Container: 9080, Protocol: "tcp"},
		"127.0.0.1:53:53/udp":  {HostIP: "127.0.0.1", First: 53, Last: 53, Container: 53, Protocol: "udp"},
		"[::1]:10001-10009:80": {HostIP: "::1", First: 10001, Last: 10009, Container: 80, Protocol: "tcp"},
	} {
		if p.String() != want {
			t.Errorf("%s, want %s", p, want)
		}
	}
	c := container.Container{Image: "x", Restart: "on-failure:3", Ports: []container.Port{
		{First: 80, Last: 80, Container: 9080, Protocol: "tcp"}, {HostIP: "::1", First: 81, Last: 82, Container: 9080, Protocol: "tcp"},
	}}
	options, err := createOptions(c, dialect{})
	if err != nil {
		t.Fatal(err)
	}
	bindings := options.HostConfig.PortBindings["9080/tcp"]
	if len(bindings) != 2 || bindings[0].HostPort != "80" || bindings[1].HostIP != "::1" || bindings[1].HostPort != "81-82" {
		t.Errorf("bindings: %v", bindings)
	}
	if _, ok := options.Config.ExposedPorts["9080/tcp"]; !ok {
		t.Errorf("exposed: %v", options.Config.ExposedPorts)
	}
	if p := options.HostConfig.RestartPolicy; p != (docker.RestartPolicy{Name: "on-failure", MaximumRetryCount: 3}) {
		t.Errorf("restart: %v", p)
	}
}

// TestPortsCollide checks that two ports collide if they may mean the same host port.
func TestPortsCollide(t *testing.T) {
	port := func(ip string, first, last int, protocol string) container.Port {
		return container.Port{HostIP: ip, First: first, Last: last, Container: 1, Protocol: protocol}
	}
	one := port("", 80, 82, "tcp")
	for _, c := range []struct {
		other container.Port
		want  bool
	}{
		{port("", 82, 90, "tcp"), true}, {port("127.0.0.1", 81, 81, "tcp"), true}, {port("", 83, 83, "tcp"), false}, {port("", 80, 80, "udp"), false},
	} {
		if one.Collides(c.other) != c.want || c.other.Collides(one) != c.want {
			t.Errorf("%s and %s: want %v", one, c.other, c.want)
		}
	}
	if port("127.0.0.1", 80, 80, "tcp").Collides(port("127.0.0.2", 80, 80, "tcp")) {
		t.Error("two addresses have two ports")
	}
}
