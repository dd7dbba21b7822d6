package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/runner"
	"runtests/pkg/runner/executortest"
)

// The exit status is the program's, and what the executor lists afterwards agrees.
func exitStatus(t *testing.T, b *bench) {
	for _, code := range []int{0, 1, 2, 125, 126, 127, 137, 143, 255} {
		exit, err := b.Executor.Run(t.Context(), b.container(prints("", code)), io.Discard)
		if err != nil {
			t.Fatalf("exit %d: %v", code, err)
		}
		if exit.Code != code || exit.Stopped || exit.Killed || exit.OOMKilled {
			t.Errorf("exit %d: %+v", code, exit)
		}
		if exit.ID == "" || exit.ImageID == "" || exit.Started.IsZero() || exit.Finished.Before(exit.Started) {
			t.Errorf("exit %d: facts are missing: %+v", code, exit)
		}
		if state := b.state(t, exit.ID); state != "exited" {
			t.Errorf("exit %d: the container is %q", code, state)
		}
		b.remove(t, exit)
	}
}

// An executor that can keep containers gives the same account of an end for as long as the container
// is not started again, by the ID alone.
func inspect(t *testing.T, b *bench) {
	keeper, ok := b.Executor.(runner.Keeper)
	if !ok {
		return // it keeps none
	}
	c := b.container(prints("", 3))
	c.Name = b.label
	exit, err := b.Executor.Run(t.Context(), c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer b.remove(t, exit)
	for range 2 {
		found, again, err := keeper.Inspect(t.Context(), exit.ID)
		if err != nil || found.ID != exit.ID || found.Name != b.label || found.Running() || found.Labels[b.label] != "1" {
			t.Errorf("%+v, %v", found, err)
		}
		if again.Code != exit.Code || again.ImageID != exit.ImageID || !again.Finished.Equal(exit.Finished) || !again.Started.Equal(exit.Started) {
			t.Errorf("%+v after %+v", again, exit)
		}
	}
	for _, other := range []string{b.label, exit.ID[:12], strings.Repeat("0", 64)} {
		if found, _, err := keeper.Inspect(t.Context(), other); !errors.Is(err, container.ErrNoContainer) {
			t.Errorf("%s: %+v, %v", other, found, err)
		}
	}
}

// A container that takes more memory than it may have is killed, and the exit says why.
func outOfMemory(t *testing.T, b *bench) {
	const limit = 20 << 20
	c := b.container(Program{
		Script: "exec tail /dev/zero",
		Func: func(p *executortest.Process) int {
			for {
				p.Use(1 << 20)
			}
		},
	})
	c.Memory = limit
	exit, _, err := b.run(t.Context(), t, c)
	if err != nil || !exit.OOMKilled || exit.Code != 137 {
		t.Errorf("%+v, %v", exit, err)
	}
}

// A container whose context ends gets TERM, and may end in its own way.
func stopByTerm(t *testing.T, b *bench) {
	exit, got := b.stop(t, b.container(hangs))
	if !exit.Stopped || exit.Killed || exit.Code != 3 || got != "ready\nbye\n" {
		t.Errorf("%+v, %q", exit, got)
	}
}

// A container that does not end on TERM has its grace, and then gets KILL.
func stopByKill(t *testing.T, b *bench) {
	c := b.container(deaf)
	c.StopGrace = 2 * time.Second
	start := time.Now()
	exit, got := b.stop(t, c)
	if !exit.Stopped || !exit.Killed || exit.Code != 137 || got != "ready\n" {
		t.Errorf("%+v, %q", exit, got)
	}
	if took := time.Since(start); took < c.StopGrace {
		t.Errorf("killed after %s, before its grace was over", took)
	}
}

// stop runs c, whose context ends when it is ready.
func (b *bench) stop(t *testing.T, c container.Container) (container.Exit, string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	output := &after{bytes: len("ready\n"), do: cancel}
	exit, err := b.Executor.Run(ctx, c, output)
	if err != nil {
		t.Fatal(err)
	}
	b.checkNotRunning(t, exit.ID)
	return exit, output.text()
}

// A context that is over makes no container.
func contextBefore(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	exit, _, err := b.run(ctx, t, b.container(prints("", 0)))
	if !errors.Is(err, cause) || exit.ID != "" {
		t.Errorf("%+v, %v", exit, err)
	}
	if left, err := b.Executor.Containers(t.Context(), map[string]string{b.label: ""}); err != nil || len(left) > 0 {
		t.Errorf("left: %+v, %v", left, err)
	}
}

// Whenever a context ends, Run returns soon, says whether the container had been started,
// and none runs afterwards; what a program does until then takes 300 ms.
func contextDuring(t *testing.T, b *bench) {
	program := Program{
		Script: "trap 'exit 143' TERM; echo ready; usleep 300000; echo done; exit 5",
		Func: func(p *executortest.Process) int {
			_, _ = io.WriteString(p.Stdout, "ready\n")
			select {
			case <-p.Term:
				return 143
			case <-time.After(300 * time.Millisecond):
				_, _ = io.WriteString(p.Stdout, "done\n")
				return 5
			}
		},
	}
	var before, stopped, ended atomic.Int64
	parallel(30, 3, func(i int) {
		late := time.Duration(i) * 40 * time.Millisecond
		cause := fmt.Errorf("over after %s", late)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		timer := time.AfterFunc(late, func() { cancel(cause) })
		defer timer.Stop()
		output := &after{bytes: 1, do: func() {}}
		exit, err := b.Executor.Run(ctx, b.container(program), output)
		if exit.ID != "" {
			b.checkNotRunning(t, exit.ID)
		}
		b.remove(t, exit)
		switch got := output.text(); {
		case errors.Is(err, cause) && got == "":
			before.Add(1)
		case err == nil && exit.Stopped && (got == "" || got == "ready\n" || got == "ready\ndone\n"):
			stopped.Add(1)
		case err == nil && !exit.Stopped && exit.Code == 5 && got == "ready\ndone\n":
			ended.Add(1)
		default:
			t.Errorf("over after %s: %+v, %q, %v", late, exit, got, err)
		}
	})
	t.Logf("%d were not started, %d were stopped, %d had ended", before.Load(), stopped.Load(), ended.Load())
	if before.Load() == 0 {
		t.Error("none was over before its start")
	}
}

func noSuchImage(t *testing.T, b *bench) {
	c := b.container(prints("", 0))
	c.Image = "no-such-image:at-all"
	if exit, _, err := b.run(t.Context(), t, c); !errors.Is(err, container.ErrNoImage) || exit.ID != "" {
		t.Errorf("%+v, %v", exit, err)
	}
}

// A name is one container's, and the second one does nothing to the first.
func nameTaken(t *testing.T, b *bench) {
	c := b.container(prints("", 0))
	c.Name = b.label
	first, err := b.Executor.Run(t.Context(), c, io.Discard)
	if err != nil || first.Name != c.Name {
		t.Fatalf("%+v, %v", first, err)
	}
	if exit, _, err := b.run(t.Context(), t, c); !errors.Is(err, container.ErrNameTaken) || exit.ID != "" {
		t.Errorf("%+v, %v", exit, err)
	}
	if state := b.state(t, first.ID); state != "exited" {
		t.Errorf("the first one is %q", state)
	}
	b.remove(t, first)
}

// A command that cannot start is no test that failed.
func cannotStart(t *testing.T, b *bench) {
	for _, command := range []string{"no-such-command", "/no/such/command"} {
		c := b.container(prints("", 0))
		c.Command = []string{command}
		exit, got, err := b.run(t.Context(), t, c)
		if !errors.Is(err, container.ErrStart) || got != "" {
			t.Errorf("%s: %+v, %q, %v", command, exit, got, err)
		}
	}
}

// A container that somebody else removes while it runs gives no exit status.
func removedByOther(t *testing.T, b *bench) {
	c := b.container(hangs)
	output := &after{bytes: len("ready\n"), do: func() {
		all, err := b.Executor.Containers(t.Context(), map[string]string{b.label: ""})
		if err != nil || len(all) != 1 {
			t.Errorf("%+v, %v", all, err)
			return
		}
		if err := b.Executor.Remove(t.Context(), all[0].ID); err != nil {
			t.Error(err)
		}
	}}
	exit, err := b.Executor.Run(t.Context(), c, output)
	if !errors.Is(err, container.ErrNoContainer) {
		t.Errorf("%+v, %v", exit, err)
	}
	b.remove(t, exit)
}
