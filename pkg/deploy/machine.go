package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"al.essio.dev/pkg/shellescape"

	"runtests/pkg/hint"
	"runtests/pkg/plain"
)

// SSHFlags are the options of ssh with which production is reached. They keep the user's
// ssh_config, agent and known_hosts, but ask no question, as nobody would answer it, and end a
// connection that is dead.
var SSHFlags = []string{
	"-o", "BatchMode=yes",
	"-o", "StrictHostKeyChecking=yes",
	"-o", "ConnectTimeout=20",
	"-o", "ServerAliveInterval=15",
	"-o", "ServerAliveCountMax=4",
}

// machine is the production machine, as far as its shell goes.
type machine struct {
	ssh    []string // the arguments of ssh up to the command; nil: production is this machine
	host   string   // for messages
	socket string   // of its engine; empty: the docker client's default
}

// newMachine reads the address of an engine: ssh://… or unix://….
func newMachine(host string) (machine, error) {
	u, err := url.Parse(host)
	if err != nil {
		return machine{}, fmt.Errorf("read the address of production: %w", err)
	}
	switch u.Scheme {
	case "unix":
		return machine{host: "this machine", socket: u.Path}, nil
	case "ssh":
	default:
		return machine{}, hint.Errorf("set host: ssh://USER@HOST", "deploy to %s: scripts must run there, so it must be this machine or be reached by ssh", host)
	}
	m := machine{host: u.Hostname(), socket: strings.TrimSuffix(u.Path, "/"), ssh: append([]string{"-T"}, SSHFlags...)}
	if name := u.User.Username(); name != "" {
		m.ssh = append(m.ssh, "-l", name)
	}
	if port := u.Port(); port != "" {
		m.ssh = append(m.ssh, "-p", port)
	}
	m.ssh = append(m.ssh, "--", u.Hostname())
	return m, nil
}

// prelude returns the beginning of every script.
func (m machine) prelude() string {
	if m.socket == "" {
		return ""
	}
	return "DOCKER_HOST=" + shellescape.Quote("unix://"+m.socket) + "; export DOCKER_HOST; unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_TLS\n"
}

// command returns a command that runs a script of POSIX sh on the machine, whatever the user's
// login shell is. It has a session of its own: Ctrl-C does not reach it, and it does not reach the
// terminal, into whose input it could push characters. ssh asks nobody there (BatchMode).
func (m machine) command(ctx context.Context, script string, args ...string) *exec.Cmd {
	words := append([]string{"sh", "-c", m.prelude() + script, "sh"}, args...)
	if m.ssh != nil {
		words = append(append([]string{"ssh"}, m.ssh...), shellescape.QuoteCommand(words))
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// shellBound is how long an ordinary script may take.
const shellBound = 2 * time.Minute

// sh runs a script and returns its output.
func (m machine) sh(ctx context.Context, script string, args ...string) (string, error) {
	return m.feed(ctx, shellBound, nil, script, args...)
}

// feed is sh with another bound, for a script that reads stdin. A script that prints more than
// maxOutput or maxStderr is ended.
func (m machine) feed(ctx context.Context, bound time.Duration, stdin io.Reader, script string, args ...string) (string, error) {
	ctx, late := context.WithTimeoutCause(ctx, bound, fmt.Errorf("no answer within %s", bound))
	defer late()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := m.command(ctx, script, args...)
	stdout := &bounded{limit: maxOutput, what: "stdout", over: cancel}
	stderr := &bounded{limit: maxStderr, what: "stderr", over: cancel}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), m.fault(ctx, err, stderr.String())
	}
	return stdout.String(), nil
}

// sshFailed is the exit status of ssh when ssh itself failed.
const sshFailed = 255

// fault returns the error of a script that failed with err and printed stderr.
func (m machine) fault(ctx context.Context, err error, stderr string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("run a script on %s: %w", m.host, context.Cause(ctx))
	}
	stderr = strings.TrimSpace(stderr)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == sshFailed && m.ssh != nil:
		last := stderr[strings.LastIndexByte(stderr, '\n')+1:]
		return &connectionError{m.host, plain.Line(last)}
	case errors.As(err, &exit) && stderr != "":
		return fmt.Errorf("on %s: %s", m.host, plain.Message(stderr))
	}
	return fmt.Errorf("on %s: %w", m.host, err)
}

// An connectionError reports that ssh could not reach production, or lost the connection.
type connectionError struct{ host, why string }

func (e *connectionError) Error() string {
	if e.why == "" {
		return fmt.Sprintf("reach %s by ssh: the connection broke", e.host)
	}
	return fmt.Sprintf("reach %s by ssh: %s", e.host, e.why)
}

// Hint returns the remedy.
func (e *connectionError) Hint() string {
	switch {
	case strings.Contains(e.why, "Host key verification failed"):
		return fmt.Sprintf("log in once by hand (ssh %s) and compare the fingerprint with the machine's; if the machine is known, find out first why its key has changed", e.host)
	case strings.Contains(e.why, "Permission denied"):
		return "let this user in with a key (ssh-copy-id) that cron can use without a question"
	}
	return fmt.Sprintf("make sure that this works: ssh -o BatchMode=yes %s docker version", e.host)
}
