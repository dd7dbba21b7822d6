package images

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
	"runtests/pkg/suite"
)

func lines(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

func args(pairs ...string) (all []container.Variable) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, container.Variable{Name: pairs[i], Value: pairs[i+1]})
	}
	return all
}

func TestDockerfileParents(t *testing.T) {
	for name, c := range map[string]struct {
		file  string
		build suite.Build
		want  []string
		base  string
	}{
		"one": {
			file: lines("FROM debian:12", "RUN true"),
			want: []string{"debian:12"}, base: "debian:12",
		},
		"no tag is latest, in full is in short": {
			file: lines("FROM docker.io/library/debian"),
			want: []string{"debian:latest"}, base: "debian:latest",
		},
		"registry and digest": {
			file: lines("FROM r.example.org:5000/team/deps@sha256:"+strings.Repeat("a", 64), "COPY --from=r.example.org:5000/x /a /b"),
			want: []string{"r.example.org:5000/team/deps@sha256:" + strings.Repeat("a", 64), "r.example.org:5000/x:latest"},
			base: "r.example.org:5000/team/deps@sha256:" + strings.Repeat("a", 64),
		},
		"scratch": {
			file: lines("FROM scratch", "COPY a /"),
		},
		"case and spaces": {
			file: lines("  from   debian:12   as   Base  ", "FROM base"),
			want: []string{"debian:12"}, base: "debian:12",
		},
		"stages, case-insensitive": {
			file: lines("FROM debian:12 AS Builder", "RUN make", "FROM alpine:3", "COPY --from=BUILDER /a /a"),
			want: []string{"alpine:3", "debian:12"}, base: "alpine:3",
		},
		"a stage by its number": {
			file: lines("FROM a", "FROM b", "COPY --from=0 /a /a"),
			want: []string{"b:latest", "a:latest"}, base: "b:latest",
		},
		"only what the target needs": {
			file:  lines("FROM a AS unused", "FROM b AS used", "FROM c AS late", "COPY --from=used / /", "FROM d"),
			build: suite.Build{Target: "LATE"},
			want:  []string{"c:latest", "b:latest"}, base: "c:latest",
		},
		"the last stage is the target": {
			file: lines("FROM a AS test", "FROM b"),
			want: []string{"b:latest"}, base: "b:latest",
		},
		"a stage continues a stage": {
			file: lines("FROM a AS one", "FROM one AS two", "COPY --from=x /y /z", "FROM two"),
			want: []string{"a:latest", "x:latest"}, base: "a:latest",
		},
		"a stage hides an image of that name, but not before it": {
			file: lines("FROM debian AS debian", "FROM debian"),
			want: []string{"debian:latest"}, base: "debian:latest",
		},
		"of two stages with a name the later": {
			file: lines("FROM a AS s", "FROM b AS s", "FROM c", "COPY --from=s / /"),
			want: []string{"c:latest", "b:latest"}, base: "c:latest",
		},
		"COPY --from an image, twice": {
			file: lines("FROM a", "COPY --from=tools:1 /x /x", "COPY --chown=1:1 --from=tools:1 /y /y", "COPY --from=scratch / /"),
			want: []string{"a:latest", "tools:1"}, base: "a:latest",
		},
		"RUN --mount from": {
			file: lines("FROM a", "RUN --mount=type=bind,from=tools,target=/t --mount=type=cache,target=/c,from=seed:2 \\", "  make"),
			want: []string{"a:latest", "tools:latest", "seed:2"}, base: "a:latest",
		},
		"ARG before FROM: its default": {
			file: lines("ARG VERSION=12", "FROM debian:${VERSION}"),
			want: []string{"debian:12"}, base: "debian:12",
		},
		"ARG before FROM: the suite's": {
			file:  lines("ARG VERSION=12", "FROM debian:$VERSION"),
			build: suite.Build{Args: args("VERSION", "13")},
			want:  []string{"debian:13"}, base: "debian:13",
		},
		"an argument that is not declared counts for nothing": {
			file:  lines("FROM debian:${VERSION:-12}"),
			build: suite.Build{Args: args("VERSION", "13")},
			want:  []string{"debian:12"}, base: "debian:12",
		},
		"arguments of arguments, defaults, alternatives": {
			file:  lines("ARG NAME", "ARG PREFIX=specfun", "ARG FULL=${PREFIX}-${NAME:-none}${X:+y}", "FROM ${FULL}"),
			build: suite.Build{Args: args("NAME", "debian")},
			want:  []string{"specfun-debian:latest"}, base: "specfun-debian:latest",
		},
		"an ARG in a stage is none before FROM": {
			file: lines("ARG V=1", "FROM a", "ARG V=2", "FROM b:$V"),
			want: []string{"b:1"}, base: "b:1",
		},
		"an empty argument is one": {
			file:  lines("ARG V=1", "FROM b:${V:-3}"),
			build: suite.Build{Args: args("V", "")},
			want:  []string{"b:3"}, base: "b:3",
		},
		"quoted": {
			file: lines(`ARG V="12 "`, `FROM "debian":12`),
			want: []string{"debian:12"}, base: "debian:12",
		},
		"platform": {
			file:  lines("FROM --platform=$BUILDPLATFORM debian:12 AS b", "FROM deps-$TARGETARCH$TARGETVARIANT", "COPY --from=b / /"),
			build: suite.Build{Platform: "linux/arm/v7"},
			want:  []string{"deps-armv7:latest", "debian:12"}, base: "deps-armv7:latest",
		},
		"the engine's platform": {
			file: lines("FROM deps-$TARGETOS-$TARGETARCH"),
			want: []string{"deps-linux-" + runtime.GOARCH + ":latest"}, base: "deps-linux-" + runtime.GOARCH + ":latest",
		},
		"heredoc": {
			file: lines("FROM a", "COPY <<EOF <<'E2' /x/", "FROM b", "EOF", "COPY --from=c / /", "E2", "RUN <<EOF", "FROM d", "EOF"),
			want: []string{"a:latest"}, base: "a:latest",
		},
		"continued lines, comments between": {
			file: lines("# FROM x", "FROM \\", "# FROM y", "  a \\", "  AS \\", "  b"),
			want: []string{"a:latest"}, base: "a:latest",
		},
		"escape directive": {
			file: lines("# escape=`", "FROM a", "RUN echo C:\\", "COPY --from=b `", "  /x /y"),
			want: []string{"a:latest", "b:latest"}, base: "a:latest",
		},
		"syntax directive, byte order mark, CR LF": {
			file: "\ufeff# syntax=docker/dockerfile:1\r\nFROM a\r\nRUN true\r\n",
			want: []string{"a:latest"}, base: "a:latest",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := parseDockerfile([]byte(c.file), c.build)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, d.references()); diff != "" {
				t.Errorf("references (-want +got):\n%s", diff)
			}
			if d.base != c.base {
				t.Errorf("base %q, not %q", d.base, c.base)
			}
		})
	}
}

