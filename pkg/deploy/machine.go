package deploy

import (
	"bytes"
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
)

// SSHFlags are how production is reached: as the user's ssh_config, agent and known_hosts
// have it, without a question that nobody would answer, and not for ever.
var SSHFlags = []string{
	"-o", "BatchMode=yes",
	"-o", "StrictHostKeyChecking=yes",
	"-o", "ConnectTimeout=20",
	"-o", "ServerAliveInterval=15",
	"-o", "ServerAliveCountMax=4",
}

// machine is the shell of the production machine.
type machine struct {
	ssh    []string // the arguments of ssh up to the command; nil: it is this machine
	host   string   // what to call it
	socket string   // of its engine; empty: the docker client's own choice
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
		return machine{}, withHint(fmt.Errorf("production at %s: only a machine that is this one, or reached by ssh, has a shell", host), "give it host: ssh://USER@HOST")
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

// prelude is what every script begins with.
func (m machine) prelude() string {
	if m.socket == "" {
		return ""
	}
	return "DOCKER_HOST=" + shellescape.Quote("unix://"+m.socket) + "; export DOCKER_HOST; unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_TLS\n"
}

// command runs a script of POSIX sh on the machine, whatever the user's login shell is.
// A Ctrl-C is for us, not for it.
func (m machine) command(ctx context.Context, script string, args ...string) *exec.Cmd {
	words := append([]string{"sh", "-c", m.prelude() + script, "sh"}, args...)
	if m.ssh != nil {
		words = append(append([]string{"ssh"}, m.ssh...), shellescape.QuoteCommand(words))
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// shellBound is how long an ordinary script may take.
const shellBound = 2 * time.Minute

// sh runs a script and returns what it prints.
func (m machine) sh(ctx context.Context, script string, args ...string) (string, error) {
	return m.feed(ctx, shellBound, nil, script, args...)
}

// feed is sh for a script that reads something, within bound.
func (m machine) feed(ctx context.Context, bound time.Duration, stdin io.Reader, script string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("no answer within %s", bound))
	defer cancel()
	cmd := m.command(ctx, script, args...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), m.fault(ctx, err, said.String())
	}
	return out.String(), nil
}

// sshFailed is the exit status of ssh itself.
const sshFailed = 255

// fault says why a script did not end well.
func (m machine) fault(ctx context.Context, err error, said string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask %s: %w", m.host, context.Cause(ctx))
	}
	said = strings.TrimSpace(said)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == sshFailed && m.ssh != nil:
		return sshFault(m.host, said)
	case errors.As(err, &exit) && said != "":
		return fmt.Errorf("on %s: %s", m.host, said)
	}
	return fmt.Errorf("on %s: %w", m.host, err)
}

// An awayError is a production machine that could not be reached by ssh, or no longer.
type awayError struct{ host, said string }

func (e *awayError) Error() string {
	if e.said == "" {
		return fmt.Sprintf("reach %s by ssh: the connection broke", e.host)
	}
	return fmt.Sprintf("reach %s by ssh: %s", e.host, e.said)
}

// Hint is what a person can do about it.
func (e *awayError) Hint() string {
	switch {
	case strings.Contains(e.said, "Host key verification failed"):
		return fmt.Sprintf("log in once by hand (ssh %s) and compare the fingerprint with the machine's; or the machine has changed, and then who answers there?", e.host)
	case strings.Contains(e.said, "Permission denied"):
		return "let this user in by a key (ssh-copy-id), which cron can use without a question"
	}
	return fmt.Sprintf("`ssh -o BatchMode=yes %s docker version` must work", e.host)
}

func sshFault(host, said string) error {
	lines := strings.Split(said, "\n")
	return &awayError{host, strings.TrimSpace(lines[len(lines)-1])}
}

// hinted is an error with its remedy.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// Hint is the remedy.
func (h *hinted) Hint() string { return h.hint }

func withHint(err error, hint string) error { return &hinted{error: err, hint: hint} }
