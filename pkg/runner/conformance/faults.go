package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/runner"
	"runtests/pkg/runner/executortest"
)

const (
	patient   = 20 * time.Second // as long as a busy engine may need to stop a container
	impatient = time.Second
	// bounded is how many times its call timeout an executor may take to notice that it is
	// frozen: a run makes several calls.
	bounded = 10
	// midOutput is how many bytes come before a fault in mid-output: on a busy machine a megabyte is there before the
	// executor has said that the container is started.
	midOutput = 16 << 20
)

// A connection that breaks in mid-output, while the executor goes on: the output is not
// complete, so the container is stopped, and its exit status says nothing.
func connectionCut(t *testing.T, b *bench) {
	f := b.faulty(t, patient)
	output := &after{bytes: midOutput, do: f.Cut}
	c := b.container(chatters)
	c.StopGrace = time.Second
	exit, err := f.Executor.Run(t.Context(), c, output)
	if !errors.Is(err, container.ErrTruncated) || exit.ID == "" {
		t.Errorf("%+v, %v", exit, err)
	}
	b.checkNotRunning(t, exit.ID)
	b.remove(t, exit)
}

// An executor that goes away in mid-output. Its container is left to whoever comes back.
func executorGone(t *testing.T, b *bench) {
	f := b.faulty(t, patient)
	output := &after{bytes: midOutput, do: f.Vanish}
	exit, err := f.Executor.Run(t.Context(), b.container(chatters), output)
	if !errors.Is(err, container.ErrGone) || exit.ID == "" {
		t.Errorf("%+v, %v", exit, err)
	}
	if err := f.Executor.Remove(t.Context(), exit.ID); !errors.Is(err, container.ErrGone) {
		t.Errorf("remove: %v", err)
	}
	f.Return()
	if err := f.Executor.Remove(t.Context(), exit.ID); err != nil {
		t.Errorf("remove after its return: %v", err)
	}
}

// An executor that freezes while a container runs, with all connections open.
func frozenInMidRun(t *testing.T, b *bench) {
	f := b.faulty(t, impatient)
	for _, test := range []struct {
		name string
		ends bool // the context, when the executor freezes
	}{{"a run", false}, {"a run whose context ends", true}} {
		ctx, cancel := context.WithCancel(t.Context())
		output := &after{bytes: len("ready\n"), do: func() {
			f.Freeze()
			if test.ends {
				cancel()
			}
		}}
		checkBounded(t, test.name, func() error {
			exit, err := f.Executor.Run(ctx, b.container(hangs), output)
			if exit.ID == "" {
				t.Errorf("%s: %+v, %v", test.name, exit, err)
			}
			return err
		})
		cancel()
		f.Thaw()
	}
}

