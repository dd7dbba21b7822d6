package suite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
)

// What an entry of images says is what is built; DIR stands for the suite's directory.
func TestBuiltImages(t *testing.T) {
	for _, c := range []struct {
		yaml      string
		reference string
		want      func(dir string, b *Build)
	}{
		{"{build: d}", "x", func(dir string, b *Build) {
			b.Context, b.Dockerfile = filepath.Join(dir, "d"), filepath.Join(dir, "d/Dockerfile")
		}},
		{"{build: /abs, image: team/x:1.10}", "team/x:1.10", func(_ string, b *Build) { b.Context, b.Dockerfile = "/abs", "/abs/Dockerfile" }},
		{"{build: {dockerfile: docker/Deps}}", "x", func(dir string, b *Build) { b.Dockerfile = filepath.Join(dir, "docker/Deps") }},
		{"{build: {context: c, dockerfile: ../D}}", "x", func(dir string, b *Build) {
			b.Context, b.Dockerfile = filepath.Join(dir, "c"), filepath.Join(dir, "D")
		}},
		{"{build: {dockerfile: /etc/D}}", "x", func(_ string, b *Build) { b.Dockerfile = "/etc/D" }},
		{"{build: {target: run}, platform: linux/arm64, timeout: 4h}", "x", func(_ string, b *Build) {
			b.Target, b.Platform, b.Timeout = "run", "linux/arm64", 4*time.Hour
		}},
		{`{build: {labels: {a: b, "c.d": 1.10}}}`, "x", func(_ string, b *Build) { b.Labels = map[string]string{"a": "b", "c.d": "1.10"} }},
		{`{build: {args: {V: 1.10, HOME: , NOPE: , TOKEN: abcdef}}}`, "x", func(_ string, b *Build) {
			b.Args = []container.Variable{{Name: "V", Value: "1.10"}, {Name: "HOME", Value: "/home/ci", Inherited: true}, {Name: "TOKEN", Value: "abcdef", Secret: true}}
		}},
		{`{build: {args: [V=1, V=2]}}`, "x", func(_ string, b *Build) { b.Args = []container.Variable{{Name: "V", Value: "2"}} }},
		{"{rebuild: always, build: .}", "x", func(_ string, b *Build) { b.Rebuild = Rebuild{Always: true} }},
		{"{build: ., rebuild: daily}", "x", func(_ string, b *Build) { b.Rebuild = Rebuild{Days: 1} }},
		{"{build: ., rebuild: weekly}", "x", func(_ string, b *Build) { b.Rebuild = Rebuild{Days: 7} }},
		{"{build: ., rebuild: 1d12h}", "x", func(_ string, b *Build) { b.Rebuild = Rebuild{After: 36 * time.Hour} }},
		{"{build: ., rebuild: on-change}", "x", func(_ string, b *Build) { b.Rebuild = Rebuild{} }},
	} {
		s, dir := mustLoad(t, "images: {x: "+c.yaml+"}\ntests: {t: {}}\n", Overrides{})
		want := &Build{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile"), Timeout: time.Hour}
		c.want(dir, want)
		image := s.Images[0]
		if diff := cmp.Diff(want, image.Build); diff != "" || image.Reference != c.reference {
			t.Errorf("%s: %s%s", c.yaml, image.Reference, diff)
		}
		if step := s.Steps[0]; step.Container.Image != c.reference || step.PullPolicy != PullNever {
			t.Errorf("%s: its test runs on %s, pulled %s", c.yaml, step.Container.Image, step.PullPolicy)
		}
	}
}

// A secret build argument is one of the suite's secrets.
func TestSecretBuildArguments(t *testing.T) {
	s, _ := mustLoad(t, "images: {x: {build: {args: {TOKEN: abcdef, WHO: {value: ghijkl, secret: true}, V: mnopqr}}}}\n", Overrides{})
	if diff := cmp.Diff([]string{"abcdef", "ghijkl"}, s.Secrets); diff != "" {
		t.Error(diff)
	}
}
