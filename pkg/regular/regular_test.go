package regular

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	inside := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(inside("file"), []byte("12345678"), 0o600),
		os.WriteFile(inside("empty"), nil, 0o600),
		os.WriteFile(inside("large"), []byte("123456789"), 0o600),
		os.Mkdir(inside("folder"), 0o700),
		os.Symlink("file", inside("link")),
		os.Symlink("/dev/zero", inside("endless")),
		os.Symlink("link-loop", inside("link-loop")),
		syscall.Mkfifo(inside("pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	const limit = 8
	readers := map[string]func(name string) ([]byte, error){
		"Read":         func(name string) ([]byte, error) { return Read(inside(name), limit) },
		"ReadNoFollow": func(name string) ([]byte, error) { return ReadNoFollow(inside(name), limit) },
		"ReadIn":       func(name string) ([]byte, error) { return ReadIn(root, name, limit) },
	}
	for reader, read := range readers {
		for name, want := range map[string]string{"file": "12345678", "empty": ""} {
			if data, err := read(name); err != nil || string(data) != want {
				t.Errorf("%s(%s): %q, %v", reader, name, data, err)
			}
		}
		for _, name := range []string{"folder", "pipe"} {
			if _, err := read(name); !errors.Is(err, ErrNot) {
				t.Errorf("%s(%s): %v", reader, name, err)
			}
		}
		if _, err := read("nothing"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of what is not there: %v", reader, err)
		}
		if _, err := read("large"); err == nil || !strings.Contains(err.Error(), "large: larger than 8 bytes") {
			t.Errorf("%s of a large file: %v", reader, err)
		}
		data, err := read("link")
		if follows := reader == "Read"; follows != (err == nil) || follows && string(data) != "12345678" {
			t.Errorf("%s of a link: %q, %v", reader, data, err)
		}
		for _, name := range []string{"endless", "link-loop"} {
			if _, err := read(name); err == nil {
				t.Errorf("%s(%s) read something", reader, name)
			}
		}
	}
}

func TestSizeText(t *testing.T) {
	for bytes, want := range map[int64]string{7: "7 bytes", 64 << 10: "64 KiB", 32 << 20: "32 MiB"} {
		if got := sizeText(bytes); got != want {
			t.Errorf("%d is %q, want %q", bytes, got, want)
		}
	}
}
