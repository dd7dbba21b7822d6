package history

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestKept(t *testing.T) {
	logs, id := t.TempDir(), strings.Repeat("ab", 32)
	if _, ok, err := ReadKept(logs, id); ok || err != nil {
		t.Errorf("nothing was noted: %v, %v", ok, err)
	}
	if _, ok, err := ReadKept(filepath.Join(logs, "no-folder"), id); ok || err != nil {
		t.Errorf("no folder: %v, %v", ok, err)
	}
	want := Kept{
		ID: id, Name: "prod", Run: "2026-11-22T03-00-04", Suite: "s", Step: "t@i", Machine: "m", ImageID: "sha256:1",
		Finished: time.Date(2026, 11, 22, 3, 1, 0, 123456789, time.UTC),
	}
	for range 2 {
		if err := NoteKept(logs, want); err != nil {
			t.Fatal(err)
		}
	}
	got, ok, err := ReadKept(logs, id)
	if diff := cmp.Diff(want, got); diff != "" || !ok || err != nil {
		t.Errorf("%v, %v, %s", ok, err, diff)
	}
	for range 2 {
		if err := ForgetKept(logs, id); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok, err := ReadKept(logs, id); ok || err != nil {
		t.Errorf("forgotten: %v, %v", ok, err)
	}
}

// A stranger's name, link, pipe or text is not believed, and keeps nobody waiting.
func TestReadKeptOfStrangers(t *testing.T) {
	logs, id := t.TempDir(), strings.Repeat("ab", 32)
	for _, name := range []string{"", "../../etc/passwd", "AB", id + "/..", strings.Repeat("a", 200)} {
		if _, ok, err := ReadKept(logs, name); ok || err == nil {
			t.Errorf("%q: %v, %v", name, ok, err)
		}
		if err := NoteKept(logs, Kept{ID: name}); err == nil {
			t.Errorf("noted %q", name)
		}
	}
	if err := NoteKept(logs, Kept{ID: strings.Repeat("cd", 32)}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(logs, keptFolder, id+".json")
	for what, put := range map[string]func() error{
		"a link":            func() error { return os.Symlink(strings.Repeat("cd", 32)+".json", path) },
		"another's":         func() error { return os.WriteFile(path, []byte(`{"id":"`+strings.Repeat("cd", 32)+`"}`), 0o600) },
		"not JSON":          func() error { return os.WriteFile(path, []byte("{"), 0o600) },
		"too large":         func() error { return os.WriteFile(path, make([]byte, maxKeptFile+1), 0o600) },
		"a pipe":            func() error { return syscall.Mkfifo(path, 0o600) },
		"a folder":          func() error { return os.Mkdir(path, 0o700) },
		"a link out of it ": func() error { return os.Symlink("/etc/passwd", path) },
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := ReadKept(logs, id); ok || err == nil {
			t.Errorf("%s: %v, %v", what, ok, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
