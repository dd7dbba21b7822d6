package images

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
	"runtests/pkg/images/imagestest"
	"runtests/pkg/suite"
)

// suiteOf makes built images NAME, or NAME=REFERENCE, each with the Dockerfile given, in
// folders of that name. An empty Dockerfile is none.
func suiteOf(t testing.TB, pairs ...string) (dir string, all []suite.Image) {
	t.Helper()
	dir = t.TempDir()
	for i := 0; i < len(pairs); i += 2 {
		name, ref, ok := strings.Cut(pairs[i], "=")
		if !ok {
			ref = name
		}
		folder := filepath.Join(dir, name)
		imagestest.Must(t, os.Mkdir(folder, 0o755))
		file := filepath.Join(folder, "Dockerfile")
		if pairs[i+1] != "" {
			imagestest.Must(t, os.WriteFile(file, []byte(pairs[i+1]), 0o644))
		}
		all = append(all, suite.Image{Name: name, Reference: ref, Build: &suite.Build{Context: folder, Dockerfile: file}})
	}
	return dir, all
}

// drawn is a chain on lines: NAME: NEEDS; BASES.
func drawn(chain []Image) (lines []string) {
	for _, i := range chain {
		lines = append(lines, i.Name+": "+strings.Join(i.Needs, " ")+"; "+strings.Join(i.Bases, " "))
	}
	return lines
}

