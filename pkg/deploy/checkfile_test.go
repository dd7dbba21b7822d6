package deploy

import (
	"os"
	"path/filepath"
	"testing"

	"runtests/pkg/container"
	"runtests/pkg/suite"
)

// A check is read back as it was saved, by its owner alone; those of containers that are gone go.
func TestCheckFile(t *testing.T) {
	s := &Site{state: t.TempDir()}
	want := check{"http://localhost/?token='s3cret'\n", "sh -c 'a b'"}
	older := container.Summary{ID: "older", Labels: map[string]string{labelCheck: "http://older/", labelCheckCommand: "true"}}
	if got, err := s.readCheck(t.Context(), older); err != nil || got != (check{"http://older/", "true"}) {
		t.Errorf("of an earlier version: %v, %v", got, err)
	}
	for _, id := range []string{"gone", "current", "next"} {
		if err := s.saveCheck(t.Context(), id, want, containers{"": {ID: "current"}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"current", "next"} {
		if got, err := s.readCheck(t.Context(), container.Summary{ID: id}); err != nil || got != want {
			t.Errorf("%s: %v, %v", id, got, err)
		}
		info, err := os.Stat(filepath.Join(s.state, "checks", id))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(s.state, "checks")); err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
	if got, err := s.readCheck(t.Context(), container.Summary{}); err != nil || got != (check{}) {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(s.state, "checks", "next"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.readCheck(t.Context(), container.Summary{ID: "next"}); err == nil {
		t.Errorf("of half a file: %v", got)
	}
}

// A container is ours in production if it also was made of the image that its label names: labels
// are handed on.
func TestOursInProduction(t *testing.T) {
	s := &Site{deployment: suite.Deployment{Name: "web"}}
	labels := map[string]string{LabelName: "web", labelRelease: "run.2"}
	for _, test := range []struct {
		what, image string
		labels      map[string]string
		want        bool
	}{
		{"ours", "runtests-deploy/web:run.2", labels, true},
		{"ours on Podman", "localhost/runtests-deploy/web:run.2", labels, true},
		{"ours, whose image lost its name", "sha256:0123456789ab", labels, true},
		{"a commit of ours", "web-copy", labels, false},
		{"of our image, by hand", "runtests-deploy/web:run.2", map[string]string{LabelName: "web"}, false},
		{"of our image, with an empty label", "runtests-deploy/web:", map[string]string{LabelName: "web", labelRelease: ""}, false},
		{"of another release", "runtests-deploy/web:run.3", labels, false},
		{"of another deployment", "runtests-deploy/dev:run.2", map[string]string{LabelName: "dev", labelRelease: "run.2"}, false},
		{"somebody's", "debian:12", nil, false},
	} {
		if got := s.ours(container.Summary{Name: "web", Image: test.image, Labels: test.labels}); got != test.want {
			t.Errorf("%s: %v", test.what, got)
		}
	}
}
