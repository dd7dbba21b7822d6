// Package dockerd starts Docker daemons of a test's own, which may be done harm.
package dockerd

import (
	"bytes"
	"context"
	_ "embed" // lifeline.sh
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bound is how long a daemon may take to answer, or to end.
const bound = time.Minute

// Engine is a Docker daemon of a test's own, beside the machine's: it can be
// frozen and killed without harm to anybody else. Its containerd is a service beside
// it, as on Debian: it survives the daemon. Its network is another one too: a daemon
// takes a bridge docker0 for its own, and removes it when it is to have none.
type Engine struct {
	Dir     string // holds all that is its own; others may enter it
	Disk    string // to be set before the start: the size of a disk of its own for images and containers, as mount(8) has it for a tmpfs; empty: none
	options []string

	containerd, daemon *process
	lifeline           *os.File // is closed when this program ends, however it does
}

//go:embed lifeline.sh
var lifelineScript string

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
	late := time.NewTimer(bound)
	defer late.Stop()
	select {
	case <-p.exited:
		return nil
	case <-late.C:
		_ = p.Process.Kill()
		return fmt.Errorf("%s did not end on %v within %s", p.Path, s, bound)
	}
}

// New makes an engine that does not run yet, in a folder of its own.
func New(options ...string) (*Engine, error) {
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
	e := &Engine{Dir: dir, options: options}
	return e, e.watch()
}

// watch starts a process that removes the engine when this program has ended without Close,
// as by a panic.
func (e *Engine) watch() error {
	end, lifeline, err := os.Pipe()
	if err != nil {
		return err
	}
	defer end.Close()
	cmd := exec.Command("sh", "-c", lifelineScript, "lifeline.sh", e.Dir)
	cmd.Stdin = end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C ends the test, and then it is needed
	if err := cmd.Start(); err != nil {
		return errors.Join(err, lifeline.Close())
	}
	go func() { _ = cmd.Wait() }()
	e.lifeline = lifeline
	return nil
}

func (e *Engine) path(name string) string { return filepath.Join(e.Dir, name) }

// Host returns the engine's address, for DOCKER_HOST.
func (e *Engine) Host() string { return "unix://" + e.path("s") }

// Start starts the daemon and returns when the daemon answers.
func (e *Engine) Start() error {
	if err := errors.Join(e.startContainerd(), e.mountDisk()); err != nil {
		return err
	}
	// A daemon that was killed leaves its pid file; the pid may be somebody else's now.
	if err := errors.Join(os.RemoveAll(e.path("pid")), os.WriteFile(e.path("daemon.json"), []byte("{}\n"), 0o644)); err != nil {
		return err
	}
	args := []string{
		"--data-root", e.path("data"), "--exec-root", e.path("exec"), "--pidfile", e.path("pid"), "--host", e.Host(),
		"--containerd", e.path("c"), "--config-file", e.path("daemon.json"), "--iptables=false", "--ip6tables=false",
	}
	var err error
	if e.daemon, err = spawn(syscall.CLONE_NEWNET, e.path("log"), "dockerd", append(args, e.options...)...); err != nil {
		return err
	}
	return e.await()
}

// mountDisk gives the engine its own disk, if it is to have one and has it not yet.
func (e *Engine) mountDisk() error {
	if e.Disk == "" {
		return nil
	}
	data := e.path("data")
	if err := os.Mkdir(data, 0o711); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return syscall.Mount("tmpfs", data, "tmpfs", 0, "size="+e.Disk)
}

// startContainerd starts the daemon's containerd where it does not run.
func (e *Engine) startContainerd() (err error) {
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

// await waits until the daemon answers.
func (e *Engine) await() error {
	deadline := time.NewTimer(bound)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		if _, err := e.Docker("version"); err == nil {
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

func (e *Engine) endOfLog() string {
	log, err := os.ReadFile(e.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-2000):])
}

// Docker runs the docker client on the engine, and returns the output.
func (e *Engine) Docker(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", append([]string{"--host", e.Host()}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Freeze stops the daemon: its socket accepts connections, and nothing answers.
func (e *Engine) Freeze() error { return e.daemon.Process.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen daemon go on.
func (e *Engine) Thaw() error { return e.daemon.Process.Signal(syscall.SIGCONT) }

// Kill ends the daemon as a crash does: its containers go on without it.
func (e *Engine) Kill() error { return e.daemon.end(syscall.SIGKILL) }

// Stop ends the daemon as an administrator does: the daemon stops its containers.
func (e *Engine) Stop() error { return e.daemon.end(syscall.SIGTERM) }

// StopContainerd ends the daemon's containerd, and the containers that go on without the
// daemon, as a machine does that goes down.
func (e *Engine) StopContainerd() error {
	return errors.Join(e.containerd.end(syscall.SIGTERM), e.killRest())
}

// Close removes the engine with everything that it made.
func (e *Engine) Close() error {
	var errs []error
	if e.daemon.running() {
		errs = append(errs, e.Thaw())
		if ids, err := e.Docker("ps", "-aq"); err == nil && ids != "" {
			_, _ = e.Docker(append([]string{"rm", "-fv"}, strings.Fields(ids)...)...)
		}
		if err := e.Stop(); err != nil {
			errs = append(errs, err, e.Kill())
		}
	}
	errs = append(errs, e.StopContainerd(), e.unmountRest(), os.RemoveAll(e.Dir), e.lifeline.Close())
	return errors.Join(errs...)
}

// killRest ends what a killed daemon left: the shims of its containers, which name
// its folder on their command lines.
func (e *Engine) killRest() error {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte(e.Dir+"/")) || !bytes.Contains(line, []byte("containerd-shim")) {
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

// unmountRest unmounts what is mounted below the engine's folder, the last first.
func (e *Engine) unmountRest() error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var errs []error
	for _, line := range slices.Backward(strings.Split(string(mounts), "\n")) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], e.Dir+"/") {
			errs = append(errs, syscall.Unmount(fields[1], syscall.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}
