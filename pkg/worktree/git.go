package worktree

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"runtests/pkg/plain"
)

// The bounds of one git command. The largest work trees need seconds.
const (
	commandTimeout = 30 * time.Second
	maxOutput      = 64 << 20 // bytes on stdout
	maxComplaint   = 4 << 10  // bytes on stderr that are kept
	maxMemory      = 1 << 30  // bytes of data; mapped packs do not count
)

// git runs git in the work tree, with an input unless that is nil, and returns its output.
func (p *private) git(ctx context.Context, input io.Reader, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.patience, fmt.Errorf("no answer within %s", p.patience))
	defer cancel()
	cmd := p.command(ctx, args...)
	stdout, stderr := &limited{left: maxOutput, cancel: cancel}, &limited{left: maxComplaint}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, stdout, stderr
	err := start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	switch {
	case stdout.full:
		return nil, fmt.Errorf("git %s: more than %d MiB of output", args[0], maxOutput>>20)
	case err != nil:
		return nil, complain(ctx, args[0], err, stderr.kept.String())
	}
	return stdout.kept.Bytes(), nil
}

// complain returns the error of a git command that failed with err and printed stderr.
func complain(ctx context.Context, command string, err error, stderr string) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	first, _, _ := strings.Cut(stderr, "\n")
	if first = plain.Clean(first); first != "" {
		return fmt.Errorf("git %s: %w: %.300s", command, err, first)
	}
	return fmt.Errorf("git %s: %w", command, err)
}

// command returns a git command for the work tree, which knows no repository but the private one and no
// configuration but ours. If we are root, git runs as the owner of the work tree. It has no terminal,
// and nothing of our environment, where passwords may be.
func (p *private) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--no-pager", "--literal-pathspecs"}, args...)...)
	cmd.Dir = p.root
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C",
		"GIT_DIR=" + p.dir, "GIT_WORK_TREE=" + p.root, "GIT_OBJECT_DIRECTORY=" + filepath.Join(p.commonDir, "objects"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_SYSTEM=" + os.DevNull, "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_ATTR_NOSYSTEM=1",
		"GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1",
		"GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none", "GIT_TERMINAL_PROMPT=0", "GIT_ADVICE=0",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if p.owner != nil && p.owner.Uid != 0 {
		cmd.SysProcAttr.Credential = p.owner
	}
	cmd.WaitDelay = time.Second
	return cmd
}

// start starts a command and bounds its memory. A limit that the system refuses is no reason to do
// without the command.
func start(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	for resource, limit := range map[int]uint64{unix.RLIMIT_DATA: maxMemory, unix.RLIMIT_CORE: 0} {
		_ = unix.Prlimit(cmd.Process.Pid, resource, &unix.Rlimit{Cur: limit, Max: limit}, nil)
	}
	return nil
}

// limited keeps the beginning of what is written to it.
type limited struct {
	kept   bytes.Buffer // not embedded: io.Copy would use its ReadFrom, which has no bound
	left   int          // bytes
	full   bool         // there was more
	cancel func()       // ends the writer when there is more; may be nil
}

func (l *limited) Write(p []byte) (int, error) {
	part := p[:min(len(p), l.left)]
	l.left -= len(part)
	l.kept.Write(part)
	if len(part) < len(p) {
		l.full = true
		if l.cancel != nil {
			l.cancel()
		}
	}
	return len(p), nil
}
