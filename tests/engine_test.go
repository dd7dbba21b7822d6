package tests

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"runtests/tests/dockerd"
	"runtests/tests/needs"
)

// privateEngine is an engine of a test's own, with the base image.
type privateEngine struct{ *dockerd.Engine }

// provide loads the base image.
func (e *privateEngine) provide() error {
	if _, err := e.Docker("image", "inspect", baseImage); err == nil {
		return nil
	}
	archive, err := savedImage()
	if err != nil {
		return err
	}
	if out, err := e.Docker("load", "--input", archive); err != nil {
		return fmt.Errorf("load the image %s: %w\n%s", baseImage, err, out)
	}
	return nil
}

// savedImage is the base image in a file.
var savedImage = sync.OnceValues(func() (string, error) {
	archive := filepath.Join(binDir, "base.tar")
	if out, err := docker("save", "--output", archive, baseImage); err != nil {
		return "", fmt.Errorf("save the image %s: %w\n%s", baseImage, err, out)
	}
	return archive, nil
})

// engine start [disk=SIZE] [OPTION...]|stop|kill|freeze|thaw: an engine of the story's
// own, with these options of dockerd, on a small disk. From its start on DOCKER_HOST is its address, and
// ENGINE_DIR a folder that others may enter; it has the base image.
func cmdEngine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: engine start [option...]|stop|kill|freeze|thaw")
	}
	story := ts.Value(storyKey{}).(*story)
	if args[0] == "start" && story.engine == nil {
		options, disk := args[1:], ""
		if len(options) > 0 && strings.HasPrefix(options[0], "disk=") {
			disk, options = strings.TrimPrefix(options[0], "disk="), options[1:]
		}
		private, err := dockerd.New(options...)
		ts.Check(err)
		private.Disk = disk
		e := &privateEngine{private}
		story.engine = e
		ts.Defer(func() {
			if err := e.Close(); err != nil {
				ts.Logf("remove the story's engine: %v", err)
			}
		})
		ts.Setenv("DOCKER_HOST", e.Host())
		ts.Setenv("ENGINE_DIR", e.Dir)
	}
	e := story.engine
	if e == nil {
		ts.Fatalf("no engine was started")
	}
	switch args[0] {
	case "start":
		ts.Check(e.Start())
		ts.Check(e.provide())
	case "stop":
		ts.Check(e.Stop())
	case "kill":
		ts.Check(e.Kill())
	case "freeze":
		ts.Check(e.Freeze())
	case "thaw":
		ts.Check(e.Thaw())
	default:
		ts.Fatalf("engine: unknown command %q", args[0])
	}
}

// disk SIZE DIR: a small disk of the story's own at DIR, which is made.
func cmdDisk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: disk size dir")
	}
	dir := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[0]))
	ts.Defer(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			ts.Logf("unmount %s: %v", dir, err)
		}
	})
}

// startEngine gives a test an engine of its own, with the base image.
func startEngine(t testing.TB, options ...string) *privateEngine {
	t.Helper()
	needs.Engine(t, t.Name())
	needs.Root(t, t.Name(), "it starts an engine of its own")
	private, err := dockerd.New(options...)
	if err != nil {
		t.Fatal(err)
	}
	e := &privateEngine{private}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("remove the test's engine: %v", err)
		}
	})
	if err := errors.Join(e.Start(), e.provide()); err != nil {
		t.Fatal(err)
	}
	return e
}
