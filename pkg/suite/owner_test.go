package suite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runtests/pkg/hint"
	"runtests/pkg/region"
)

func TestUserOwner(t *testing.T) {
	s, dir := mustLoad(t, `
defaults: { image: x, user: owner }
tests: { owned: { dir: t }, named: { dir: t, user: bin }, again: { dir: t, user: "owner:" }, lost: { dir: lost } }
`, Overrides{})
	test := filepath.Join(dir, "t")
	if err := os.Mkdir(test, 0o755); err != nil {
		t.Fatal(err)
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 12345, 543
		if err := os.Chown(test, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{fmt.Sprintf("%d:%d", uid, gid), "bin", "owner:"} {
		step, err := s.Steps[i].WithOwner(s.Regions())
		if err != nil || step.Container.User != want || step.Container.HostUser != (i == 0) {
			t.Errorf("%s: %+v, %v", step.Name, step.Container, err)
		}
	}
	if _, err := s.Steps[3].WithOwner(s.Regions()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(hint.Of(err), "a number") {
		t.Errorf("got %v (%s)", err, hint.Of(err))
	}
}

// The owner of what a container chose is not looked at.
func TestOwnerBehindALink(t *testing.T) {
	s, dir := mustLoad(t, `
defaults: { image: x }
tests: { outer: { dir: t }, inner: { dir: t/inner, mount: copy, user: owner } }
`, Overrides{})
	if err := os.Mkdir(filepath.Join(dir, "t"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", filepath.Join(dir, "t", "inner")); err != nil {
		t.Fatal(err)
	}
	step, err := s.Steps[1].WithOwner(s.Regions())
	if link := (*region.LinkError)(nil); !errors.As(err, &link) || step.Container.User != "" {
		t.Errorf("%q, %v", step.Container.User, err)
	}
}

func TestDeploymentHasNoOwner(t *testing.T) {
	_, _, err := load(t, `
tests: { t: { image: x } }
deploy: { prod: { from: t, user: owner } }
`, Overrides{})
	if err == nil || !strings.Contains(err.Error(), "user must be a user of the image: it is only in a test that owner stands for the owner of its directory") || !strings.Contains(err.Error(), "write the user's number") {
		t.Errorf("got %v", err)
	}
}

func TestMayBeRoot(t *testing.T) {
	s, _ := mustLoad(t, `
defaults: { image: x }
tests: { a: , b: { user: "0:5" }, c: { user: root }, d: { user: owner }, e: { user: "1000" }, f: { user: www-data } }
`, Overrides{})
	for i, want := range []bool{true, true, true, false, false, false} {
		if got := s.Steps[i].MayBeRoot(); got != want {
			t.Errorf("%s: %v", s.Steps[i].Name, got)
		}
	}
}
