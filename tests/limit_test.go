package tests

import (
	"bytes"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// storyLimit is how long a story may take. The longest takes two minutes on a machine that
// does nothing else.
const storyLimit = 12 * time.Minute

// dumpTime is what a program has to print where it hangs before it is killed.
const dumpTime = 5 * time.Second

// limitStory ends what a story waits for when it has lasted for storyLimit, and again each
// minute after that: the command that hangs fails then, and shows where.
func limitStory(env *testscript.Env) {
	ended := make(chan struct{})
	env.Defer(func() { close(ended) })
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

// hearHangups undoes what nohup did: programs inherit that they do not hear SIGHUP, and
// runtests then goes on, as it should; but the stories of SIGHUP want it to hear it.
func hearHangups() {
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // a signal that is caught is its default again in a child
	}
}
