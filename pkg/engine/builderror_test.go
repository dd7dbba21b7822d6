package engine

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"runtests/pkg/container"
)

// TestBuildErrors checks that every builder's error names the line of the Dockerfile.
func TestBuildErrors(t *testing.T) {
	tests := map[string]struct {
		text string
		line int
		code int
		told string
	}{
		"unknown instruction": {"FROM {}\n\nFOO bar\n", 3, 0, "unknown instruction"},
		"second stage":        {"FROM {} AS one\nRUN true\nFROM one\nRUN true\nRUN exit 4\n", 5, 4, "exit status 4"},
		"named stage":         {"FROM {} AS one\nRUN exit 5\nFROM {}\nCOPY --from=one /bin /b\n", 2, 5, "exit status 5"},
		"same instruction":    {"FROM {}\nRUN test -e /x; n=$?; touch /x; test $n = 1\nRUN test -e /x; n=$?; touch /x; test $n = 1\n", 3, 1, "exit status 1"},
		"missing file":        {"FROM {}\nWORKDIR /x\nCOPY missing /\n", 3, 0, "missing"},
		"killed":              {"FROM {}\nRUN sh -c 'kill -9 $$'; exit $?\n", 2, 137, "exit status 137"},
		"after an argument":   {"ARG one=1\nFROM {}\nARG two=2\nRUN exit 6\n", 4, 6, "exit status 6"},
		"no base":             {"FROM {}\nFROM localhost:1/no-such-image\n", 2, 0, "localhost:1"},
	}
	builders(t, func(t *testing.T, e *Engine) {
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := dockerfile(t, tt.text)
				b.NoCache = true
				var log strings.Builder
				_, err := e.Build(t.Context(), b, &log)
				var failed *container.BuildError
				if !errors.As(err, &failed) || failed.Code != tt.code || !containsFold(err.Error(), tt.told) {
					t.Fatalf("got %v: %+v\n%s", err, failed, &log)
				}
				if failed.Line != tt.line {
					t.Errorf("line %d: %v\n%s", failed.Line, err, &log)
				}
				if !strings.Contains(log.String(), "ERROR: ") {
					t.Errorf("the log does not say why: %s", &log)
				}
			})
		}
	})
}

func TestBuildSecrets(t *testing.T) {
	const secret = `open "sesame"`
	builders(t, func(t *testing.T, e *Engine) {
		b := dockerfile(t, "FROM {}\nARG TOKEN\nRUN echo $TOKEN is it; exit 3\n")
		b.Args = []container.Variable{{Name: "TOKEN", Value: secret, Secret: true}}
		b.NoCache = true
		var log strings.Builder
		_, err := e.Build(t.Context(), b, &log)
		if all := log.String() + err.Error(); strings.Contains(all, "sesame") || !strings.Contains(all, "*** is it") {
			t.Errorf("told: %s", all)
		}
	})
}

func TestBuildsSideBySide(t *testing.T) {
	builders(t, func(t *testing.T, e *Engine) {
		var work sync.WaitGroup
		for n := range 4 {
			work.Go(func() {
				word := strings.Repeat("x", n+1)
				b := dockerfile(t, "FROM {}\nRUN echo it is "+word+".\n")
				b.NoCache = true
				var log strings.Builder
				id, err := e.Build(t.Context(), b, &log)
				if err != nil || id == "" || !strings.Contains(log.String(), "it is "+word+".\n") {
					t.Errorf("got %q, %v: %s", id, err, &log)
				}
			})
		}
		work.Wait()
	})
}

