package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/engine/enginetest"
)

// processes returns the command lines on this machine that contain the word.
func processes(t testing.TB, word string) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range all {
		line, err := os.ReadFile(path)
		if err == nil && bytes.Contains(line, []byte(word)) { // one that ended meanwhile is not there
			found = append(found, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// endless is a build that is executing its RUN, whose command line has the word, once it
// has printed that it is ready. Podman would not end it before its time.
func endless(t testing.TB, e *Engine) (b Build, word string) {
	word = rand.Text()
	seconds := 300
	if e.Builder() == PodmanBuilder {
		seconds = 10
	}
	b = dockerfile(t, fmt.Sprintf("FROM {}\nRUN echo is ready; sleep %d; : %s\nRUN sleep 300; : %s\n", seconds, word, word))
	b.NoCache = true
	return b, word
}

func TestBuildIsGivenUp(t *testing.T) {
	builders(t, func(t *testing.T, e *Engine) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		b, word := endless(t, e)
		why := errors.New("a test's own reason")
		running := 0
		log := &trigger{on: "is ready\n", do: func() {
			running = max(running, len(processes(t, word)))
			cancel(why)
		}}
		start := time.Now()
		id, err := e.Build(ctx, b, log)
		if id != "" || !errors.Is(err, why) || errors.Is(err, container.ErrGone) {
			t.Errorf("got %q, %v", id, err)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
		if e.Builder() == PodmanBuilder {
			await(t, func() bool { return len(processes(t, word)) == 0 })
		}
		if left := processes(t, word); len(left) > 0 || running == 0 {
			t.Errorf("of %d processes %d are left: %q", running, len(left), left)
		}
	})
}

func TestBuildIsGivenUpWhileItsContextIsSent(t *testing.T) {
	builders(t, func(t *testing.T, e *Engine) {
		ctx, cancel := context.WithCancel(t.Context())
		reader, writer := io.Pipe()
		b := dockerfile(t, "FROM {}\n")
		b.Context = reader
		go func() {
			_, _ = writer.Write(make([]byte, 100))
			cancel()
		}()
		_, err := e.Build(ctx, b, io.Discard)
		if !errors.Is(err, context.Canceled) || errors.Is(err, container.ErrGone) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBuildContextCannotBeRead(t *testing.T) {
	builders(t, func(t *testing.T, e *Engine) {
		b := dockerfile(t, "FROM {}\n")
		changed := errors.New("the context changed while it was sent")
		b.Context = io.MultiReader(io.LimitReader(b.Context, 700), &failing{changed})
		b.Tags = []string{strings.ToLower(t.Name())}
		_, err := e.Build(t.Context(), b, io.Discard)
		if !errors.Is(err, changed) || errors.Is(err, container.ErrGone) {
			t.Errorf("got %v", err)
		}
		if _, err := e.Image(t.Context(), b.Tags[0]); !errors.Is(err, container.ErrNoImage) {
			t.Errorf("there is an image: %v", err)
		}
	})
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// TestBuildLogFails checks that a log which cannot be written does not stop the build, but is reported.
func TestBuildLogFails(t *testing.T) {
	builders(t, func(t *testing.T, e *Engine) {
		id, err := e.Build(t.Context(), dockerfile(t, "FROM {}\nRUN echo 1\n"), &failingWriter{})
		if id == "" || !errors.Is(err, container.ErrOutput) {
			t.Errorf("got %q, %v", id, err)
		}
	})
}

type failingWriter struct{}

func (*failingWriter) Write([]byte) (int, error) { return 0, errors.New("it is full") }

func TestBuildOnFaultyEngine(t *testing.T) {
	builders(t, func(t *testing.T, real *Engine) {
		t.Parallel()
		tests := map[string]func(*enginetest.Proxy){
			"dies":    func(p *enginetest.Proxy) { p.Fail("", enginetest.Cut); p.Cut() },
			"is back": func(p *enginetest.Proxy) { p.Cut() },
			"freezes": func(p *enginetest.Proxy) { p.Fail("", enginetest.Stall) },
		}
		for name, fail := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				faulty, e := newFaultyEngine(t, real, 2*time.Second)
				e.options.Getenv = real.options.Getenv
				b, word := endless(t, e)
				log := &trigger{on: "is ready\n", do: func() { fail(faulty) }}
				id, err := e.Build(t.Context(), b, log)
				if id != "" || !errors.Is(err, container.ErrGone) {
					t.Errorf("got %q, %v", id, err)
				}
				faulty.Cut() // a frozen engine is killed in the end
				await(t, func() bool { return len(processes(t, word)) == 0 })
			})
		}
		for name, as := range map[string]enginetest.Fault{"freezes at once": enginetest.Stall, "is deaf": enginetest.Deaf, "is not there": enginetest.Cut} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				faulty, e := newFaultyEngine(t, real, 2*time.Second)
				e.options.Getenv = real.options.Getenv
				faulty.Fail("", as)
				start := time.Now()
				_, err := e.Build(t.Context(), dockerfile(t, "FROM {}\n"), io.Discard)
				if !errors.Is(err, container.ErrGone) || time.Since(start) > 40*time.Second {
					t.Errorf("after %s: %v", time.Since(start), err)
				}
			})
		}
	})
}

// TestBuildMemory checks that a build context is not held in memory.
func TestBuildMemory(t *testing.T) {
	builders(t, func(t *testing.T, e *Engine) {
		const size = 128 << 20
		b := dockerfile(t, "FROM {}\nRUN echo 1\n")
		b.Context = withBallast(t, "FROM "+testImage()+"\nRUN echo 1\n", size)
		before := peak(t)
		if _, err := e.Build(t.Context(), b, io.Discard); err != nil {
			t.Fatal(err)
		}
		grown := peak(t) - before
		t.Logf("%d MiB of context: the peak of the program's memory grew by %d KiB", size>>20, grown>>10)
		if grown > 32<<20 {
			t.Error("that is too much")
		}
	})
}

// withBallast returns a context of a Dockerfile and a file of that size, generated while it is read.
func withBallast(t testing.TB, dockerfile string, size int64) io.Reader {
	t.Helper()
	reader, writer := io.Pipe()
	t.Cleanup(func() { reader.Close() })
	go func() {
		w := tar.NewWriter(writer)
		err := w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))})
		if err == nil {
			_, err = io.WriteString(w, dockerfile)
		}
		if err == nil {
			err = w.WriteHeader(&tar.Header{Name: "ballast", Mode: 0o644, Size: size})
		}
		if err == nil {
			_, err = io.CopyN(w, zeros{}, size)
		}
		writer.CloseWithError(errors.Join(err, w.Close()))
	}()
	return reader
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// peak returns the peak memory of this program in bytes (proc(5), VmHWM).
func peak(t testing.TB) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var kilobytes int64
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}
