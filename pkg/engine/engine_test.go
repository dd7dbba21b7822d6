package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
	"runtests/tests/needs"
)

// Most tests run on a real engine, the one that Connect finds. They need an image with busybox's
// applets: scripts/base-images makes it, RUNTESTS_TEST_IMAGE names another.
func testImage() string {
	if image := os.Getenv("RUNTESTS_TEST_IMAGE"); image != "" {
		return image
	}
	return "runtests-busybox"
}

// label marks every container of this execution of the tests.
var label = "runtests.enginetest." + rand.Text()

func TestMain(m *testing.M) {
	code := m.Run()
	if !testing.Short() {
		if err := sweep(); err != nil {
			fmt.Fprintln(os.Stderr, "sweep:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// sweep removes the containers that the tests left.
func sweep() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e, err := Connect(ctx, Options{})
	if err != nil {
		return err
	}
	left, err := e.Containers(ctx, map[string]string{label: ""})
	if err != nil {
		return err
	}
	for _, c := range left {
		err = errors.Join(err, e.Remove(ctx, c.ID))
	}
	built, errImages := e.Images(ctx, map[string]string{label: ""})
	err = errors.Join(err, errImages)
	for _, i := range built {
		err = errors.Join(err, e.client(ctx).RemoveImageExtended(i.ID, docker.RemoveImageOptions{Force: true, Context: ctx}))
	}
	return err
}

func connect(t testing.TB) *Engine {
	t.Helper()
	needs.Engine(t, t.Name())
	e, err := Connect(t.Context(), Options{})
	if err != nil {
		t.Fatalf("these tests need a container engine: %v", err)
	}
	return e
}

// shell returns a container that runs a script with the image's shell.
func shell(script string) container.Container {
	return command("/bin/sh", "-c", script)
}

func command(args ...string) container.Container {
	return container.Container{Image: testImage(), Command: args, Labels: map[string]string{label: "1"}, StopGrace: time.Second}
}

// run runs c and removes it.
func run(ctx context.Context, t testing.TB, e *Engine, c container.Container) (container.Exit, string, error) {
	t.Helper()
	var output bytes.Buffer
	exit, err := e.Run(ctx, c, &output)
	if exit.ID != "" {
		if err := e.Remove(context.WithoutCancel(ctx), exit.ID); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	return exit, output.String(), err
}

// mustRun runs c and removes it, and fails the test on an error.
func mustRun(t testing.TB, e *Engine, c container.Container) (container.Exit, string) {
	t.Helper()
	exit, output, err := run(t.Context(), t, e, c)
	if err != nil {
		t.Fatalf("run %q: %v", c.Command, err)
	}
	return exit, output
}
