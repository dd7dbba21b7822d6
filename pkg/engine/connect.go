package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// Options say how to reach the engine and how long to wait for it.
type Options struct {
	// Host is the engine's address, in the form of DOCKER_HOST; empty: Connect finds an engine.
	Host string
	// SSHFlags are more options for ssh, for instance -o BatchMode=yes.
	SSHFlags []string

	Getenv  func(string) string // default: os.Getenv
	HomeDir string              // its .docker holds contexts and credentials; default: the user's
	// CallTimeout bounds an ordinary call, and the silence of a stream that should be
	// ending; default: the seconds in DOCKER_CLIENT_TIMEOUT, as in other clients of Docker,
	// or 30s. A call that makes the engine work on its disk (create, attach, start,
	// remove) has four times as long.
	CallTimeout time.Duration
	// StallTimeout bounds the silence of a pull or of a copy; default 5m.
	StallTimeout time.Duration
	// LifeTimeout is how long an engine may give no sign of life, while it works for us,
	// before it counts as gone; default four times CallTimeout, because a machine that is
	// short of memory answers slowly.
	LifeTimeout time.Duration
}

// Engine is a connection to a container engine. Its methods may be called concurrently.
type Engine struct {
	options Options
	info    Info
	api     docker.APIVersion
	dial    dialFunc
	base    *docker.Client

	maxAnswer int // bytes, of an answer that is not a stream
	abilities *known[abilities]
	noInit    *known[bool] // of Podman: it has no program for init: true
}

// Info identifies an engine.
type Info struct {
	Name    string // Docker, Podman
	Version string // 28.5.2
	API     string // the API version spoken with it, 1.41
	Host    string // unix:///var/run/docker.sock
	OS      string // linux
	Arch    string // amd64
	Local   bool   // on a unix socket: the engine most likely sees the paths of this machine
}

// CLI returns the command with which a person uses this engine: docker or podman.
func (i Info) CLI() string { return strings.ToLower(i.Name) }

// Connect finds the engine and agrees with it on a version of the API. The engine is the one at
// Options.Host, else at DOCKER_HOST, else that of the context which DOCKER_CONTEXT or the docker
// client's configuration names, else the first that answers at a default socket. If none
// answers, the error (ErrNoEngine) lists each place with the reason.
func Connect(ctx context.Context, options Options) (*Engine, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	places, err := options.places()
	if err != nil {
		return nil, fmt.Errorf("find the container engine: %w", err)
	}
	var failures unreachable
	for _, p := range places {
		e, err := options.connect(ctx, p)
		if err == nil {
			return e, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("reach the container engine: %w", context.Cause(ctx))
		}
		failures = append(failures, failure{p, err})
		if !errors.Is(err, container.ErrGone) {
			break // there is an engine, or a clear reason why not: do not use another engine in its place
		}
	}
	return nil, failures
}

func (o Options) withDefaults() (Options, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.HomeDir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			home = "/" // without a home there are no contexts and no credentials
		}
		o.HomeDir = home
	}
	if o.CallTimeout <= 0 {
		var err error
		if o.CallTimeout, err = callTimeout(o.Getenv(callTimeoutVariable)); err != nil {
			return o, err
		}
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = 5 * time.Minute
	}
	if o.LifeTimeout <= 0 {
		o.LifeTimeout = 4 * o.CallTimeout
	}
	return o, nil
}

// callTimeoutVariable is the environment variable from which Compose and Docker's Python client
// take the bound of a call, in seconds.
const callTimeoutVariable = "DOCKER_CLIENT_TIMEOUT"

// maxCallTimeout is a day, in seconds.
const maxCallTimeout = 24 * 60 * 60

// callTimeout reads the variable; empty: 30 seconds.
func callTimeout(value string) (time.Duration, error) {
	if value == "" {
		return 30 * time.Second, nil
	}
	seconds, err := strconv.Atoi(value)
	if err != nil || seconds < 1 || seconds > maxCallTimeout {
		return 0, hint.Wrap(fmt.Errorf("%s=%q is not a number of seconds from 1 to %d", callTimeoutVariable, value, maxCallTimeout), "unset it: the default is 30")
	}
	return time.Duration(seconds) * time.Second, nil
}

