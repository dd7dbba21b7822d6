package deploy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/suite"
)

// TestAssignPorts checks that free ports are preferred, and that those of the running version
// are taken only if no other is free.
func TestAssignPorts(t *testing.T) {
	tcp := func(first, last, inside int) container.Port {
		return container.Port{First: first, Last: last, Container: inside, Protocol: "tcp"}
	}
	for name, c := range map[string]struct {
		ports    []container.Port
		mac      string
		taken    []int
		old      []publishedPort
		want     string
		handover bool
		fails    bool
	}{
		"fixed, free":                  {ports: []container.Port{tcp(80, 80, 9080)}, want: "9080/tcp=80", handover: true},
		"fixed, the old one's":         {ports: []container.Port{tcp(80, 80, 9080)}, taken: []int{80}, old: []publishedPort{{"9080/tcp", 80}}, want: "9080/tcp=80"},
		"fixed, the old one's, hidden": {ports: []container.Port{tcp(80, 80, 9080)}, old: []publishedPort{{"9080/tcp", 80}}, want: "9080/tcp=80"},
		"fixed, somebody else's":       {ports: []container.Port{tcp(80, 80, 9080)}, taken: []int{80}, fails: true},
		"a range":                      {ports: []container.Port{tcp(80, 81, 9080)}, want: "9080/tcp=80", handover: true},
		"a range, the first taken":     {ports: []container.Port{tcp(80, 82, 9080)}, taken: []int{80, 81}, old: []publishedPort{{"9080/tcp", 80}}, want: "9080/tcp=82", handover: true},
		"a range, all but the old":     {ports: []container.Port{tcp(80, 81, 9080)}, taken: []int{80, 81}, old: []publishedPort{{"9080/tcp", 81}}, want: "9080/tcp=81"},
		"a range, all taken":           {ports: []container.Port{tcp(80, 81, 9080)}, taken: []int{80, 81}, fails: true},
		"two ranges, one is exhausted": {
			ports: []container.Port{tcp(80, 81, 9080), tcp(90, 90, 9081)}, taken: []int{80, 90}, old: []publishedPort{{"9080/tcp", 80}, {"9081/tcp", 90}},
			want: "9080/tcp=81,9081/tcp=90",
		},
		"a MAC address is one's own": {ports: []container.Port{tcp(80, 81, 9080)}, mac: "aa:bb:cc:dd:ee:fe", old: []publishedPort{{"9080/tcp", 80}}, want: "9080/tcp=81"},
		"the other protocol":         {ports: []container.Port{{First: 80, Last: 80, Container: 53, Protocol: "udp"}}, taken: []int{80}, want: "53/udp=80", handover: true},
		"two to one, the old one's": {
			ports: []container.Port{tcp(80, 80, 9080), tcp(81, 81, 9080)}, taken: []int{80, 81}, old: []publishedPort{{"9080/tcp", 80}, {"9080/tcp", 81}},
			want: "9080/tcp=80,9080/tcp=81",
		},
		"one number on two addresses": {
			ports: []container.Port{{HostIP: "127.0.0.1", First: 80, Last: 80, Container: 1, Protocol: "tcp"}, {HostIP: "10.0.0.1", First: 80, Last: 80, Container: 2, Protocol: "tcp"}},
			want:  "1/tcp=80,2/tcp=80", handover: true,
		},
		"no ports": {},
	} {
		d := suite.Deployment{Container: container.Container{Ports: c.ports, MacAddress: c.mac}}
		taken := map[hostPort]bool{}
		for _, n := range c.taken {
			taken[hostPort{"tcp", n}] = true
		}
		got, err := assignPorts(d, taken, c.old, "prod")
		if c.fails != strings.Contains(hint.Of(err), "ss -lptun 'sport = :80'") || c.fails == (err == nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.label() != c.want || got.handover != c.handover && !c.fails {
			t.Errorf("%s: %s, handover %v", name, got.label(), got.handover)
		}
		if ports := published(container.Summary{Labels: map[string]string{labelPorts: got.label()}}); c.want != "" && len(ports) != len(got.ports) {
			t.Errorf("%s: read back as %v", name, ports)
		}
	}
}

// TestCheckURL checks that a port of a range in the URL is replaced by the port that was chosen.
func TestCheckURL(t *testing.T) {
	ports := []container.Port{{First: 10001, Last: 10002, Container: 9080, Protocol: "tcp"}, {First: 20, Last: 20, Container: 9081, Protocol: "tcp"}}
	for url, want := range map[string]string{
		"http://127.0.0.1:10001/x?y=10001": "http://127.0.0.1:10002/x?y=10001",
		"http://[::1]:10002/":              "http://[::1]:10002/",
		"http://localhost:20/":             "http://localhost:20/",
		"https://prod/":                    "https://prod/",
		"http://localhost:10003/":          "http://localhost:10003/",
		"":                                 "",
	} {
		d := suite.Deployment{Container: container.Container{Ports: ports}, Check: suite.HealthCheck{HTTP: url}}
		c, err := assignPorts(d, map[hostPort]bool{{"tcp", 10001}: true}, nil, "prod")
		if err != nil || c.checkURL(d) != want {
			t.Errorf("%s: %s, %v, want %s", url, c.checkURL(d), err, want)
		}
		if want := "9080 10002\n9081 20\n"; c.file() != want {
			t.Errorf("the ports file is %q", c.file())
		}
	}
}

func TestMachines(t *testing.T) {
	for host, want := range map[string]machine{
		"unix:///run/x.sock": {host: "this machine", socket: "/run/x.sock"},
		"ssh://prod":         {host: "prod", ssh: append(append([]string{"-T"}, SSHFlags...), "--", "prod")},
		"ssh://me@prod:2222/run/x.sock": {
			host: "prod", socket: "/run/x.sock", ssh: append(append([]string{"-T"}, SSHFlags...), "-l", "me", "-p", "2222", "--", "prod"),
		},
	} {
		got, err := newMachine(host)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(machine{})); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", host, err, diff)
		}
	}
	if _, err := newMachine("tcp://prod:2375"); err == nil {
		t.Error("an address without a shell is accepted")
	}
}