func TestPlan(t *testing.T) {
	_, all := suiteOf(t,
		"deps", "FROM ocaml\nCOPY --from=tools /x /x\nCOPY --from=debian:12 / /\n",
		"ubuntu", "FROM ubuntu:24.04\n",
		"ocaml", "FROM docker.io/library/opam:latest\n",
		"tools", "FROM scratch\n",
		"opam", "FROM debian:12\n",
	)
	all = append(all, suite.Image{Name: "ready", Reference: "debian:12"})
	for name, c := range map[string]struct{ wanted, want []string }{
		"all":                {[]string{"ready", "ubuntu", "opam", "tools", "ocaml", "deps"}, []string{"opam: ; debian:12", "ocaml: opam; ", "tools: ; ", "deps: ocaml tools; debian:12", "ubuntu: ; ubuntu:24.04"}},
		"one, and its chain": {[]string{"ocaml"}, []string{"opam: ; debian:12", "ocaml: opam; "}},
		"none":               {nil, nil},
		"not built":          {[]string{"ready"}, nil},
	} {
		chain, err := Plan(all, c.wanted, nil)
		imagestest.Must(t, err)
		if diff := cmp.Diff(c.want, drawn(chain)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestPlanMatchesReferences: a parent is ours when it means the same image, however it is
// written.
func TestPlanMatchesReferences(t *testing.T) {
	for _, c := range []struct {
		ours, from string
		match      bool
	}{
		{"deps", "deps", true},
		{"deps", "deps:latest", true},
		{"deps:latest", "docker.io/library/deps", true},
		{"index.docker.io/library/deps", "deps", true},
		{"team/deps:1", "docker.io/team/deps:1", true},
		{"deps:1", "deps:2", false},
		{"deps", "localhost:5000/deps", false},
		{"deps", "team/deps", false},
		{"deps", "deps@sha256:" + strings.Repeat("0", 64), false},
	} {
		_, all := suiteOf(t, "parent="+c.ours, "FROM scratch", "child", "FROM "+c.from)
		chain, err := Plan(all, []string{"child"}, nil)
		imagestest.Must(t, err)
		if got := len(chain) == 2; got != c.match {
			t.Errorf("%s for FROM %s: %v", c.ours, c.from, got)
		}
	}
}

func TestPlanFaults(t *testing.T) {
	for name, c := range map[string]struct {
		pairs  []string
		wanted []string
		engine []string
		want   []string // DIR stands for the folder of the suite
	}{
		"all at once": {
			pairs: []string{"a", "FROM b", "b", "FROM c", "c", "COPY x", "d", "", "e", "FROM x\nRNU y"},
			want: []string{
				`image "c": DIR/c/Dockerfile:1: COPY requires at least two arguments, but only one was provided. Destination could not be determined`,
				`image "d": read its Dockerfile: open DIR/d/Dockerfile: no such file or directory`,
				"  correct `build` in the suite file: `context` is a directory, `dockerfile` a path relative to it",
				`image "e": DIR/e/Dockerfile:2: unknown instruction: RNU (did you mean RUN?)`,
			},
		},
		"a cycle, in full": {
			pairs: []string{"top", "FROM a", "a", "FROM b", "b", "FROM x\nCOPY --from=c / /", "c", "FROM a:latest"},
			want:  []string{`image "a": it is built on itself: a → b → c → a`, "  build one of them on another image"},
		},
		"two cycles": {
			pairs: []string{"a", "FROM b", "b", "FROM a", "c", "FROM d", "d", "FROM c"},
			want: []string{
				`image "a": it is built on itself: a → b → a`, "  build one of them on another image",
				`image "c": it is built on itself: c → d → c`, "  build one of them on another image",
			},
		},
		"itself": {
			pairs: []string{"debian", "FROM debian:latest"},
			want:  []string{`image "debian": its Dockerfile builds it on itself`, "  give one of the two another name or another tag"},
		},
		"an unknown parent that is nearly ours": {
			pairs: []string{"specfun-debian-opam", "FROM debian", "deps", "FROM scratch AS x\nFROM specfun-debain-opam"},
			want: []string{
				`image "deps": DIR/deps/Dockerfile:2: no image of the suite is called "specfun-debain-opam:latest", and the engine has none`,
				`  did you mean "specfun-debian-opam"? If not, get the image first: docker pull specfun-debain-opam:latest`,
			},
		},
		"another tag of ours": {
			pairs: []string{"opam=specfun-opam:5", "FROM debian", "deps", "FROM specfun-opam"},
			want: []string{
				`image "deps": DIR/deps/Dockerfile:1: no image of the suite is called "specfun-opam:latest", and the engine has none`,
				`  did you mean "specfun-opam:5"? If not, get the image first: docker pull specfun-opam:latest`,
			},
		},
		"a parent of that name is on the engine": {
			pairs:  []string{"specfun-debian-opam", "FROM debian", "deps", "FROM specfun-debain-opam"},
			engine: []string{"specfun-debain-opam:latest"},
		},
		"a parent with a registry, one that is far, one's own repository": {
			pairs: []string{"specfun-opam", "FROM r.example.org/specfun-opan", "debian=debian:ours", "FROM debian:12", "x", "FROM alpine"},
		},
		"two with one reference": {
			pairs: []string{"a=deps", "FROM scratch", "b=docker.io/library/deps:latest", "FROM scratch"},
			want:  []string{`image "b": image "a" is built as deps:latest too`, "  give each built image its own name (image: NAME)"},
		},
		"unknown names": {
			pairs:  []string{"debian-opam", "FROM scratch"},
			wanted: []string{"debian-opan", "debian-opam", "else"},
			want:   []string{`the suite has no image "debian-opan"`, `  did you mean "debian-opam"?`, `the suite has no image "else"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, all := suiteOf(t, c.pairs...)
			wanted := c.wanted
			if wanted == nil {
				for _, i := range all {
					wanted = append(wanted, i.Name)
				}
			}
			_, err := Plan(all, wanted, func(ref string) bool { return len(c.engine) > 0 && c.engine[0] == ref })
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), dir, "DIR")
			}
			if diff := cmp.Diff(strings.Join(c.want, "\n"), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPlanContext: what is wrong with the files is said with their names.
func TestPlanContext(t *testing.T) {
	dir, all := suiteOf(t, "a", "FROM x", "b", "", "c", "", "d", "")
	imagestest.Must(t, os.Mkdir(all[1].Build.Dockerfile, 0o755))
	imagestest.Must(t, syscall.Mkfifo(all[2].Build.Dockerfile, 0o600))
	all[0].Build.Context = filepath.Join(dir, "nowhere")
	all[3].Build.Context = all[0].Build.Dockerfile
	_, err := Plan(all, []string{"a", "b", "c", "d"}, nil)
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 4 {
		t.Fatal(err)
	}
	for i, want := range []string{"nowhere: no such file", "b/Dockerfile: not a regular file", "c/Dockerfile: not a regular file", "a/Dockerfile is not a directory"} {
		if !strings.Contains(faults[i].Error(), want) {
			t.Errorf("%v\nwithout %q", faults[i], want)
		}
	}
	if faults[0].Hint() == "" {
		t.Error("no hint")
	}
}

// TestFaultsElsewhere: what is not wanted may be broken.
func TestFaultsElsewhere(t *testing.T) {
	_, all := suiteOf(t, "a", "FROM scratch", "b", "")
	if _, err := Plan(all, []string{"a"}, nil); err != nil {
		t.Error(err)
	}
}

func TestCommandLine(t *testing.T) {
	plain := suite.Image{Name: "opam", Reference: "specfun/opam:5", Build: &suite.Build{Context: "/srv/ci/opam", Dockerfile: "/srv/ci/opam/Dockerfile"}}
	all := plain
	all.Build = &suite.Build{
		Context: "/srv/my ci", Dockerfile: "/srv/my ci/deps.Dockerfile", Target: "test", Platform: "linux/arm64",
		Args: []container.Variable{
			{Name: "ZARITH", Value: "1.13 or $so"}, {Name: "TOKEN", Value: "s3cret", Secret: true}, {Name: "HOME", Value: "/root", Inherited: true},
		},
		Labels: map[string]string{"b": "2", "a": "1"},
	}
	for _, c := range []struct {
		image   suite.Image
		noCache bool
		want    string
	}{
		{plain, false, "docker build -t specfun/opam:5 /srv/ci/opam"},
		{plain, true, "docker build -t specfun/opam:5 --no-cache /srv/ci/opam"},
		{all, false, "docker build -t specfun/opam:5 -f '/srv/my ci/deps.Dockerfile' --target test --platform linux/arm64 " +
			"--build-arg 'ZARITH=1.13 or $so' --build-arg TOKEN --build-arg HOME --label a=1 --label b=2 '/srv/my ci'"},
	} {
		if got := (Image{Image: c.image}).CommandLine("docker", c.noCache); got != c.want {
			t.Errorf("%s\nnot %s", got, c.want)
		}
	}
}
