package deploy

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"runtests/pkg/hint"
	"runtests/pkg/regular"
	"runtests/pkg/suite"
)

// TestSources sends a file only if it is regular, and what it was when it was first read.
func TestSources(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(file string) error // between the first reading and the promotion
		want   string
	}{
		{"unchanged", func(string) error { return nil }, ""},
		{"changed", func(file string) error { return os.WriteFile(file, []byte("NEW"), 0o600) }, "has changed since the tests began"},
		{"longer", func(file string) error { return os.WriteFile(file, []byte("old+"), 0o600) }, "has changed since the tests began"},
		{"link", func(file string) error { return errors.Join(os.Remove(file), os.Symlink("/etc/passwd", file)) }, "it is a link"},
		{"pipe", func(file string) error { return errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o600)) }, regular.ErrNot.Error()},
		{"folder", func(file string) error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) }, regular.ErrNot.Error()},
		{"gone", os.Remove, "no such file"},
		{"in another folder", func(file string) error {
			dir := filepath.Dir(file)
			return errors.Join(os.Rename(dir, dir+"-old"), os.Symlink("/etc", dir))
		}, "no such file"},
		{"large", func(file string) error { return os.Truncate(file, suite.MaxFileBytes+1) }, "it has more than 64 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "folder", "a-file")
			if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("old"), 0o600)); err != nil {
				t.Fatal(err)
			}
			d := suite.Deployment{Name: "web", Files: []suite.File{{Source: file, Target: "/srv/a"}}}
			x := swap{deployment: d, sources: ReadSources(d), places: []string{"/srv/a"}}
			if err := c.change(file); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			err := x.archive(&out)
			if got := errorText(err); c.want == "" && err != nil || !strings.Contains(got, c.want) || c.want != "" && (!strings.Contains(got, file) || hint.Of(err) == "" && c.name != "large") {
				t.Errorf("%v, hint %q", err, hint.Of(err))
			}
			if c.want == "" && !bytes.Contains(out.Bytes(), []byte("old")) {
				t.Error("the file was not sent")
			}
			if c.name == "changed" { // by a test, which may do that in a trusted suite
				x.sources = nil
				if err := x.archive(&out); err != nil {
					t.Error(err)
				}
			}
			if c.want != "" && c.name != "gone" && tarHas(&out, "plan") != (c.name == "changed") {
				t.Error("a swap that is not complete has a plan")
			}
		})
	}
}

// tarHas reports whether an archive, which may be cut off, has a file of that name.
func tarHas(archive *bytes.Buffer, name string) bool {
	for r := tar.NewReader(archive); ; {
		header, err := r.Next()
		if err != nil {
			return false
		}
		if header.Name == name {
			return true
		}
	}
}

// TestSourcePipe reports a pipe at once.
func TestSourcePipe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	d := suite.Deployment{Files: []suite.File{{Source: file, Target: "/srv/a"}}}
	if err := d.CheckFiles(); !errors.Is(err, regular.ErrNot) {
		t.Error(err)
	}
	if s := ReadSources(d)[file]; !errors.Is(s.err, regular.ErrNot) {
		t.Error(s.err)
	}
}

// TestUploadChanged says that a file has changed, rather than what tar makes of an archive that ends too soon; nothing is
// there then.
func TestUploadChanged(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, "a-file")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := suite.Deployment{Name: "web", Files: []suite.File{{Source: file, Target: "/srv/a"}}}
	s := &Site{deployment: d, machine: machine{host: "prod"}, state: home}
	x := swap{deployment: d, sources: ReadSources(d), places: []string{"/srv/a"}}
	if err := os.WriteFile(file, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.upload(t.Context(), x)
	if !strings.Contains(errorText(err), file+" has changed since the tests began") || hint.Of(err) == "" {
		t.Errorf("%v, hint %q", err, hint.Of(err))
	}
	if _, err := os.Stat(filepath.Join(home, "swap")); err == nil {
		t.Error("a part of the swap is in place")
	}
	x.sources = ReadSources(d)
	if err := s.upload(t.Context(), x); err != nil {
		t.Error(err)
	}
}
