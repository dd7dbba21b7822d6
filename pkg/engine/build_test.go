package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"runtests/pkg/buildlog"
	"runtests/pkg/container"
)

// archive returns a build context with these files.
func archive(t testing.TB, files map[string]string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// dockerfile returns a build of a Dockerfile in which {} stands for the test image. Each
// instruction has one line.
func dockerfile(t testing.TB, text string) Build {
	t.Helper()
	text = strings.ReplaceAll(text, "{}", testImage())
	b := Build{Context: archive(t, map[string]string{"Dockerfile": text}), Labels: map[string]string{label: "1"}}
	for i, line := range strings.Split(text, "\n") {
		if line != "" && line[0] != '#' {
			b.Instructions = append(b.Instructions, buildlog.Instruction{Line: i + 1, Text: line})
		}
	}
	return b
}

// builders runs a test with each builder of the engine.
func builders(t *testing.T, test func(t *testing.T, e *Engine)) {
	all := map[string]string{BuildKit: "1", ClassicBuilder: "0"}
	e := connect(t)
	if e.Info().Name == podman {
		all = map[string]string{PodmanBuilder: ""}
	}
	for name, wanted := range all {
		t.Run(name, func(t *testing.T) {
			e := *e
			e.options.Getenv = environment(map[string]string{builderVariable: wanted})
			if got := e.Builder(); got != name {
				t.Fatalf("it builds with %s", got)
			}
			test(t, &e)
		})
	}
}

func TestBuild(t *testing.T) {
	builders(t, func(t *testing.T, e *Engine) {
		b := dockerfile(t, "FROM {}\nRUN echo hello from $((40+2))\nLABEL own=word\n")
		tag := strings.ToLower(t.Name()) + ":2026-11-22t03-00-04"
		b.Tags, b.NoCache = []string{tag, tag + "-2"}, true
		var log strings.Builder
		id, err := e.Build(t.Context(), b, &log)
		if err != nil {
			t.Fatalf("%v\n%s", err, &log)
		}
		t.Cleanup(func() { removeTags(t, e, b.Tags...) })
		built, err := e.Image(t.Context(), tag)
		if err != nil || built.ID != id || built.Labels[label] != "1" || built.Labels["own"] != "word" || len(built.Tags) != 2 {
			t.Errorf("built %s: %+v, %v", id, built, err)
		}
		base, err := e.Image(t.Context(), testImage())
		if err != nil || len(base.Layers) == 0 || !slices.Equal(base.Layers, built.Layers[:len(base.Layers)]) {
			t.Errorf("its layers %q do not stand on %q: %v", built.Layers, base.Layers, err)
		}
		if !strings.Contains(log.String(), "hello from 42\n") {
			t.Errorf("the log is %s", &log)
		}
	})
}

func removeTags(t testing.TB, e *Engine, tags ...string) {
	t.Helper()
	for _, tag := range tags {
		if err := e.RemoveTag(context.Background(), tag); err != nil {
			t.Error(err)
		}
	}
}

func TestBuildFails(t *testing.T) {
	builders(t, func(t *testing.T, e *Engine) {
		b := dockerfile(t, "FROM {}\n# a comment\nRUN echo last words; exit 3\n")
		b.Tags = []string{strings.ToLower(t.Name())}
		b.NoCache = true
		var log strings.Builder
		id, err := e.Build(t.Context(), b, &log)
		var failed *container.BuildError
		if id != "" || !errors.As(err, &failed) || failed.Line != 3 || failed.Code != 3 || failed.Instruction != "RUN echo last words; exit 3" {
			t.Errorf("got %q, %v: %+v\n%s", id, err, failed, &log)
		}
		if _, err := e.Image(t.Context(), b.Tags[0]); !errors.Is(err, container.ErrNoImage) {
			t.Errorf("there is an image: %v", err)
		}
	})
}