// connect connects to the engine at p and agrees on a version with it.
func (o Options) connect(ctx context.Context, p place) (*Engine, error) {
	dial, err := p.dialer(o.SSHFlags)
	if err != nil {
		return nil, err
	}
	e := &Engine{options: o, dial: dial, maxAnswer: maxAnswer, abilities: new(known[abilities]), noInit: new(known[bool])}
	ctx, cancel := within(ctx, o.CallTimeout)
	defer cancel()
	if e.base, err = docker.NewVersionedClient(unusedEndpoint, ""); err != nil {
		return nil, err
	}
	e.base.SkipServerVersionCheck = true
	answer, err := e.client(ctx).VersionWithContext(ctx)
	if err != nil {
		return nil, explain(ctx, err)
	}
	version, err := negotiate(answer.Get("ApiVersion"), answer.Get("MinAPIVersion"), o.Getenv("DOCKER_API_VERSION"))
	if err != nil {
		return nil, err
	}
	e.api = version
	e.info = Info{
		Name: engineName(answer), Version: cleanVersion(answer.Get("Version")), API: version.String(), Host: p.host,
		OS: answer.Get("Os"), Arch: answer.Get("Arch"), Local: strings.HasPrefix(p.host, "unix://"),
	}
	if e.base, err = docker.NewVersionedClient(unusedEndpoint, version.String()); err != nil {
		return nil, err
	}
	if e.base, err = e.withVersion(ctx, answer.Get("ApiVersion")); err != nil {
		return nil, explain(ctx, err)
	}
	return e, nil
}

const podman = "Podman"

// engineName returns Podman or Docker; both speak Docker's API.
func engineName(version *docker.Env) string {
	var components []struct{ Name string }
	if err := version.GetJSON("Components", &components); err == nil {
		for _, c := range components {
			if strings.HasPrefix(c.Name, "Podman") {
				return podman
			}
		}
	}
	return "Docker"
}

// cleanVersion drops the suffix of a distribution: 20.10.24+dfsg1.
func cleanVersion(version string) string {
	version, _, _ = strings.Cut(version, "+")
	return version
}

// Info identifies the engine.
func (e *Engine) Info() Info { return e.info }

// Close ends the use of the engine. Today it does nothing, as no connection outlives its call.
func (e *Engine) Close() error { return nil }

// Ping returns an error if the engine does not answer within the bound of one call.
func (e *Engine) Ping(ctx context.Context) error {
	if err := e.pingWithin(ctx, e.options.CallTimeout); err != nil {
		return fmt.Errorf("reach the engine at %s: %w", e.info.Host, err)
	}
	return nil
}

// RootDir returns the directory on the engine's machine that holds images and containers, or ""
// if the engine does not say.
func (e *Engine) RootDir(ctx context.Context) (string, error) {
	var info struct{ DockerRootDir string }
	if err := e.get(ctx, "/info", &info); err != nil {
		return "", fmt.Errorf("ask the engine for its directory: %w", err)
	}
	return info.DockerRootDir, nil
}

// slowCalls times CallTimeout bounds a call that makes the engine work on its disk.
const slowCalls = 4

// slow bounds a call that makes the engine work on its disk.
func (e *Engine) slow(ctx context.Context) (context.Context, context.CancelFunc) {
	return within(ctx, slowCalls*e.options.CallTimeout)
}

// failure is a place without an engine that we can use, and the reason.
type failure struct {
	place
	err error
}

// unreachable is the error of Connect, with every place that was tried.
type unreachable []failure

// Error lists the places and the reasons.
func (u unreachable) Error() string {
	if len(u) == 1 {
		return fmt.Sprintf("reach the container engine at %s: %v", u[0].place, reason(u[0].err))
	}
	var tried []string
	for _, f := range u {
		tried = append(tried, fmt.Sprintf("%s (%s)", f.place, reason(f.err)))
	}
	return container.ErrNoEngine.Error() + "; tried " + strings.Join(tried, ", ")
}

// reason returns why a place does not answer, without the address that the error names.
func reason(err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "no such file"
	case errors.Is(err, os.ErrPermission):
		return "permission denied"
	case errors.Is(err, docker.ErrConnectionRefused) || errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens on it"
	}
	return strings.TrimPrefix(err.Error(), container.ErrGone.Error()+": ")
}

// Unwrap returns ErrNoEngine and the reasons of all places.
func (u unreachable) Unwrap() []error {
	all := []error{container.ErrNoEngine}
	for _, f := range u {
		all = append(all, f.err)
	}
	return all
}

// Hint returns the remedy for the place that came closest to an engine.
func (u unreachable) Hint() string {
	for _, f := range u {
		if remedy := hint.Of(f.err); remedy != "" {
			return remedy
		}
		if errors.Is(f.err, os.ErrPermission) {
			return f.remedy(f.err)
		}
	}
	for _, f := range u {
		if !errors.Is(f.err, os.ErrNotExist) || f.origin != "" {
			return f.remedy(f.err)
		}
	}
	return "start one: `systemctl start docker`, or `systemctl --user start podman.socket`"
}
