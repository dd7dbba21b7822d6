package report

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/plain"
)

// testImageID is the ID of an image that ends in c.
func testImageID(c string) string { return "sha256:" + strings.Repeat("0", 64-len(c)) + c }

func TestInventoryIsKept(t *testing.T) {
	logs := filepath.Join(t.TempDir(), "logs")
	want := Inventory{
		ImageID: testImageID("a"), Taken: time.Date(2026, 11, 22, 3, 0, 4, 0, time.UTC),
		Packages: []Package{{"dpkg", "libgmp10", "6.3.0"}, {"pip", "x\u0080\u202e\x1b", "1"}}, Failed: map[string]string{"npm": "it took more than 30 seconds"},
	}
	if err := SaveInventory(logs, want); err != nil {
		t.Fatal(err)
	}
	want.Packages = append(want.Packages, Package{"rpm", "bash", "5"})
	if err := SaveInventory(logs, want); err != nil {
		t.Fatal(err)
	}
	got, err := LoadInventory(logs, want.ImageID)
	if err != nil {
		t.Fatal(err)
	}
	want.Version = InventoryVersion
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
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&^fileMode != 0 {
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
		{"a directory", func(folder string) error { return os.Mkdir(filepath.Join(folder, name), 0o700) }, "not a file", false},
		{"too large", func(folder string) error {
			return errors.Join(os.WriteFile(filepath.Join(folder, name), nil, 0o600), os.Truncate(filepath.Join(folder, name), maxInventoryBytes+1))
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
			_, err := LoadInventory(logs, id)
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, fs.ErrNotExist) != c.isNot {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, id := range []string{"", "sha256:abc", "../../etc/passwd", testImageID("A")} {
		if err := SaveInventory(t.TempDir(), Inventory{ImageID: id}); err == nil {
			t.Errorf("%q was saved", id)
		}
	}
}

func TestPruneInventories(t *testing.T) {
	logs := t.TempDir()
	if n, err := PruneInventories(logs, func(string) bool { return false }); n != 0 || err != nil {
		t.Fatalf("without a folder: %d, %v", n, err)
	}
	for _, c := range []string{"a", "b", "c"} {
		if err := SaveInventory(logs, Inventory{ImageID: testImageID(c)}); err != nil {
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
	old := time.Now().Add(-2 * temporaryAge)
	if err := os.Chtimes(filepath.Join(folder, "."+hex("d")+"123"), old, old); err != nil {
		t.Fatal(err)
	}
	n, err := PruneInventories(logs, func(id string) bool { return id == testImageID("b") })
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
	before := Inventory{Packages: []Package{
		{"dpkg", "same", "1"}, {"dpkg", "libgmp10", "6.2.1"}, {"dpkg", "gone", "1"}, {"pip", "libgmp10", "1"},
		{"opam", "twice", "1"}, {"opam", "twice", "1"}, {"opam", "third", "1"}, {"npm", "unknown", "1"}, {"rpm", "unknown", "1"},
	}}
	after := Inventory{Packages: []Package{
		{"dpkg", "added", "1"}, {"dpkg", "same", "1"}, {"dpkg", "libgmp10", "6.3.0"}, {"pip", "libgmp10", "1"},
		{"opam", "twice", "1"}, {"opam", "twice", "2"}, {"opam", "third", "1"}, {"opam", "third", "1"},
	}, Failed: map[string]string{"npm": "it failed"}}
	want := []PackageChange{
		{"dpkg", "added", "", "1"}, {"dpkg", "gone", "1", ""}, {"dpkg", "libgmp10", "6.2.1", "6.3.0"},
		{"opam", "third", "", "1"}, {"opam", "twice", "1", "2"}, {"rpm", "unknown", "1", ""},
	}
	if diff := cmp.Diff(want, CompareInventories(before, after)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := CompareInventories(before, before); got != nil {
		t.Errorf("with itself: %v", got)
	}
}

func TestPackagesLine(t *testing.T) {
	change := func(names ...string) (changes []PackageChange) {
		for _, n := range names {
			changes = append(changes, PackageChange{"dpkg", n, "1", "2"})
		}
		return changes
	}
	long := strings.Repeat("é", 500)
	for _, c := range []struct {
		build Build
		want  string
	}{
		{Build{}, ""},
		{Build{Packages: 1412}, "1,412"},
		{Build{Packages: 412, Changes: []PackageChange{{"dpkg", "libgmp10", "6.2.1", "6.3.0"}, {"dpkg", "m4", "1.4", ""}, {"opam", "ocaml", "", "5.2"}}},
			"412, 1 changed: libgmp10 6.2.1 → 6.3.0, 1 added: ocaml 5.2, 1 gone: m4 1.4"},
		{Build{Packages: 5, Changes: change("a", "b", "c", "d", "e")}, "5, 5 changed: a 1 → 2, b 1 → 2, c 1 → 2, …"},
		{Build{Changes: []PackageChange{{"dpkg", "a", "1", ""}}}, "0, 1 gone: a 1"},
		{Build{Packages: 1, Changes: []PackageChange{{"dpkg", "\x1b[2Ja\nb", "1", "2"}}}, "1, 1 changed: a b 1 → 2"},
		{Build{Packages: 1, Changes: change(long)}, "1, 1 changed: " + long[:2*39] + "… 1 → 2"},
	} {
		if got := c.build.PackagesLine(); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
	var most Build
	for range 10 {
		most.Changes = append(most.Changes, PackageChange{"dpkg", long, long, long}, PackageChange{"dpkg", long, "", long}, PackageChange{"dpkg", long, long, ""})
	}
	if got := len([]rune(most.PackagesLine())); got > 1000 {
		t.Errorf("%d characters", got)
	}
}
