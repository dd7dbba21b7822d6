package tests

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
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

	"runtests/tests/needs"
)

// privateEngine is a Docker daemon of a test's own, beside the machine's: it can be
// frozen and killed without harm to anybody else. Its containerd is a service beside
// it, as on Debian: it survives the daemon. Its network is another one too: a daemon
// takes a bridge docker0 for its own, and removes it when it is to have none.
type privateEngine struct {
	dir     string // holds all that is its own; others may enter it
	disk    string // the size of a disk of its own for images and containers, as mount(8) has it for a tmpfs; empty: none
	options []string

	containerd, daemon *process
}

// process is a service of the engine.
type process struct {
	*exec.Cmd
	exited chan struct{} // closed when it has ended
}

// spawn starts a service in new namespaces (CLONE_NEW…), with its output appended to
// the file log.
func spawn(namespaces uintptr, log, name string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{exec.Command(name, args...), make(chan struct{})}
	p.Stdout, p.Stderr = out, out
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: namespaces} // a Ctrl-C is for the test
	if err := p.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// end sends a signal that ends the process, and waits for its end.
func (p *process) end(s syscall.Signal) error {
	if !p.running() {
		return nil
	}
	if err := p.Process.Signal(s); err != nil {
		return err
	}
	bound := time.NewTimer(storyBound)
	defer bound.Stop()
	select {
	case <-p.exited:
		return nil
	case <-bound.C:
		return fmt.Errorf("%s does not end on %v", p.Path, s)
	}
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
	if err := e.startContainerd(); err != nil {
		return err
	}
	if err := e.mountDisk(); err != nil {
		return err
	}
	// A daemon that was killed leaves its pid file; the pid may be somebody else's now.
	if err := errors.Join(os.RemoveAll(e.path("pid")), os.WriteFile(e.path("daemon.json"), []byte("{}\n"), 0o644)); err != nil {
		return err
	}
	args := []string{
		"--data-root", e.path("data"), "--exec-root", e.path("exec"), "--pidfile", e.path("pid"), "--host", e.host(),
		"--containerd", e.path("c"), "--config-file", e.path("daemon.json"), "--iptables=false", "--ip6tables=false",
	}
	var err error
	if e.daemon, err = spawn(syscall.CLONE_NEWNET, e.path("log"), "dockerd", append(args, e.options...)...); err != nil {
		return err
	}
	return e.answers()
}

// mountDisk gives the engine its own disk, if it is to have one and has it not yet.
func (e *privateEngine) mountDisk() error {
	if e.disk == "" {
		return nil
	}
	data := e.path("data")
	if err := os.Mkdir(data, 0o711); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return syscall.Mount("tmpfs", data, "tmpfs", 0, "size="+e.disk)
}

// startContainerd starts the daemon's containerd where it does not run.
func (e *privateEngine) startContainerd() (err error) {
	if e.containerd.running() {
		return nil
	}
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		e.path("croot"), e.path("cstate"), e.path("c"))
	if err := os.WriteFile(e.path("c.toml"), []byte(config), 0o644); err != nil {
		return err
	}
	e.containerd, err = spawn(0, e.path("clog"), "containerd", "--config", e.path("c.toml"))
	return err
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
		case <-e.daemon.exited:
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

// freeze stops the daemon in its tracks: its socket accepts, and nothing answers.
func (e *privateEngine) freeze() error { return e.daemon.Process.Signal(syscall.SIGSTOP) }

// thaw lets it go on.
func (e *privateEngine) thaw() error { return e.daemon.Process.Signal(syscall.SIGCONT) }

// kill ends it as a crash does: its containers go on without it.
func (e *privateEngine) kill() error { return e.daemon.end(syscall.SIGKILL) }

// stop ends it as the machine's administrator does: it stops its containers.
func (e *privateEngine) stop() error { return e.daemon.end(syscall.SIGTERM) }

// close removes the engine with all that it made.
func (e *privateEngine) close() error {
	var errs []error
	if e.daemon.running() {
		errs = append(errs, e.thaw())
		if ids, err := e.docker("ps", "-aq"); err == nil && ids != "" {
			_, _ = e.docker(append([]string{"rm", "-fv"}, strings.Fields(ids)...)...)
		}
		if err := e.stop(); err != nil {
			errs = append(errs, err, e.kill())
		}
	}
	errs = append(errs, e.containerd.end(syscall.SIGTERM), e.killRest(), e.unmountRest(), os.RemoveAll(e.dir))
	return errors.Join(errs...)
}

// killRest ends what a killed daemon left: the shims of its containers, which name
// its folder on their command lines.
func (e *privateEngine) killRest() error {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte(e.dir+"/")) || !bytes.Contains(line, []byte("containerd-shim")) {
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
		e, err := newPrivateEngine(options...)
		ts.Check(err)
		e.disk = disk
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
	needs.Root(t, t.Name(), "it starts an engine of its own")
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