// An executor that freezes for less than its bound loses nothing.
func frozenForAWhile(t *testing.T, b *bench) {
	f := b.faulty(t, patient)
	const lines = 30
	var want strings.Builder
	for i := range lines {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	program := Program{
		Script: fmt.Sprintf("i=0; while [ $i -lt %d ]; do echo line $i; usleep 50000; i=$((i+1)); done; exit 5", lines),
		Func: func(p *executortest.Process) int {
			for line := range strings.Lines(want.String()) {
				_, _ = io.WriteString(p.Stdout, line)
				time.Sleep(50 * time.Millisecond)
			}
			return 5
		},
	}
	output := &after{bytes: 1, do: func() {
		f.Freeze()
		time.AfterFunc(500*time.Millisecond, f.Thaw)
	}}
	exit, err := f.Executor.Run(t.Context(), b.container(program), output)
	b.remove(t, exit)
	if err != nil || exit.Code != 5 || output.text() != want.String() {
		t.Errorf("%+v, %q, %v", exit, output.text(), err)
	}
}

// No call hangs on a frozen executor.
func frozenCalls(t *testing.T, b *bench) {
	f := b.faulty(t, impatient)
	made, err := b.Executor.Run(t.Context(), b.container(prints("", 0)), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	f.Freeze()
	for name, call := range map[string]func() error{
		"ping":       func() error { return f.Executor.Ping(t.Context()) },
		"containers": func() error { _, err := f.Executor.Containers(t.Context(), nil); return err },
		"remove":     func() error { return f.Executor.Remove(t.Context(), made.ID) },
		"check":      func() error { _, err := f.Executor.Check(t.Context(), limited(b)); return err },
		"run": func() error {
			_, err := f.Executor.Run(t.Context(), b.container(prints("", 0)), io.Discard)
			return err
		},
	} {
		checkBounded(t, name, call)
	}
	f.Thaw()
	if err := f.Executor.Ping(t.Context()); err != nil {
		t.Errorf("after it thawed: %v", err)
	}
}

// limited returns a container with a setting that an executor must ask somebody about.
func limited(b *bench) container.Container {
	c := b.container(prints("", 0))
	c.Memory = 64 << 20
	return c
}

// checkBounded checks that a call to an impatient executor that is frozen fails in time.
func checkBounded(t *testing.T, name string, call func() error) {
	t.Helper()
	start := time.Now()
	err := call()
	if took := time.Since(start); !errors.Is(err, container.ErrGone) || took > bounded*impatient {
		t.Errorf("%s: after %s: %v", name, took, err)
	}
}

// Ping tells an executor that answers from one that does not.
func ping(t *testing.T, b *bench) {
	f := b.faulty(t, impatient)
	for _, executor := range []runner.Executor{b.Executor, f.Executor} {
		if err := executor.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
	f.Vanish()
	checkBounded(t, "ping", func() error { return f.Executor.Ping(t.Context()) })
	f.Return()
	if err := f.Executor.Ping(t.Context()); err != nil {
		t.Errorf("after its return: %v", err)
	}
}

// A container is listed by its labels, all of them, exactly.
func listByLabel(t *testing.T, b *bench) {
	value := "it's a=b, \"c\""
	c := b.container(prints("", 0))
	c.Name = b.label
	c.Labels[b.label], c.Labels[b.label+".more"] = value, "x"
	made, err := b.Executor.Run(t.Context(), c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	other := b.container(prints("", 0))
	other.Labels = map[string]string{b.label: value + "d"}
	second, err := b.Executor.Run(t.Context(), other, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		labels map[string]string
		want   int
	}{
		"one":                  {map[string]string{b.label: value}, 1},
		"any value":            {map[string]string{b.label: ""}, 2},
		"both":                 {map[string]string{b.label: value, b.label + ".more": "x"}, 1},
		"one of two is wrong":  {map[string]string{b.label: value, b.label + ".more": "y"}, 0},
		"beginning of a value": {map[string]string{b.label: value[:3]}, 0},
		"beginning of a name":  {map[string]string{b.label[:len(b.label)-1]: ""}, 0},
		"no such label":        {map[string]string{b.label + ".none": ""}, 0},
	} {
		found, err := b.Executor.Containers(t.Context(), test.labels)
		if err != nil || len(found) != test.want {
			t.Errorf("%s: %+v, %v", name, found, err)
			continue
		}
		if test.want == 1 {
			s := found[0]
			if s.ID != made.ID || s.Name != c.Name || s.State != "exited" || s.Labels[b.label] != value || time.Since(s.Created) > time.Hour {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
	b.remove(t, made)
	b.remove(t, second)
}

// Remove removes what is there, and does nothing to what is not.
func remove(t *testing.T, b *bench) {
	exit, err := b.Executor.Run(t.Context(), b.container(prints("", 0)), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{exit.ID, exit.ID, strings.Repeat("0", 64)} {
		if err := b.Executor.Remove(t.Context(), id); err != nil {
			t.Errorf("remove %.12s: %v", id, err)
		}
		if state := b.state(t, id); state != "" {
			t.Errorf("%.12s is still %s", id, state)
		}
	}
}
