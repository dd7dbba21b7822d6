package conformance_test

import (
	"context"
	"net"
	"net/url"
	"os"
	"testing"
	"time"

	"runtests/pkg/engine"
	"runtests/pkg/engine/enginetest"
	"runtests/pkg/runner/conformance"
	"runtests/tests/needs"
)

// The engine that Connect finds, or DOCKER_HOST's. It needs an image with busybox's applets:
// scripts/base-images makes it, RUNTESTS_TEST_IMAGE names another.
func TestEngine(t *testing.T) {
	needs.Engine(t, t.Name())
	image := os.Getenv("RUNTESTS_TEST_IMAGE")
	if image == "" {
		image = "runtests-busybox"
	}
	conformance.Test(t, func(t *testing.T) conformance.Subject {
		// two hundred containers at a time keep a small machine busy
		e := connect(t, engine.Options{CallTimeout: 2 * time.Minute})
		return conformance.Subject{
			Executor: e,
			Image:    image,
			Command:  func(p conformance.Program) []string { return []string{"/bin/sh", "-c", p.Script} },
			Faulty: func(t *testing.T, callTimeout time.Duration) conformance.Faulty {
				return behindProxy(t, e, callTimeout)
			},
		}
	})
}

func connect(t *testing.T, o engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.Connect(t.Context(), o)
	if err != nil {
		t.Fatalf("these tests need a container engine: %v", err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// behindProxy connects to the same engine through a socket that can be made to fail.
func behindProxy(t *testing.T, e *engine.Engine, callTimeout time.Duration) conformance.Faulty {
	t.Helper()
	address, err := url.Parse(e.Info().Host)
	if err != nil {
		t.Fatal(err)
	}
	place := address.Path
	if address.Scheme != "unix" {
		place = address.Host
	}
	proxy := enginetest.NewProxy(t, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, address.Scheme, place)
	})
	env := map[string]string{"DOCKER_HOST": proxy.Host()}
	through := connect(t, engine.Options{
		Getenv: func(name string) string { return env[name] }, HomeDir: t.TempDir(), CallTimeout: callTimeout, StallTimeout: callTimeout,
	})
	return conformance.Faulty{
		Executor: through, Cut: proxy.Cut, Vanish: proxy.Vanish, Return: proxy.Return, Freeze: proxy.Freeze, Thaw: proxy.Thaw,
	}
}
