package tree

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"runtests/pkg/regular"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// opened opens a directory for as long as the test goes on.
func opened(t testing.TB, dir string) *Tree {
	t.Helper()
	tree, err := Open(dir)
	must(t, err)
	t.Cleanup(func() { tree.Close() })
	return tree
}

// sample makes a directory with an entry of each kind.
func sample(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "root")
	in := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.MkdirAll(in("a/inner"), 0o755))
	must(t, os.Mkdir(in("empty"), 0o755))
	must(t, os.WriteFile(in("a/file"), []byte("content"), 0o640))
	must(t, os.WriteFile(in("a-b"), nil, 0o600))
	must(t, os.WriteFile(in("\xff\n"), []byte("x"), 0o600))
	must(t, os.Symlink("a", in("folder-link")))
	must(t, os.Symlink(strings.Repeat("x", 4095), in("long-link")))
	must(t, os.WriteFile(in("setuid"), nil, 0o600))
	must(t, os.Chmod(in("setuid"), 0o751|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))
	must(t, unix.Mkfifo(in("pipe"), 0o600))
	socket, err := net.Listen("unix", in("socket"))
	must(t, err)
	t.Cleanup(func() { socket.Close() })
	return dir
}

// same reports whether the package os and this one say the same of a file.
func same(a, b fs.FileInfo) bool {
	return a.Mode() == b.Mode() && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.IsDir() == b.IsDir() &&
		a.Sys().(*syscall.Stat_t).Ino == b.Sys().(*syscall.Stat_t).Ino
}

