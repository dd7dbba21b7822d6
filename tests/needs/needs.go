// Package needs lets a test say what it needs of whoever runs it. A test that is skipped
// looks green, so `make test` lists at its end what was not run, and `make check` counts it.
package needs

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// NotRun is the environment variable that names the file in which the tests that were
// not run are noted, a line each. Without it nothing is noted: `go test -v` tells.
const NotRun = "RUNTESTS_NOT_RUN"

// Skipper is a *testing.T, or testscript's.
type Skipper interface {
	Skip(args ...any)
	Fatal(args ...any)
}

// Engine skips the test called name under -short, which leaves out what needs a container
// engine. Without -short the test runs, and fails where there is none.
func Engine(t Skipper, name string) {
	if testing.Short() {
		notRun(t, name+": it needs a container engine; make test runs it")
	}
}

// Root skips the test called name where it is not root who runs it.
func Root(t Skipper, name, why string) {
	if os.Geteuid() == 0 {
		return
	}
	notRun(t, name+": "+why+", which needs root")
}

// Asked skips the test called name, which is run only when somebody asks for it by that command.
func Asked(t Skipper, name, command string) {
	notRun(t, name+": "+command+" runs it")
}

func notRun(t Skipper, line string) {
	if err := note(line); err != nil {
		t.Fatal(err)
	}
	t.Skip(line)
}

func note(line string) error {
	path := os.Getenv(NotRun)
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("note that a test is not run: %w", err)
	}
	_, err = fmt.Fprintln(file, line)
	return errors.Join(err, file.Close())
}