func TestCulprit(t *testing.T) {
	all := []Instruction{
		{1, "ARG BASE=debian:bookworm-slim"}, {2, "FROM ${BASE} AS Tools"}, {3, "ENV A=1"}, {4, "RUN apt-get install -y opam"}, {8, "COPY a /a"},
		{10, "FROM tools"}, {11, "WORKDIR /w"}, {12, "COPY --from=registry.example.org/libs:1 /l /l"}, {13, "run make"},
	}
	vertices := map[string]int{
		"[tools 2/3] RUN apt-get install -y opam":                             4,
		"[linux/arm64 tools 3/3] COPY a /a":                                   8,
		"[tools 1/3] FROM docker.io/library/debian":                           2,
		"[stage-1 1/3] WORKDIR /w":                                            11,
		"[stage-1  3/ 3] RUN make":                                            0, // not as BuildKit writes it
		"[stage-1  3/3] RUN make":                                             13,
		"[stage-1 5/5] RUN make":                                              13, // two ONBUILD of the base
		"[stage-1 3/3] ADD x":                                                 0,
		"[internal] load metadata for registry.example.org/libs:1":            12,
		"FROM registry.example.org/libs:1@sha256:" + strings.Repeat("0", 64):  0,
		"[internal] load metadata for docker.io/library/debian:bookworm-slim": 0,
		"exporting to image":                                                  0,
	}
	for name, line := range vertices {
		if got := ofVertex(name, all); got.Line != line {
			t.Errorf("%s: line %d", name, got.Line)
		}
	}
	steps := map[string]int{
		"Step 4/9 : RUN apt-get install -y opam": 4, "Step 9/9 : RUN make": 13, "Step 10/10 : LABEL a=b": 0, "Step 1/9 : ARG BASE=x": 1,
		"[1/2] STEP 3/4: RUN apt-get install -y opam": 4, "[2/2] STEP 4/4: RUN make": 13, "STEP 3/4: RUN apt-get install -y opam": 4, "[3/3] STEP 1/1: RUN x": 0, "": 0,
	}
	for line, number := range steps {
		if got := ofStep(line, all); got.Line != number {
			t.Errorf("%s: line %d", line, got.Line)
		}
	}
	for _, printed := range []string{"Step 2: configure", "STEP two: x", " Step 1/2 : x", "[1/4] Resolving packages..."} {
		if step.MatchString(printed) {
			t.Errorf("what a command prints is taken for the builder's: %q", printed)
		}
	}
}

// TestPlainLog masks a secret wherever the engine cuts its report in pieces, even in an endless line.
func TestPlainLog(t *testing.T) {
	const secret = "open-sesame"
	for _, size := range []int{1, 3, 7, 1000, 1 << 20} {
		var out strings.Builder
		log := newPlainLog(&sink{w: &out}, []container.Variable{{Value: secret, Secret: true}, {Value: "abc", Secret: true}, {Value: "public"}})
		text := strings.Repeat("0123456789", 6553) + secret + strings.Repeat("y", 70000) + "\nabc public " + secret
		var lines splitter
		for len(text) > 0 {
			n := min(size, len(text))
			lines.add(text[:n], log, log.line)
			text = text[n:]
			if len(lines.rest) > 2*maxLine+size {
				t.Fatalf("%d bytes are kept", len(lines.rest))
			}
		}
		lines.flush(log.line)
		got := out.String()
		if strings.Contains(strings.ReplaceAll(got, "\n", ""), secret) || strings.Count(strings.ReplaceAll(got, "\n", ""), "***") != 2 || !strings.HasSuffix(got, "\nabc public ***\n") {
			t.Errorf("in pieces of %d: %d bytes", size, len(got))
		}
	}
}

