package engine

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/engine/enginetest"
)

// newFaultyEngine returns a socket in front of e, and an Engine that talks through it, with
// callTimeout for each call from then on.
func newFaultyEngine(t *testing.T, e *Engine, callTimeout time.Duration) (*enginetest.Proxy, *Engine) {
	t.Helper()
	proxy := enginetest.NewProxy(t, enginetest.Dial(e.dial))
	env := map[string]string{"DOCKER_HOST": proxy.Host()}
	through, err := Connect(t.Context(), Options{Getenv: func(k string) string { return env[k] }, HomeDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	through.options.CallTimeout, through.options.StallTimeout, through.options.LifeTimeout = callTimeout, callTimeout, 4*callTimeout
	return proxy, through
}

func TestFrozenEngine(t *testing.T) {
	real := connect(t)
	exit, err := real.Run(t.Context(), command("true"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := real.Remove(context.Background(), exit.ID); err != nil {
			t.Error(err)
		}
	})
	copied := command("true")
	copied.Copies = []container.Copy{{Source: t.TempDir(), Target: "/test"}}
	type call func(ctx context.Context, e *Engine) error
	runs := func(c container.Container) call {
		return func(ctx context.Context, e *Engine) error {
			exit, err := e.Run(ctx, c, io.Discard)
			if exit.ID != "" {
				err = errors.Join(err, real.Remove(ctx, exit.ID))
			}
			return err
		}
	}
	calls := map[string]struct {
		on   string
		call call
	}{
		"connect": {"/version", func(ctx context.Context, e *Engine) error {
			_, err := e.options.connect(ctx, place{host: e.info.Host})
			return err
		}},
		"ping":       {"/_ping", func(ctx context.Context, e *Engine) error { return e.Ping(ctx) }},
		"root":       {"/info", func(ctx context.Context, e *Engine) error { _, err := e.RootDir(ctx); return err }},
		"image":      {"/images/", func(ctx context.Context, e *Engine) error { _, err := e.Image(ctx, testImage()); return err }},
		"pull":       {"/images/create", func(ctx context.Context, e *Engine) error { return e.Pull(ctx, "localhost:1/x", "", nil) }},
		"containers": {"/containers/json", func(ctx context.Context, e *Engine) error { _, err := e.Containers(ctx, nil); return err }},
		"named": {"/json", func(ctx context.Context, e *Engine) error {
			_, _, err := e.ContainerNamed(ctx, "some-name")
			return err
		}},
		"rename":  {"/rename", func(ctx context.Context, e *Engine) error { return e.Rename(ctx, exit.ID, "some-name") }},
		"remove":  {"DELETE", func(ctx context.Context, e *Engine) error { return e.Remove(ctx, exit.ID) }},
		"stop":    {"/kill", func(ctx context.Context, e *Engine) error { _, err := e.Stop(ctx, exit.ID, time.Second); return err }},
		"create":  {"/create", runs(command("true"))},
		"copy":    {"/archive", runs(copied)},
		"attach":  {"/attach", runs(command("true"))},
		"start":   {"/start", runs(command("true"))},
		"inspect": {"/json", runs(command("true"))},
	}
	for name, tt := range calls {
		for kind, as := range map[string]enginetest.Fault{"freezes": enginetest.Stall, "is deaf": enginetest.Deaf} {
			if name == "create" && as == enginetest.Deaf {
				continue // it makes a container whose ID nobody learns; the sweep by label finds it
			}
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				faulty, e := newFaultyEngine(t, real, time.Second)
				faulty.Fail(tt.on, as)
				start := time.Now()
				err := tt.call(t.Context(), e)
				took := time.Since(start)
				if as == enginetest.Deaf && (name == "rename" || name == "remove") && errors.Is(err, container.ErrNoContainer) {
					return // another one was heard
				}
				if !errors.Is(err, container.ErrGone) || took > 15*time.Second {
					t.Errorf("after %s: %v", took, err)
				}
			})
		}
	}
}

// TestOutputIsCutOff checks that a run whose output lost its end never passes.
func TestOutputIsCutOff(t *testing.T) {
	real := connect(t)
	for _, on := range []string{"/attach", "/wait"} {
		t.Run(on, func(t *testing.T) {
			t.Parallel()
			faulty, e := newFaultyEngine(t, real, time.Second)
			faulty.Fail(on, enginetest.Cut)
			exit, err := e.Run(t.Context(), shell("echo ready; sleep 1; echo end"), io.Discard)
			if !errors.Is(err, container.ErrTruncated) && !errors.Is(err, container.ErrGone) {
				t.Errorf("got %+v, %v", exit, err)
			}
			if err := real.Remove(t.Context(), exit.ID); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDemultiplex(t *testing.T) {
	frame := func(stream byte, text string) string {
		return string([]byte{stream, 0, 0, 0, 0, 0, byte(len(text) >> 8), byte(len(text))}) + text
	}
	long := strings.Repeat("x", 60000)
	tests := []struct {
		name, in, out string
		fails         bool
	}{
		{"nothing", "", "", false},
		{"both", frame(1, "out") + frame(2, "err") + frame(1, "") + frame(1, long), "outerr" + long, false},
		{"cut in a header", frame(1, "out") + "\x01\x00", "out", true},
		{"cut in a frame", frame(1, "out")[:9], "o", true},
		{"cut after a header", frame(1, "out")[:8], "", true},
		{"the engine's own error", frame(1, "a") + frame(3, "it broke"), "a", true},
		{"not frames", "HTTP/1.1 500 no", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			s := &stream{sink: &sink{w: &out}}
			err := s.demultiplex(strings.NewReader(tt.in))
			if out.String() != tt.out || (err != nil) != tt.fails {
				t.Errorf("got %.20q, %v", out.String(), err)
			}
		})
	}
}

// TestAttachToNothing checks that the engine's reason for refusing an attach is reported.
func TestAttachToNothing(t *testing.T) {
	e := connect(t)
	_, err := e.attach(t.Context(), strings.Repeat("0", 64), io.Discard)
	if !errors.Is(err, container.ErrNoContainer) {
		t.Errorf("got %v", err)
	}
}