func TestDockerfileFaults(t *testing.T) {
	for name, c := range map[string]struct {
		file  string
		build suite.Build
		want  string
	}{
		"empty":                {file: "", want: "D:1: file with no instructions"},
		"comments alone":       {file: lines("# nothing"), want: "D:1: file with no instructions"},
		"unknown instruction":  {file: lines("FROM a", "", "RNU true"), want: "D:3: unknown instruction: RNU (did you mean RUN?)"},
		"before FROM":          {file: lines("RUN true", "FROM a"), want: "D:1: no build stage in current context"},
		"FROM with two words":  {file: lines("FROM a b"), want: "D:1: FROM requires either one or three arguments"},
		"unknown flag":         {file: lines("FROM a", "COPY --form=b / /"), want: "D:2: unknown flag: --form"},
		"no end of heredoc":    {file: lines("FROM a", "RUN <<EOF", "true"), want: "D:2: unterminated heredoc"},
		"only arguments":       {file: lines("ARG A=1"), want: "D: it has no FROM"},
		"an argument is empty": {file: lines("ARG A", "FROM $A"), want: "D:2: FROM $A names no image: its arguments are empty"},
		"not a reference":      {file: lines("FROM Debian"), want: `D:1: "Debian" is not the name of an image: `},
		"no such stage":        {file: lines("FROM a"), build: suite.Build{Target: "test"}, want: `D: it has no stage "test"`},
		"no such number":       {file: lines("FROM a", "COPY --from=3 / /"), want: "D:2: there is no stage 3"},
		"variable in --from":   {file: lines("ARG X=b", "FROM a", "COPY --from=$X / /"), want: `D:3: "$X" is not the name of an image: `},
		"bad substitution":     {file: lines("FROM ${A"), want: "D:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseDockerfile([]byte(c.file), c.build)
			if err == nil {
				t.Fatal("no error")
			}
			if got := inFile("D", err).Error(); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s\nnot %s", got, c.want)
			}
		})
	}
}

func TestDockerfileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	for file, want := range map[string]error{missing: os.ErrNotExist, dir: nil} {
		_, err := readDockerfile(suite.Build{Dockerfile: file})
		if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// FuzzDockerfile: whatever the file, there is an answer or an error that has a place, and
// what is answered names images in one way only.
func FuzzDockerfile(f *testing.F) {
	f.Add("FROM a AS b\nCOPY --from=b / /\nRUN --mount=from=c true\n", "", "x")
	f.Add("# escape=`\nARG A=${B:-c}\nFROM $A\nRUN <<E\nE\n", "0", "y")
	f.Fuzz(func(t *testing.T, file, target, value string) {
		d, err := parseDockerfile([]byte(file), suite.Build{Target: target, Args: args("A", value)})
		if err != nil {
			var place *lineError
			if !errors.As(err, &place) {
				t.Fatalf("no place: %v", err)
			}
			return
		}
		for _, ref := range d.references() {
			if again, err := familiar(ref); err != nil || again != ref {
				t.Errorf("%q is %q: %v", ref, again, err)
			}
		}
		if d.base != "" && d.references()[0] != d.base {
			t.Errorf("the base %q is not the first of %q", d.base, d.references())
		}
	})
}
