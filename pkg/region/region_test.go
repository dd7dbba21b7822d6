package region

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree is a file system: the targets of its links; a directory has none.
type tree map[string]string

func (tr tree) readlink(path string) (string, error) {
	target, ok := tr[path]
	switch {
	case !ok:
		return "", &fs.PathError{Op: "readlink", Path: path, Err: syscall.ENOENT}
	case target == "":
		return "", &fs.PathError{Op: "readlink", Path: path, Err: syscall.EINVAL}
	case target == "locked":
		return "", &fs.PathError{Op: "readlink", Path: path, Err: syscall.EACCES}
	}
	return target, nil
}

func TestResolve(t *testing.T) {
	disk := tree{
		"/srv": "", "/srv/t": "", "/srv/t/cache": "", "/srv/t/cache/deep": "", "/srv/t/out": "/etc", "/srv/t/up": "../x", "/srv/t/here": "cache",
		"/srv/t/locked": "locked", "/srv/locked": "locked", "/srv/x": "",
		"/etc": "", "/etc/cron.d": "",
		"/alias": "/srv", "/tests": "srv/t", "/srv/x/in": "../t", "/srv/x/through": "/srv/t/out", "/srv/x/round": "round",
		"/srv/x/detour": "../t/../x",
	}
	for _, test := range []struct{ name, path, real, link string }{
		{"a directory", "/srv/t/cache", "/srv/t/cache", ""},
		{"the region itself", "/srv/t", "/srv/t", ""},
		{"the region by the administrator's link", "/tests", "/srv/t", ""},
		{"into the region by the administrator's links", "/alias/x/in/cache/deep", "/srv/t/cache/deep", ""},
		{"what does not exist", "/srv/t/new/dir", "/srv/t/new/dir", ""},
		{"a link that leads out", "/srv/t/out", "", "/srv/t/out"},
		{"below a link that leads out", "/srv/t/out/cron.d", "", "/srv/t/out"},
		{"what does not exist below a link", "/srv/t/out/new", "", "/srv/t/out"},
		{"a relative link that leads out", "/srv/t/up", "", "/srv/t/up"},
		{"a link that stays inside could lead out in a moment", "/srv/t/here", "", "/srv/t/here"},
		{"by the administrator's link", "/tests/out", "", "/srv/t/out"},
		{"by two of the administrator's links", "/alias/x/in/out", "", "/srv/t/out"},
		{"a link outside that leads to one inside", "/srv/x/through", "", "/srv/t/out"},
		{"a link that passes by", "/srv/x/detour", "/srv/x", ""},
		{"what cannot be examined", "/srv/t/locked/a", "", "/srv/t/locked"},
		{"what cannot be examined elsewhere", "/srv/locked/a", "/srv/locked/a", ""},
		{"a link to itself", "/srv/x/round", "/srv/x/round", ""},
		{"elsewhere", "/etc/cron.d", "/etc/cron.d", ""},
		{"the root", "/", "/", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			real, err := New(disk.readlink, []string{"/tests"}).Resolve(test.path)
			link := ""
			if wrong := (*LinkError)(nil); errors.As(err, &wrong) {
				link = wrong.Link
			} else if err != nil {
				t.Fatal(err)
			}
			if real != test.real || link != test.link {
				t.Errorf("%q by the link %q, want %q, %q", real, link, test.real, test.link)
			}
		})
	}
}

// Where a link in a region leads changes nothing about the place of what is behind it.
func TestPlaceHoldsWhateverAContainerDoes(t *testing.T) {
	before := tree{"/a": "/srv", "/srv": "", "/srv/t": "", "/srv/t/cache": "", "/etc": ""}
	after := tree{"/a": "/srv", "/srv": "", "/srv/t": "", "/srv/t/cache": "/etc", "/etc": ""}
	for _, disk := range []tree{before, after} {
		if got := New(disk.readlink, []string{"/srv/t"}).Place("/a/t/cache/x"); got != "/srv/t/cache/x" {
			t.Errorf("got %s", got)
		}
	}
}

// A region in another one is where it was asked for, not where a container says that it is.
func TestRegionBehindALink(t *testing.T) {
	disk := tree{"/srv": "", "/srv/t": "", "/srv/t/cache": "/", "/etc": "", "/etc/alias": "/etc"}
	for _, paths := range [][]string{{"/srv/t", "/srv/t/cache"}, {"/srv/t/cache", "/srv/t"}} {
		if _, err := New(disk.readlink, paths).Resolve("/etc/alias"); err != nil {
			t.Errorf("%v: %v", paths, err)
		}
	}
}

func TestEntered(t *testing.T) {
	disk := tree{
		"/srv": "", "/srv/t": "", "/srv/t/deep": "", "/srv/t/file": "/etc/passwd", "/srv/Dockerfile": "t/file", "/alias": "/srv",
		"/srv/away": "t/away", "/srv/t/away": "/etc", "/etc": "", "/etc/passwd": "",
	}
	s := New(disk.readlink, []string{"/srv/t", "/srv/t/deep", "/srv/new/logs"})
	for path, want := range map[string][]string{
		"/srv/t":                 {"/srv/t"},
		"/srv/t/file":            {"/srv/t"},
		"/srv/t/deep/x":          {"/srv/t", "/srv/t/deep"},
		"/alias/t/x":             {"/srv/t"},
		"/srv/Dockerfile":        {"/srv/t"},
		"/srv/away/cron.d":       {"/srv/t"},
		"/srv/new/logs/spool":    {"/srv/new/logs"},
		"/srv/new":               nil,
		"/srv":                   nil,
		"/srv/tea":               nil,
		"/etc/passwd":            nil,
		"/alias/new/logs/latest": {"/srv/new/logs"},
	} {
		if diff := cmp.Diff(want, s.Entered(path)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	if got := New(disk.readlink, []string{"/"}).Entered("/etc"); !slices.Equal(got, []string{"/"}) {
		t.Errorf("everything is writable: %v", got)
	}
}

func TestWith(t *testing.T) {
	disk := tree{"/a": "", "/b": "", "/b/l": "/a"}
	s := New(disk.readlink, []string{"/a"})
	if _, err := s.With([]string{"/b"}).Resolve("/b/l"); err == nil {
		t.Error("the link in /b is followed")
	}
	if real, err := s.Resolve("/b/l"); real != "/a" {
		t.Errorf("With changed the set that it was called on: %v", err)
	}
}

// A suite whose tests are trusted has no regions.
func TestNoRegions(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/", link); err != nil {
		t.Fatal(err)
	}
	var s *Set
	if real, err := s.With([]string{dir}).Resolve(link); real != "/" || err != nil || s.Entered(link) != nil {
		t.Errorf("%s, %v", real, err)
	}
}
