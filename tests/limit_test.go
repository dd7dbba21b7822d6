package tests

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// storyLimit is how long a story may take. The longest takes three minutes on a machine that
// does nothing else.
const storyLimit = 20 * time.Minute

// dumpTime is what a program has to print where it hangs before it is killed.
const dumpTime = 5 * time.Second

// limitStory ends what a story waits for when it has lasted for storyLimit, and again each
// minute after that: the command that hangs fails then, and shows where.
func limitStory(env *testscript.Env) {
	ended := make(chan struct{})
	env.Defer(func() {
		close(ended)
		signalStory(env.WorkDir, syscall.SIGKILL) // what a story that failed left in the background is waited for
	})
	lasts := func(d time.Duration) bool {
		select {
		case <-ended:
			return false
		case <-time.After(d):
			return true
		}
	}
	go func() {
		for limit := storyLimit; lasts(limit); limit = time.Minute {
			env.T().Log("the story has lasted for too long, what it waits for is ended")
			signalStory(env.WorkDir, syscall.SIGQUIT) // a Go program prints its goroutines
			if lasts(dumpTime) {
				signalStory(env.WorkDir, syscall.SIGKILL)
			}
		}
	}()
}

// signalStory signals the processes that the story in workDir has started: they have its
// environment, and so have theirs.
func signalStory(workDir string, s syscall.Signal) {
	mark := []byte("\x00WORK=" + workDir + "\x00")
	environs, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is right
	for _, path := range environs {
		environ, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(append([]byte{0}, environ...), mark) {
			continue // it has ended, or is somebody else's
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			_ = syscall.Kill(pid, s)
		}
	}
}

// hearSignals undoes what nohup, or a shell with &, did: programs inherit that they do not
// hear SIGHUP, or SIGINT, and runtests then goes on, as it should; but the stories want it,
// and the programs beside it, to hear them.
func hearSignals() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s) // a signal that is caught is its default again in a child
		}
	}
}

// commandLimit is how long a command of a test may take that is not a story.
const commandLimit = 5 * time.Minute

// limited is a command that cannot be waited for without end: at its limit a Go program
// prints its goroutines, and then nobody waits for what it has started.
func limited(t testing.TB, limit time.Duration, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 2 * dumpTime
	return cmd
}