// A secret that a build prints as base64, as a part of a URL or quoted is not written to the log,
// however the engine cuts its report in pieces.
func TestPlainLogOfEncodedSecrets(t *testing.T) {
	const secret = "s3same/o+pen <\x01&'it'>"
	forms := map[string]string{
		"base64":          base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
		"base64 of a URL": base64.RawURLEncoding.EncodeToString([]byte(secret + "?")),
		"a URL's query":   "https://example.org/?t=" + url.QueryEscape(secret),
		"a URL's path":    "https://example.org/" + url.PathEscape(secret),
		"quoted":          fmt.Sprintf("cannot open %q", secret),
	}
	const inner = "s3same/o+pen" // no encoding of it may be left either
	for name, form := range forms {
		for _, size := range []int{7, 1 << 20} {
			for _, before := range []int{0, maxLine - 10, maxLine + 10} {
				var out strings.Builder
				log := newPlainLog(&sink{w: &out}, []container.Variable{{Value: secret, Secret: true}})
				text := strings.Repeat("-", before) + form + strings.Repeat("-", maxLine+2*log.mask.Longest()) + "\n"
				var lines splitter
				for len(text) > 0 {
					n := min(size, len(text))
					lines.add(text[:n], log, log.line)
					text = text[n:]
				}
				lines.flush(log.line)
				got := strings.ReplaceAll(out.String(), "\n", "")
				for _, left := range []string{
					inner, url.QueryEscape(inner), url.PathEscape(inner),
					base64.RawStdEncoding.EncodeToString([]byte(inner)), base64.RawStdEncoding.EncodeToString([]byte("user:" + inner))[7:],
				} {
					if strings.Contains(got, left) {
						t.Errorf("%s, in pieces of %d after %d bytes: %q is left", name, size, before, left)
					}
				}
				if !strings.Contains(got, "***") {
					t.Errorf("%s, in pieces of %d after %d bytes: it is not there", name, size, before)
				}
			}
		}
	}
}

// FuzzTrace checks that any report is either refused or logged in whole lines without the secret.
func FuzzTrace(f *testing.F) {
	vertex := protowire.AppendTag(nil, vertexDigest, protowire.BytesType)
	vertex = protowire.AppendString(vertex, "sha256:1")
	vertex = protowire.AppendTag(vertex, vertexName, protowire.BytesType)
	vertex = protowire.AppendString(vertex, "[1/2] RUN echo")
	vertex = protowire.AppendTag(vertex, vertexStarted, protowire.BytesType)
	vertex = protowire.AppendBytes(vertex, []byte{8, 1})
	printed := protowire.AppendTag(nil, logVertex, protowire.BytesType)
	printed = protowire.AppendString(printed, "sha256:1")
	printed = protowire.AppendTag(printed, logText, protowire.BytesType)
	printed = protowire.AppendString(printed, "it is open-sesame\n")
	message := protowire.AppendTag(nil, statusVertexes, protowire.BytesType)
	message = protowire.AppendBytes(message, vertex)
	message = protowire.AppendTag(message, statusLogs, protowire.BytesType)
	message = protowire.AppendBytes(message, printed)
	f.Add(message)
	f.Add(message[:len(message)-5])
	f.Fuzz(func(t *testing.T, message []byte) {
		var out strings.Builder
		r := newBuildReport(&out, []container.Variable{{Value: "open-sesame", Secret: true}})
		err := r.trace.add(message)
		if got := out.String(); strings.Contains(got, "open-sesame") || got != "" && !strings.HasSuffix(got, "\n") {
			t.Errorf("%q, %v", got, err)
		}
		r.trace.failed("")
	})
}

func TestBuildReport(t *testing.T) {
	tests := map[string]struct {
		in, log string
		fails   bool
	}{
		"colour":        {`{"stream":"\u001b[91mbad\n\u001b[0m"}`, "bad\n", false},
		"no line's end": {`{"stream":"Step 1/1 : FROM x"}{"stream":"\n"}{"stream":"rest"}`, "Step 1/1 : FROM x\nrest\n", false},
		"cut off":       {`{"stream":"a\n"}{"str`, "a\n", true},
		"not a report":  {`<html>`, "", true},
		"not a trace":   {`{"id":"moby.buildkit.trace","aux":"////"}`, "", true},
	}
	for name, tt := range tests {
		var log strings.Builder
		r := newBuildReport(&log, nil)
		err := r.read(io.MultiReader(strings.NewReader(tt.in)))
		r.end()
		if log.String() != tt.log || (err != nil) != tt.fails {
			t.Errorf("%s: %q, %v", name, &log, err)
		}
	}
}
