package inventory

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// testImageID is the ID of an image that ends in c.
func testImageID(c string) string { return "sha256:" + strings.Repeat("0", 64-len(c)) + c }

func TestInventoryIsKept(t *testing.T) {
	logs := filepath.Join(t.TempDir(), "logs")
	want := Inventory{
		ImageID: testImageID("a"), Taken: time.Date(2026, 11, 22, 3, 0, 4, 0, time.UTC),
		Packages: []report.Package{{Manager: "dpkg", Name: "libgmp10", Version: "6.3.0"}, {Manager: "pip", Name: "x\u0080\u202e\x1b", Version: "1"}}, Failed: map[string]string{"npm": "it took more than 30 seconds"},
	}
	if err := Save(logs, want); err != nil {
		t.Fatal(err)
	}
	want.Packages = append(want.Packages, report.Package{Manager: "rpm", Name: "bash", Version: "5"})
	if err := Save(logs, want); err != nil {
		t.Fatal(err)
	}
	got, err := Load(logs, want.ImageID)
	if err != nil {
		t.Fatal(err)
	}
	want.Version = Version
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-saved +loaded\n%s", diff)
	}
	file := filepath.Join(logs, "images", strings.TrimPrefix(want.ImageID, "sha256:")+".json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.ReplaceAll(string(data), "\n", ""); plain.Clean(text) != text {
		t.Errorf("a terminal would obey %q", text)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&^history.FileMode != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestInventoryFaults(t *testing.T) {
	id := testImageID("b")
	name := strings.TrimPrefix(id, "sha256:") + ".json"
	for _, c := range []struct {
		name  string
		make  func(folder string) error
		want  string
		isNot bool // there is none
	}{
		{"no folder", func(folder string) error { return os.Remove(folder) }, "no such file", true},
		{"no file", func(string) error { return nil }, "no such file", true},
		{"cut off", func(folder string) error {
			return os.WriteFile(filepath.Join(folder, name), []byte(`{"version":1,`), 0o600)
		}, "unexpected end", false},
		{"of a later version", func(folder string) error {
			return os.WriteFile(filepath.Join(folder, name), []byte(`{"version":2,"image_id":"`+id+`"}`), 0o600)
		}, "its version is 2", false},
		{"of another image", func(folder string) error {
			return os.WriteFile(filepath.Join(folder, name), []byte(`{"version":1,"image_id":"`+testImageID("c")+`"}`), 0o600)
		}, "of another image", false},
		{"a link", func(folder string) error { return os.Symlink("/etc/passwd", filepath.Join(folder, name)) }, "escapes", false},
		{"a directory", func(folder string) error { return os.Mkdir(filepath.Join(folder, name), 0o700) }, "not a regular file", false},
		{"too large", func(folder string) error {
			return errors.Join(os.WriteFile(filepath.Join(folder, name), nil, 0o600), os.Truncate(filepath.Join(folder, name), maxBytes+1))
		}, "larger than 32 MiB", false},
		{"a folder that is a link elsewhere", func(folder string) error {
			return errors.Join(os.Remove(folder), os.Symlink("/etc", folder))
		}, "escapes", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			logs := t.TempDir()
			folder := filepath.Join(logs, "images")
			if err := errors.Join(os.Mkdir(folder, 0o700), c.make(folder)); err != nil {
				t.Fatal(err)
			}
			_, err := Load(logs, id)
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, fs.ErrNotExist) != c.isNot {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, id := range []string{"", "sha256:abc", "../../etc/passwd", testImageID("A")} {
		if err := Save(t.TempDir(), Inventory{ImageID: id}); err == nil {
			t.Errorf("%q was saved", id)
		}
	}
}

func TestPruneInventories(t *testing.T) {
	logs := t.TempDir()
	if n, err := Prune(logs, func(string) bool { return false }); n != 0 || err != nil {
		t.Fatalf("without a folder: %d, %v", n, err)
	}
	for _, c := range []string{"a", "b", "c"} {
		if err := Save(logs, Inventory{ImageID: testImageID(c)}); err != nil {
			t.Fatal(err)
		}
	}
	folder := filepath.Join(logs, "images")
	hex := func(c string) string { return strings.TrimPrefix(testImageID(c), "sha256:") + ".json" }
	for _, name := range []string{"notes.txt", "." + hex("d") + "123", "." + hex("e") + "456"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * history.TemporaryAge)
	if err := os.Chtimes(filepath.Join(folder, "."+hex("d")+"123"), old, old); err != nil {
		t.Fatal(err)
	}
	n, err := Prune(logs, func(id string) bool { return id == testImageID("b") })
	if n != 2 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	left, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range left {
		names = append(names, f.Name())
	}
	if diff := cmp.Diff([]string{"." + hex("e") + "456", hex("b"), "notes.txt"}, names); diff != "" {
		t.Errorf("-want +left\n%s", diff)
	}
}

func TestCompareInventories(t *testing.T) {
	before := Inventory{Packages: []report.Package{
		{Manager: "dpkg", Name: "same", Version: "1"}, {Manager: "dpkg", Name: "libgmp10", Version: "6.2.1"}, {Manager: "dpkg", Name: "gone", Version: "1"}, {Manager: "pip", Name: "libgmp10", Version: "1"},
		{Manager: "opam", Name: "twice", Version: "1"}, {Manager: "opam", Name: "twice", Version: "1"}, {Manager: "opam", Name: "third", Version: "1"}, {Manager: "npm", Name: "unknown", Version: "1"}, {Manager: "rpm", Name: "unknown", Version: "1"},
	}}
	after := Inventory{Packages: []report.Package{
		{Manager: "dpkg", Name: "added", Version: "1"}, {Manager: "dpkg", Name: "same", Version: "1"}, {Manager: "dpkg", Name: "libgmp10", Version: "6.3.0"}, {Manager: "pip", Name: "libgmp10", Version: "1"},
		{Manager: "opam", Name: "twice", Version: "1"}, {Manager: "opam", Name: "twice", Version: "2"}, {Manager: "opam", Name: "third", Version: "1"}, {Manager: "opam", Name: "third", Version: "1"},
	}, Failed: map[string]string{"npm": "it failed"}}
	want := []report.PackageChange{
		{Manager: "dpkg", Name: "added", From: "", To: "1"}, {Manager: "dpkg", Name: "gone", From: "1", To: ""}, {Manager: "dpkg", Name: "libgmp10", From: "6.2.1", To: "6.3.0"},
		{Manager: "opam", Name: "third", From: "", To: "1"}, {Manager: "opam", Name: "twice", From: "1", To: "2"}, {Manager: "rpm", Name: "unknown", From: "1", To: ""},
	}
	if diff := cmp.Diff(want, Compare(before, after)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := Compare(before, before); got != nil {
		t.Errorf("with itself: %v", got)
	}
}
