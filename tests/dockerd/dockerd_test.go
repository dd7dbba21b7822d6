package dockerd

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runtests/tests/needs"
)

// panics tells the test program to start an engine and to panic.
const panics = "RUNTESTS_DOCKERD_PANICS"

// A test program that panics closes nothing; its engine goes with it nevertheless, also a
// frozen one.
func TestEngineOfAProgramThatPanics(t *testing.T) {
	needs.Engine(t, t.Name())
	needs.Root(t, t.Name(), "it starts an engine of its own")
	if os.Getenv(panics) != "" {
		e, err := New("--bridge=none")
		if err == nil {
			err = e.Start()
		}
		if err == nil {
			err = e.Freeze()
		}
		fmt.Printf("engine %s %v\n", e.Dir, err)
		panic("as a test does")
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), panics+"=1")
	output, err := child.Output()
	line, _, _ := strings.Cut(string(output), "\n")
	var dir, started string
	if n, _ := fmt.Sscanf(line, "engine %s %s", &dir, &started); err == nil || n != 2 || started != "<nil>" {
		t.Fatalf("the program gave %q, %v", output, err)
	}
	for deadline := time.Now().Add(bound); ; time.Sleep(50 * time.Millisecond) {
		left := leftOf(t, dir)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left after %s: %q", bound, left)
		}
	}
}

// leftOf returns what is left of the engine in dir: the folder, and processes.
func leftOf(t *testing.T, dir string) (left []string) {
	t.Helper()
	if _, err := os.Stat(dir); err == nil {
		left = append(left, dir)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err == nil && bytes.Contains(line, []byte(dir+"/")) { // a process that has ended is not there
			left = append(left, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return left
}