func TestWalk(t *testing.T) {
	dir := sample(t)
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(dir, link))
	var got []string
	must(t, opened(t, link).Walk(t.Context(), func(e *Entry, err error) error {
		must(t, err)
		got = append(got, e.Info.Mode().Type().String()[:1]+" "+e.Path)
		named, err := os.Lstat(filepath.Join(dir, e.Path))
		must(t, err)
		if !same(named, e.Info) || e.Path != "." && named.Name() != e.Info.Name() {
			t.Errorf("%s is %v", e.Path, e.Info)
		}
		return nil
	}))
	want := []string{"d .", "d a", "- a/file", "d a/inner", "- a-b", "d empty", "L folder-link", "L long-link", "p pipe", "- setuid", "S socket", "- \xff\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestRead(t *testing.T) {
	read := map[string]string{}
	must(t, opened(t, sample(t)).Walk(t.Context(), func(e *Entry, err error) error {
		must(t, err)
		file, err := e.Open()
		switch {
		case e.Info.Mode().IsRegular():
			must(t, err)
			defer file.Close()
			data, err := io.ReadAll(file)
			must(t, err)
			read[e.Path] = string(data)
		case !errors.Is(err, regular.ErrNot):
			t.Errorf("%s was opened: %v", e.Path, err)
		}
		target, err := e.Readlink()
		if e.Info.Mode()&fs.ModeSymlink != 0 {
			must(t, err)
			read[e.Path] = target
		} else if err == nil {
			t.Errorf("%s has the target %q", e.Path, target)
		}
		return nil
	}))
	want := map[string]string{"a/file": "content", "a-b": "", "setuid": "", "\xff\n": "x", "folder-link": "a", "long-link": strings.Repeat("x", 4095)}
	if diff := cmp.Diff(want, read); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestSkip(t *testing.T) {
	var got []string
	must(t, opened(t, sample(t)).Walk(t.Context(), func(e *Entry, _ error) error {
		got = append(got, e.Path)
		if e.Path == "a" || e.Path == "pipe" {
			return fs.SkipDir
		}
		return nil
	}))
	if slices.Contains(got, "a/file") || !slices.Contains(got, "socket") {
		t.Errorf("visited %q", got)
	}
}

func TestLookup(t *testing.T) {
	dir := sample(t)
	tree := opened(t, dir)
	for _, name := range []string{".", "a", "a/file", "folder-link", "pipe"} {
		e, err := tree.Lookup(name)
		must(t, err)
		named, err := os.Lstat(filepath.Join(dir, name))
		must(t, err)
		if e.Path != name || !same(named, e.Info) {
			t.Errorf("%s is %+v", name, e)
		}
		must(t, e.Close())
	}
	for name, want := range map[string]error{
		"nothing": fs.ErrNotExist, "a/nothing": fs.ErrNotExist, "folder-link/file": unix.ENOTDIR, "a-b/x": unix.ENOTDIR, "pipe/x": unix.ENOTDIR,
		"..": fs.ErrInvalid, "a/../a-b": fs.ErrInvalid, "/etc": fs.ErrInvalid, "": fs.ErrInvalid, "a//file": fs.ErrInvalid, "a/": fs.ErrInvalid, "./a": fs.ErrInvalid,
		strings.Repeat("x/", 2048): unix.ENAMETOOLONG,
	} {
		if _, err := tree.Lookup(name); !errors.Is(err, want) || !strings.Contains(err.Error(), filepath.Dir(dir)) {
			t.Errorf("%.20q: got %v, want %v", name, err, want)
		}
	}
}

func TestOpenFaults(t *testing.T) {
	dir := sample(t)
	if _, err := Open(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"a-b", "pipe"} {
		if _, err := Open(filepath.Join(dir, name)); !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestFinder looks up entries here and there with one finder.
func TestFinder(t *testing.T) {
	dir := sample(t)
	f := opened(t, dir).Finder()
	defer f.Close()
	for _, name := range []string{"a/file", "a/inner", "empty", "nothing", ".", "a-b", "folder-link/file", "a/nothing", "a/file", "empty/x"} {
		e, err := f.Lookup(name)
		named, errNamed := os.Lstat(filepath.Join(dir, name))
		through := strings.HasPrefix(name, "folder-link/")
		if (err != nil) != (errNamed != nil || through) || err == nil && !same(named, e.Info) {
			t.Errorf("%s: got %+v, %v", name, e, err)
		}
		if err == nil {
			must(t, e.Close())
		}
	}
}

// TestVanished removes an entry and empties a folder while their names are known.
func TestVanished(t *testing.T) {
	dir := sample(t)
	var missing []string
	must(t, opened(t, dir).Walk(t.Context(), func(e *Entry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, e.Path)
			return nil
		}
		must(t, err)
		if e.Path == "a" {
			must(t, os.RemoveAll(filepath.Join(dir, "a")))
			must(t, os.Remove(filepath.Join(dir, "a-b")))
		}
		return nil
	}))
	if diff := cmp.Diff([]string{"a", "a-b"}, missing); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestWalkEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	err := opened(t, sample(t)).Walk(ctx, func(*Entry, error) error {
		cancel(cause)
		return nil
	})
	if !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	if err := opened(t, sample(t)).Walk(t.Context(), func(*Entry, error) error { return cause }); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

// TestDeep walks folders as deep as a path can name them, and no deeper. Few of them are open at a time.
func TestDeep(t *testing.T) {
	dir := t.TempDir()
	deepen(t, dir, maxPath/2+3)
	var deepest string
	files, visited := 0, 0
	err := opened(t, dir).Walk(t.Context(), func(e *Entry, err error) error {
		visited++
		if err != nil {
			return err
		}
		deepest = e.Path
		if visited%500 == 0 {
			files = max(files, openFiles(t, dir))
		}
		return nil
	})
	if !errors.Is(err, unix.ENAMETOOLONG) || len(deepest) != maxPath {
		t.Errorf("it ended with %.100v at a path of %d bytes", err, len(deepest))
	}
	if files == 0 || files > maxOpen+4 {
		t.Errorf("%d files were open", files)
	}
}

// TestManyFoldersBelow returns from below the folders that stay open.
func TestManyFoldersBelow(t *testing.T) {
	dir := t.TempDir()
	deepen(t, dir, maxOpen+5)
	var want []string
	for _, below := range []int{maxOpen - 1, maxOpen, maxOpen + 1, maxOpen + 4} {
		name := strings.Repeat("d/", below) + "e"
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		want = append(want, name)
	}
	var got []string
	must(t, opened(t, dir).Walk(t.Context(), func(e *Entry, err error) error {
		must(t, err)
		if strings.HasSuffix(e.Path, "e") {
			got = append(got, e.Path)
		}
		return nil
	}))
	slices.Reverse(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// deepen makes folders within each other.
func deepen(t *testing.T, dir string, levels int) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_PATH, 0)
	must(t, err)
	for range levels {
		must(t, unix.Mkdirat(at, "d", 0o755))
		inner, err := unix.Openat(at, "d", unix.O_PATH, 0)
		must(t, err)
		must(t, unix.Close(at))
		at = inner
	}
	must(t, unix.Close(at))
}

// openFiles counts the open files of this program that are in a directory.
func openFiles(t *testing.T, dir string) (count int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, f := range all {
		if name, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(name, dir) {
			count++
		}
	}
	return count
}

// TestHandleStays exchanges names between the visit of an entry and its reading.
func TestHandleStays(t *testing.T) {
	dir := sample(t)
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	e, err := opened(t, dir).Lookup("a/file")
	must(t, err)
	defer e.Close()
	must(t, os.RemoveAll(filepath.Join(dir, "a")))
	must(t, os.Symlink(filepath.Dir(secret), filepath.Join(dir, "a")))
	file, err := e.Open()
	must(t, err)
	defer file.Close()
	if data, err := io.ReadAll(file); err != nil || !bytes.Equal(data, []byte("content")) {
		t.Errorf("read %q, %v", data, err)
	}
}

// TestReplaced exchanges files for a pipe and a link between their visit and their opening.
func TestReplaced(t *testing.T) {
	dir := sample(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	for name, replace := range map[string]func() error{
		"a-b":    func() error { return unix.Mkfifo(in("a-b"), 0o600) },
		"setuid": func() error { return os.Symlink("a/file", in("setuid")) },
	} {
		must(t, opened(t, dir).Walk(t.Context(), func(e *Entry, err error) error {
			must(t, err)
			if e.Path == name {
				must(t, os.Remove(in(name)))
				must(t, replace())
				if _, err := e.Open(); !errors.Is(err, regular.ErrNot) || e.Info.Mode().IsRegular() {
					t.Errorf("%s, now %v, was opened: %v", name, e.Info.Mode(), err)
				}
			}
			return nil
		}))
	}
}

// TestLease opens a file on which somebody has a lease: that would wait for 45 seconds.
func TestLease(t *testing.T) {
	dir := sample(t)
	leased, err := os.OpenFile(filepath.Join(dir, "a/file"), os.O_RDWR, 0)
	must(t, err)
	defer leased.Close()
	_, err = unix.FcntlInt(leased.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	must(t, err)
	e, err := opened(t, dir).Lookup("a/file")
	must(t, err)
	defer e.Close()
	if _, err := e.Open(); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("got %v", err)
	}
}
