package tests

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// privateEngine is a Docker daemon of a test's own, beside the machine's: it can be
// frozen and killed without harm to anybody else.
type privateEngine struct {
	dir     string // holds all that is its own; others may enter it
	options []string

	daemon *exec.Cmd
	exited chan struct{} // closed when the daemon has ended
}

// newPrivateEngine makes an engine that does not run yet. Its data is in a folder
// below dir.
func newPrivateEngine(options ...string) (*privateEngine, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("an engine of the test's own needs root")
	}
	dir, err := os.MkdirTemp("", "rt-engine-") // short: the path of a socket has 107 bytes
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	return &privateEngine{dir: dir, options: options}, nil
}

func (e *privateEngine) path(name string) string { return filepath.Join(e.dir, name) }

// host is its address, for DOCKER_HOST.
func (e *privateEngine) host() string { return "unix://" + e.path("s") }

// start starts the daemon and returns when it answers.
func (e *privateEngine) start() error {
	log, err := os.OpenFile(e.path("log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{
		"--data-root", e.path("data"), "--exec-root", e.path("exec"), "--pidfile", e.path("pid"), "--host", e.host(),
		"--config-file", e.path("daemon.json"), "--bridge=none", "--iptables=false", "--ip6tables=false",
	}
	if err := os.WriteFile(e.path("daemon.json"), []byte("{}\n"), 0o644); err != nil {
		return err
	}
	// A daemon that was killed leaves its pid file; the pid may be somebody else's now.
	if err := os.RemoveAll(e.path("pid")); err != nil {
		return err
	}
	e.daemon = exec.Command("dockerd", append(args, e.options...)...)
	e.daemon.Stdout, e.daemon.Stderr = log, log
	e.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := e.daemon.Start(); err != nil {
		return err
	}
	exited, daemon := make(chan struct{}), e.daemon
	e.exited = exited
	go func() {
		_ = daemon.Wait()
		close(exited)
	}()
	return e.answers()
}

// answers waits until the daemon does.
func (e *privateEngine) answers() error {
	deadline := time.NewTimer(storyBound)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		if _, err := e.docker("version"); err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-e.exited:
			return fmt.Errorf("the engine gave up:\n%s", e.endOfLog())
		case <-deadline.C:
			return fmt.Errorf("the engine does not answer:\n%s", e.endOfLog())
		}
	}
}

func (e *privateEngine) endOfLog() string {
	log, err := os.ReadFile(e.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-2000):])
}

func (e *privateEngine) docker(args ...string) (string, error) {
	return docker(append([]string{"--host", e.host()}, args...)...)
}

// provide loads the base image.
func (e *privateEngine) provide() error {
	if _, err := e.docker("image", "inspect", baseImage); err == nil {
		return nil
	}
	archive, err := savedImage()
	if err != nil {
		return err
	}
	if out, err := e.docker("load", "--input", archive); err != nil {
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

func (e *privateEngine) signal(s syscall.Signal) error { return e.daemon.Process.Signal(s) }

// freeze stops the daemon in its tracks: its socket accepts, and nothing answers.
func (e *privateEngine) freeze() error { return e.signal(syscall.SIGSTOP) }

// thaw lets it go on.
func (e *privateEngine) thaw() error { return e.signal(syscall.SIGCONT) }

// kill ends it as a crash does: its containers go on without it.
func (e *privateEngine) kill() error { return e.end(syscall.SIGKILL) }

// stop ends it as the machine's administrator does: it stops its containers.
func (e *privateEngine) stop() error { return e.end(syscall.SIGTERM) }

func (e *privateEngine) running() bool {
	if e.exited == nil {
		return false
	}
	select {
	case <-e.exited:
		return false
	default:
		return true
	}
}

// end sends a signal that ends the daemon, and waits for its end.
func (e *privateEngine) end(s syscall.Signal) error {
	if !e.running() {
		return nil
	}
	if err := e.signal(s); err != nil {
		return err
	}
	bound := time.NewTimer(storyBound)
	defer bound.Stop()
	select {
	case <-e.exited:
		return nil
	case <-bound.C:
		return fmt.Errorf("the engine does not end on %v:\n%s", s, e.endOfLog())
	}
}

// close removes the engine with all that it made.
func (e *privateEngine) close() error {
	var errs []error
	if e.running() {
		errs = append(errs, e.thaw())
		if ids, err := e.docker("ps", "-aq"); err == nil && ids != "" {
			_, _ = e.docker(append([]string{"rm", "-fv"}, strings.Fields(ids)...)...)
		}
		if err := e.stop(); err != nil {
			errs = append(errs, err, e.kill())
		}
	}
	errs = append(errs, e.killRest(), e.unmountRest(), os.RemoveAll(e.dir))
	return errors.Join(errs...)
}

// killRest ends the processes that a killed daemon left: its containerd and the
// shims of its containers, which name its folder on their command lines.
func (e *privateEngine) killRest() error {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte(e.dir+"/")) || !bytes.HasPrefix(line, []byte("containerd")) && !bytes.Contains(line, []byte("containerd-shim")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return err
		}
		// A shim is the parent of its container's first process, which would go on without it.
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		for _, child := range strings.Fields(string(children)) {
			if n, err := strconv.Atoi(child); err == nil {
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return nil
}

// unmountRest takes away what is mounted below the engine's folder, the last first.
func (e *privateEngine) unmountRest() error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var errs []error
	lines := strings.Split(string(mounts), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if fields := strings.Fields(lines[i]); len(fields) > 1 && strings.HasPrefix(fields[1], e.dir+"/") {
			errs = append(errs, syscall.Unmount(fields[1], syscall.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}

// engine start [OPTION...]|stop|kill|freeze|thaw: an engine of the story's own, with
// these options of dockerd. From its start on DOCKER_HOST is its address, and
// ENGINE_DIR a folder that others may enter; it has the base image.
func cmdEngine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: engine start [option...]|stop|kill|freeze|thaw")
	}
	story := ts.Value(storyKey{}).(*story)
	if args[0] == "start" && story.engine == nil {
		e, err := newPrivateEngine(args[1:]...)
		ts.Check(err)
		story.engine = e
		ts.Defer(func() {
			if err := e.close(); err != nil {
				ts.Logf("remove the story's engine: %v", err)
			}
		})
		ts.Setenv("DOCKER_HOST", e.host())
		ts.Setenv("ENGINE_DIR", e.dir)
	}
	e := story.engine
	if e == nil {
		ts.Fatalf("no engine was started")
	}
	switch args[0] {
	case "start":
		ts.Check(e.start())
		ts.Check(e.provide())
	case "stop":
		ts.Check(e.stop())
	case "kill":
		ts.Check(e.kill())
	case "freeze":
		ts.Check(e.freeze())
	case "thaw":
		ts.Check(e.thaw())
	default:
		ts.Fatalf("engine: unknown command %q", args[0])
	}
}

// startEngine gives a test an engine of its own, with the base image.
func startEngine(t testing.TB, options ...string) *privateEngine {
	t.Helper()
	e, err := newPrivateEngine(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.close(); err != nil {
			t.Errorf("remove the test's engine: %v", err)
		}
	})
	if err := errors.Join(e.start(), e.provide()); err != nil {
		t.Fatal(err)
	}
	return e
}

