package engine

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runtests/pkg/container"
)

// sample makes a directory with a file of each kind.
func sample(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "it's a test")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "sub/empty"), 0o750))
	must(os.Chmod(dir, 0o751))
	must(os.WriteFile(filepath.Join(dir, "test.sh"), []byte("#!/bin/sh\n"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "sub/secret"), []byte("x"), 0o600))
	must(os.WriteFile(filepath.Join(dir, strings.Repeat("long ☃ ", 20)), nil, 0o644))
	must(os.Chown(filepath.Join(dir, "sub/secret"), 1234, 567))
	must(os.Symlink("../test.sh", filepath.Join(dir, "sub/link")))
	must(os.Symlink("/nowhere", filepath.Join(dir, "broken")))
	socket, err := net.Listen("unix", filepath.Join(dir, "sock"))
	must(err)
	t.Cleanup(func() { socket.Close() })
	return dir
}

func TestCopies(t *testing.T) {
	e := connect(t)
	list := `cd /a/b/test; stat -c '%A %n' . test.sh sub sub/secret sub/empty long*; readlink sub/link; readlink broken; ls -a; touch new; chown 0 test.sh; echo done`
	for _, readOnly := range []bool{false, true} {
		c := shell(list)
		c.ReadOnly = readOnly
		dir := sample(t)
		c.Copies = []container.Copy{{Source: dir, Target: "/a/b/test"}}
		_, got := mustRun(t, e, c)
		root := "drwxr-x--x .\n"
		if readOnly {
			root = "-x .\n" // a volume's, whose mode Docker does not change, and Podman does
		}
		for _, want := range []string{
			root, "-rwxr-xr-x test.sh\n", "drwxr-x--- sub\n", "-rw------- sub/secret\n", "drwxr-x--- sub/empty\n", "-rw-r--r-- long ☃",
			"../test.sh\n/nowhere\n", "done\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("read-only root %v: %q is missing in\n%s", readOnly, want, got)
			}
		}
		if strings.Contains(got, "sock") {
			t.Errorf("a socket was copied:\n%s", got)
		}
		if _, err := os.Lstat(filepath.Join(dir, "new")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the copy is not a copy: %v", err)
		}
	}
}

func TestCopyOfWhatIsNotThere(t *testing.T) {
	e := connect(t)
	c := shell("true")
	c.Copies = []container.Copy{{Source: "/no/such/dir", Target: "/test"}}
	exit, _, err := run(t.Context(), t, e, c)
	if !errors.Is(err, fs.ErrNotExist) || exit.ID == "" {
		t.Errorf("got %+v, %v", exit, err)
	}
}

func TestPack(t *testing.T) {
	dir := sample(t)
	var archive bytes.Buffer
	if err := pack(t.Context(), &archive, dir, "/a/b"); err != nil {
		t.Fatal(err)
	}
	found := map[string]*tar.Header{}
	for r := tar.NewReader(&archive); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = header
	}
	secret := found["a/b/sub/secret"]
	if secret == nil || secret.Uid != 1234 || secret.Gid != 567 || secret.Uname != "" || secret.Mode != 0o600 {
		t.Errorf("secret: %+v", secret)
	}
	if link := found["a/b/sub/link"]; link == nil || link.Linkname != "../test.sh" {
		t.Errorf("link: %+v", link)
	}
	if len(found) != 8 {
		t.Errorf("%d entries, want 8: %v", len(found), found)
	}
}

func TestPackSaysWhatItCannotRead(t *testing.T) {
	full := &fullDisk{room: 600}
	if err := pack(t.Context(), full, sample(t), "/test"); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

// fullDisk accepts some bytes and then fails.
type fullDisk struct{ room int }

var errFull = errors.New("no space left on device")

func (w *fullDisk) Write(p []byte) (int, error) {
	if len(p) > w.room {
		return 0, errFull
	}
	w.room -= len(p)
	return len(p), nil
}
