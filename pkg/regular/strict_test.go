package regular

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOpenStrict opens a file by its real path, and nothing through a link.
func TestOpenStrict(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	inside := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		err,
		os.Mkdir(inside("folder"), 0o700),
		os.WriteFile(inside("folder/file"), []byte("text"), 0o600),
		os.Symlink("folder", inside("link")),
		os.Symlink("file", inside("folder/link")),
		syscall.Mkfifo(inside("folder/pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := OpenStrict(inside("folder//./file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
	for name, want := range map[string]error{
		"link/file": syscall.ENOTDIR, "folder/link": syscall.ELOOP, "folder/pipe": ErrNot, "folder": ErrNot,
		"folder/none": os.ErrNotExist, "none/file": os.ErrNotExist, "folder/file/x": syscall.ENOTDIR,
	} {
		if f, err := OpenStrict(inside(name)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
			if err == nil {
				f.Close()
			}
		}
	}
	if _, err := OpenStrict("relative"); err == nil {
		t.Error("a relative path was opened")
	}
}
