package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"runtests/pkg/container"
)

// TestStdoutAndStderrInOrder writes to stdout and stderr in turn, each line when the previous line
// has arrived here. The engine keeps no order between lines that are written at the same moment.
func TestStdoutAndStderrInOrder(t *testing.T) {
	e := connect(t)
	dir := t.TempDir()
	c := shell("i=0; say() { echo $1 $i; i=$((i+1)); while [ ! -e /seen/$i ]; do usleep 1000; done; }\n" +
		"while [ $i -lt 20 ]; do say out; say err >&2; done")
	c.Mounts = []container.Mount{{Source: dir, Target: "/seen", ReadOnly: true}}
	var got strings.Builder
	seen := 0
	exit, err := e.Run(t.Context(), c, writerFunc(func(p []byte) (int, error) {
		got.Write(p)
		for ; seen < strings.Count(got.String(), "\n"); seen++ {
			if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(seen+1)), nil, 0o644); err != nil {
				return 0, err
			}
		}
		return len(p), nil
	}))
	t.Cleanup(func() { _ = e.Remove(context.Background(), exit.ID) })
	if err != nil || exit.Code != 0 {
		t.Fatalf("%+v, %v", exit, err)
	}
	var want strings.Builder
	for i := 0; i < 20; i += 2 {
		fmt.Fprintf(&want, "out %d\nerr %d\n", i, i+1)
	}
	if got.String() != want.String() {
		t.Errorf("got %q", got.String())
	}
}

// writerFunc is a function that implements io.Writer.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestStopByInit checks that init passes TERM on, on which the command ends by default.
func TestStopByInit(t *testing.T) {
	e := connect(t)
	c := shell(`echo ready; while :; do usleep 10000; done`)
	c.Init = true
	ctx, cancel := context.WithCancel(t.Context())
	output := &trigger{on: "ready\n", do: cancel}
	exit, err := e.Run(ctx, c, output)
	if err != nil || !exit.Stopped || exit.Killed || exit.Code != 143 || output.String() != "ready\n" {
		t.Errorf("got %+v, output %q, %v", exit, output.String(), err)
	}
	if err := e.Remove(t.Context(), exit.ID); err != nil {
		t.Error(err)
	}
}

// trigger records what is written, and calls a function when it contains a text.
type trigger struct {
	strings.Builder
	on string
	do func()
}

func (w *trigger) Write(p []byte) (int, error) {
	n, err := w.Builder.Write(p)
	if strings.Contains(w.String(), w.on) {
		w.do()
	}
	return n, err
}

func TestCannotStart(t *testing.T) {
	e := connect(t)
	dir := t.TempDir()
	for name, content := range map[string]string{
		"missing-interpreter": "#!/nope/sh\n", "crlf": "#!/bin/sh\r\necho hi\r\n", "no-interpreter": "echo hi\n", "not-executable": "#!/bin/sh\n",
	} {
		mode := os.FileMode(0o755)
		if name == "not-executable" {
			mode = 0o644
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := func(name string) container.Container {
		c := command("/test/" + name)
		c.Mounts = []container.Mount{{Source: dir, Target: "/test", ReadOnly: true}}
		return c
	}
	with := func(change func(*container.Container)) container.Container {
		c := command("true")
		change(&c)
		return c
	}
	tests := []struct {
		name      string
		container container.Container
		is        error
		says      string
		hints     bool
	}{
		{"missing interpreter", script("missing-interpreter"), container.ErrInterpreter, "the interpreter named in the first line of its command", true},
		{"CR LF", script("crlf"), container.ErrInterpreter, "the interpreter named in the first line of its command", true},
		{"no interpreter", script("no-interpreter"), container.ErrStart, "neither a script with a #! line nor a program", true},
		{"not executable", script("not-executable"), container.ErrStart, `"/test/not-executable" is not an executable file`, true},
		{"directory", script(""), container.ErrStart, `"/test/" is`, true},
		{"missing path", script("nope"), container.ErrStart, `the command "/test/nope" is not in the container`, true},
		{"missing command", command("nope"), container.ErrStart, `the command "nope" is not in the image`, true},
		{"no such image", with(func(c *container.Container) { c.Image = "no-such-image:at-all" }), container.ErrNoImage, `no such image: "no-such-image:at-all"`, true},
		{"bind source", with(func(c *container.Container) { c.Mounts = []container.Mount{{Source: "/no/such", Target: "/x"}} }), container.ErrStart, "/no/such does not exist", true},
		{"device", with(func(c *container.Container) { c.Devices = []string{"/dev/no-such"} }), container.ErrStart, "no device /dev/no-such", true},
		{"network", with(func(c *container.Container) { c.NetworkMode = "no-such-net" }), container.ErrStart, `there is no network "no-such-net"`, true},
		{"user", with(func(c *container.Container) { c.User = "nobody-such" }), container.ErrStart, `the image has no user "nobody-such"`, true},
		{"multicast MAC", with(func(c *container.Container) { c.MacAddress = "01:00:00:00:00:01" }), container.ErrStart, "the MAC address 01:00:00:00:00:01 cannot be used", true},
		{"mount option", with(func(c *container.Container) {
			c.Mounts = []container.Mount{{Source: "/tmp", Target: "/x", Options: []string{"zz"}}}
		}), nil, `"zz" is not an option`, false},
		{"MAC", with(func(c *container.Container) { c.MacAddress = "maple" }), nil, `read the MAC address "maple"`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, output, err := run(t.Context(), t, e, tt.container)
			if err == nil {
				t.Fatalf("it ran, and printed %q", output)
			}
			if tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
			var hint interface{ Hint() string }
			if errors.As(err, &hint) != tt.hints {
				t.Errorf("hint expected: %v; error %v", tt.hints, err)
			}
		})
	}
}

// TestFailureThatLooksLikeAFault checks that a test which prints such a line and fails has failed, not
// failed to start.
func TestFailureThatLooksLikeAFault(t *testing.T) {
	e := connect(t)
	exit, _ := mustRun(t, e, shell("echo 'exec /other: no such file or directory'; exit 1"))
	if exit.Code != 1 {
		t.Errorf("got %+v", exit)
	}
}

func TestTimeouts(t *testing.T) {
	e := connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // the start of the container is part of it
	defer cancel()
	exit, _, err := run(ctx, t, e, shell("while :; do echo busy; done"))
	if err != nil || !exit.Stopped {
		t.Errorf("got %+v, %v", exit, err)
	}
}
