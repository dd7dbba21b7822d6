// Package treetest attacks whatever reads a directory.
package treetest

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The contents of files: what links lead to, and what is read otherwise, of the same size.
const (
	secret   = "for root's eyes only"
	harmless = "anyone may read this"
)

// Runs is how often a directory is read under each attack.
const Runs = 500

// bound is how long one reading may take, on any machine.
const bound = 20 * time.Second

// attacks are what is exchanged for what: each makes an entry, and NAME.evil beside it.
var attacks = map[string]func(t *testing.T, name string){
	"a link for a file": func(t *testing.T, name string) {
		must(t, os.WriteFile(name, []byte(harmless), 0o644))
		must(t, os.Symlink("../outside/key", name+".evil"))
	},
	"a link for a folder": func(t *testing.T, name string) {
		folder(t, name)
		must(t, os.Symlink("../outside", name+".evil"))
	},
	"a pipe for a file": func(t *testing.T, name string) {
		must(t, os.WriteFile(name, []byte(harmless), 0o644))
		must(t, unix.Mkfifo(name+".evil", 0o644))
	},
	"a pipe for a folder": func(t *testing.T, name string) {
		folder(t, name)
		must(t, unix.Mkfifo(name+".evil", 0o644))
	},
}

// folder makes a folder with a file whose name is that of the secret.
func folder(t *testing.T, name string) {
	must(t, os.Mkdir(name, 0o755))
	must(t, os.WriteFile(filepath.Join(name, "key"), []byte(harmless), 0o644))
}

// Attack lets read read a directory, Runs times for each kind of attack, while a program exchanges an
// entry there for a link or a pipe. Reading may fail, but must end. Nothing of what read writes may come
// from outside the directory.
func Attack(t *testing.T, read func(dir string, to io.Writer) error) {
	for name, prepare := range attacks {
		t.Run(name, func(t *testing.T) {
			dir := victim(t)
			prepare(t, filepath.Join(dir, "entry"))
			swap(t, dir)
			readAgainAndAgain(t, dir, read)
		})
	}
}

func readAgainAndAgain(t *testing.T, dir string, read func(dir string, to io.Writer) error) {
	t.Helper()
	whole, leaks := 0, 0
	for n := range Runs {
		var got bytes.Buffer
		ended := make(chan error, 1)
		go func() { ended <- read(dir, &got) }()
		select {
		case err := <-ended:
			if err == nil {
				whole++
			}
			if bytes.Contains(got.Bytes(), []byte(secret)) {
				leaks++
			}
		case <-time.After(bound):
			t.Fatalf("reading %d hangs; %d of those before read the secret", n+1, leaks)
		}
	}
	t.Logf("%d of %d readings succeeded", whole, Runs)
	if leaks > 0 {
		t.Errorf("%d of %d readings read the secret", leaks, Runs)
	}
}

// victim makes a directory, and the secret outside of it.
func victim(t *testing.T) string {
	t.Helper()
	base := t.TempDir()
	dir, outside := filepath.Join(base, "dir"), filepath.Join(base, "outside")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.Mkdir(outside, 0o700))
	must(t, os.WriteFile(filepath.Join(outside, "key"), []byte(secret), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"), 0o644))
	return dir
}

// swap starts the program that exchanges, until the test ends.
func swap(t *testing.T, dir string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "swap")
	out, err := exec.Command("go", "build", "-o", program, "runtests/tests/swap").CombinedOutput()
	if err != nil {
		t.Fatalf("build swap: %v\n%s", err, out)
	}
	command := exec.Command(program, dir)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	must(t, err)
	must(t, command.Start())
	t.Cleanup(func() {
		stdin.Close()
		must(t, command.Wait())
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
