// Package conformance is the contract of runner.Executor as tests. Every executor passes
// them: the engines, and the executor in memory that the runner's own tests use.
//
//	func TestConformance(t *testing.T) {
//		conformance.Test(t, func(t *testing.T) conformance.Subject { … })
//	}
package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"al.essio.dev/pkg/shellescape"

	"runtests/pkg/container"
	"runtests/pkg/runner"
	"runtests/pkg/runner/executortest"
)

// Subject is an executor to be tested, and what the tests need to know of it.
type Subject struct {
	Executor runner.Executor
	Image    string // one that is there, with busybox's applets if the executor runs real programs
	// Command returns the command of a container that runs p.
	Command func(p Program) []string
	// Faulty returns the same executor behind a connection that can be made to fail. Each of
	// its calls is bounded by callTimeout or a small multiple of that.
	Faulty func(t *testing.T, callTimeout time.Duration) Faulty
}

// Faulty is an executor whose connection can be made to fail.
type Faulty struct {
	Executor runner.Executor
	Cut      func() // breaks the connections that there are; new ones are accepted
	Vanish   func() // breaks the connections that there are; no new one is accepted until Return
	Return   func()
	Freeze   func() // lets nothing pass in either direction, with all connections open, until Thaw
	Thaw     func()
}

// Program is what a container is to run, in two forms: for executors that run programs, and
// for those that run functions.
type Program struct {
	Script string // of /bin/sh
	Func   executortest.Program
}

// Test runs all tests. Each of them opens a Subject of its own.
func Test(t *testing.T, open func(t *testing.T) Subject) {
	for _, test := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"output of a container that ends at once", outputOfShortRuns},
		{"two hundred side by side", sideBySide},
		{"binary output", binaryOutput},
		{"200 MB of output", largeOutput},
		{"output that cannot be written", failingWriter},
		{"exit status", exitStatus},
		{"inspect", inspect},
		{"out of memory", outOfMemory},
		{"TERM", stopByTerm},
		{"TERM, grace, KILL", stopByKill},
		{"context over before the start", contextBefore},
		{"context over at any moment", contextDuring},
		{"no such image", noSuchImage},
		{"name taken", nameTaken},
		{"command that cannot start", cannotStart},
		{"removed by somebody else", removedByOther},
		{"connection cut", connectionCut},
		{"executor gone", executorGone},
		{"executor frozen in mid-run", frozenInMidRun},
		{"executor frozen for a while", frozenForAWhile},
		{"calls to a frozen executor", frozenCalls},
		{"list by label", listByLabel},
		{"remove", remove},
		{"ping", ping},
		{"settings", settings},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, open(t))
			test.test(t, b)
		})
	}
}

// bench is where one test makes its containers.
type bench struct {
	Subject
	label string // of each of them, with the value 1
}

// newBench removes at the end of the test what it left.
func newBench(t *testing.T, s Subject) *bench {
	t.Helper()
	if s.Executor == nil || s.Image == "" || s.Command == nil || s.Faulty == nil {
		t.Fatal("the subject is not complete: a test would not be run for want of a field of it")
	}
	b := &bench{s, "runtests.conformance." + strings.ToLower(rand.Text())}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		left, err := s.Executor.Containers(ctx, map[string]string{b.label: ""})
		for _, c := range left {
			err = errors.Join(err, s.Executor.Remove(ctx, c.ID))
		}
		if err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return b
}

// faulty returns the executor behind a connection that can be made to fail.
func (b *bench) faulty(t *testing.T, callTimeout time.Duration) Faulty {
	t.Helper()
	f := b.Faulty(t, callTimeout)
	if f.Executor == nil || f.Cut == nil || f.Vanish == nil || f.Return == nil || f.Freeze == nil || f.Thaw == nil {
		t.Fatal("the faulty executor is not complete: a test would not be run for want of a fault")
	}
	return f
}

// container returns a container that runs p.
func (b *bench) container(p Program) container.Container {
	return container.Container{
		Image: b.Image, Command: b.Command(p), Labels: map[string]string{b.label: "1"}, StopGrace: 10 * time.Second,
	}
}

// run runs c on the executor and removes it.
func (b *bench) run(ctx context.Context, t *testing.T, c container.Container) (container.Exit, string, error) {
	t.Helper()
	var output bytes.Buffer
	exit, err := b.Executor.Run(ctx, c, &output)
	b.remove(t, exit)
	return exit, output.String(), err
}

// remove removes the container of a run, if there is one.
func (b *bench) remove(t *testing.T, exit container.Exit) {
	t.Helper()
	if exit.ID == "" {
		return
	}
	if err := b.Executor.Remove(context.WithoutCancel(t.Context()), exit.ID); err != nil {
		t.Errorf("remove: %v", err)
	}
}

// state returns the state of a container, empty when it is not there.
func (b *bench) state(t *testing.T, id string) string {
	t.Helper()
	all, err := b.Executor.Containers(t.Context(), map[string]string{b.label: ""})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.ID == id {
			return c.State
		}
	}
	return ""
}

// checkNotRunning reports a container that still runs after its Run.
func (b *bench) checkNotRunning(t *testing.T, id string) {
	t.Helper()
	if state := b.state(t, id); (container.Summary{State: state}).Running() {
		t.Errorf("the container is %s after its run", state)
	}
}

// prints is a program that prints text and ends with a status.
func prints(text string, status int) Program {
	return Program{
		Script: fmt.Sprintf("printf %%s %s; exit %d", shellescape.Quote(text), status),
		Func: func(p *executortest.Process) int {
			_, _ = io.WriteString(p.Stdout, text)
			return status
		},
	}
}

// hangs is a program that says that it is ready, and then does nothing until TERM, on which
// it says goodbye and ends with status 3.
var hangs = Program{
	Script: `trap 'echo bye; exit 3' TERM; echo ready; while :; do usleep 10000; done`,
	Func: func(p *executortest.Process) int {
		_, _ = io.WriteString(p.Stdout, "ready\n")
		select {
		case <-p.Term:
			_, _ = io.WriteString(p.Stdout, "bye\n")
			return 3
		case <-p.Dead:
			return 0
		}
	},
}

// deaf is a program that says that it is ready, and then does nothing whatever the signal.
var deaf = Program{
	Script: `trap '' TERM; echo ready; while :; do usleep 10000; done`,
	Func: func(p *executortest.Process) int {
		_, _ = io.WriteString(p.Stdout, "ready\n")
		<-p.Dead
		return 0
	},
}

// chatters is a program that prints without end.
var chatters = Program{
	Script: "yes",
	Func: func(p *executortest.Process) int {
		for {
			_, _ = io.WriteString(p.Stdout, strings.Repeat("y\n", 2048))
			select {
			case <-p.Term:
				return 143
			case <-p.Dead:
				return 0
			default:
			}
		}
	},
}

// after calls do, once, when so many bytes have been written. It keeps the first of them.
type after struct {
	bytes int
	do    func()

	mu    sync.Mutex
	seen  int
	start bytes.Buffer
}

const startKept = 4096

func (a *after) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.seen
	a.seen += len(p)
	a.start.Write(p[:min(len(p), max(0, startKept-before))])
	if before < a.bytes && a.seen >= a.bytes {
		a.do()
	}
	return len(p), nil
}

// text returns the first of the bytes.
func (a *after) text() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.start.String()
}
