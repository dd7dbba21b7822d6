package buildlog

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/plain"
)

func TestReport(t *testing.T) {
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
		r := New(&log, plain.Mask{})
		err := r.Read(strings.NewReader(tt.in))
		err = errors.Join(err, r.End())
		if log.String() != tt.log || (err != nil) != tt.fails {
			t.Errorf("%s: %q, %v", name, &log, err)
		}
	}
}

// field is a field of a protocol buffer: its bytes, or a number.
func field(number protowire.Number, value any) []byte {
	switch value := value.(type) {
	case int:
		return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), uint64(value))
	case []byte:
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
	case string:
		return field(number, []byte(value))
	}
	panic(fmt.Sprintf("a field of type %T", value))
}

// message joins fields.
func message(fields ...[]byte) []byte { return slices.Concat(fields...) }

// failedBuild is BuildKit's message about an instruction that printed this and failed.
func failedBuild(printed string) []byte {
	const id = "sha256:1"
	vertex := message(field(vertexDigest, id), field(vertexName, "[2/2] RUN make"), field(vertexStarted, field(1, 7)))
	return message(
		field(statusVertexes, vertex),
		field(statusLogs, message(field(logVertex, id), field(logTimestamp, field(1, 9)), field(logText, printed))),
		field(statusVertexes, message(vertex, field(vertexCompleted, field(1, 10)), field(vertexError, "exit code: 2"))),
	)
}

// TestTrace reads what BuildKit says beside instructions that fail.
func TestTrace(t *testing.T) {
	const id = "sha256:1"
	position := func(line int) []byte { return field(1, field(1, line)) }
	for name, tt := range map[string]struct {
		in  []byte
		log string
	}{
		"cached": {field(statusVertexes, message(field(vertexDigest, id), field(vertexName, "[1/2]  FROM\n x"), field(vertexCached, 1), field(vertexStarted, field(1, 7)), field(vertexCompleted, field(1, 7)))),
			"#1 [1/2] FROM x\n#1 CACHED\n"},
		"done in half a second": {field(statusVertexes, message(field(vertexDigest, id), field(vertexName, "x"), field(vertexStarted, field(1, 7)), field(vertexCompleted, message(field(1, 7), field(2, 500_000_000))))),
			"#1 x\n#1 DONE 0.5s\n"},
		"not begun":       {field(statusVertexes, message(field(vertexDigest, id), field(vertexName, "x"))), ""},
		"progress":        {field(statusStatuses, message(field(progressID, "extracting sha256:2"), field(progressVertex, id), field(progressName, "extracting"), field(progressCompleted, field(1, 7)))), "#1 \n#1 extracting sha256:2 done\n"},
		"not done":        {field(statusStatuses, message(field(progressID, "a"), field(progressVertex, id))), ""},
		"warning":         {field(statusWarnings, message(field(warningVertex, id), field(warningShort, "bad"), field(warningRanges, position(3)), field(warningRanges, position(9)))), "#1 \n#1 WARN: bad (line 3)\n"},
		"without a range": {field(statusWarnings, message(field(warningVertex, id), field(warningShort, "bad"))), "#1 \n#1 WARN: bad\n"},
	} {
		var log strings.Builder
		err := New(&log, plain.Mask{}).trace.add(tt.in)
		if diff := cmp.Diff(tt.log, log.String()); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
		if err := New(io.Discard, plain.Mask{}).trace.add(tt.in[:len(tt.in)-1]); err == nil {
			t.Errorf("%s: cut off, and accepted", name)
		}
	}
}

// TestFailedBuild reads the report of each builder on the same failed instruction.
func TestFailedBuild(t *testing.T) {
	dockerfile := []Instruction{{1, "FROM debian"}, {4, "RUN make"}}
	for name, tt := range map[string]struct{ in, log, running string }{
		"classic": {
			`{"stream":"Step 1/2 : FROM debian\n"}{"stream":" ---\u003e 0123456789ab\n"}{"stream":"Step 2/2 : RUN make\n"}{"stream":" ---\u003e Running in ba9876543210\n"}` +
				`{"stream":"no rule, open-sesame\n"}{"errorDetail":{"code":2,"message":"The command failed: 2"},"error":"The command failed: 2"}`,
			"Step 1/2 : FROM debian\n ---> 0123456789ab\nStep 2/2 : RUN make\n ---> Running in ba9876543210\nno rule, ***\nERROR: The command failed: 2\n", "ba9876543210",
		},
		"Podman": {
			`{"stream":"STEP 1/2: FROM debian\n"}{"stream":"STEP 2/2: RUN make\n"}{"stream":"no rule, open-sesame\n"}{"error":"building: exit status 2"}`,
			"STEP 1/2: FROM debian\nSTEP 2/2: RUN make\nno rule, ***\nERROR: building: exit status 2\n", "",
		},
		"BuildKit": {
			fmt.Sprintf(`{"id":"moby.buildkit.trace","aux":%q}{"error":"process did not complete: exit code: 2"}`, base64.StdEncoding.EncodeToString(failedBuild("no rule, open-sesame\n"))),
			"#1 [2/2] RUN make\n#1 2.000 no rule, ***\n#1 ERROR: exit code: 2\nERROR: process did not complete: exit code: 2\n", "",
		},
	} {
		var log strings.Builder
		r := New(&log, plain.NewMask([]string{"open-sesame"}))
		if err := errors.Join(r.Read(strings.NewReader(tt.in)), r.End()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tt.log, log.String()); diff != "" || r.Running != tt.running || r.ImageID != "" || r.Canceled() {
			t.Errorf("%s: it runs %q, image %q\n%s", name, r.Running, r.ImageID, diff)
		}
		var failed *container.BuildError
		if err := r.Fault(dockerfile); !errors.As(err, &failed) || failed.Line != 4 || failed.Code != 2 || failed.Instruction != "RUN make" {
			t.Errorf("%s: %+v, %v", name, failed, err)
		}
	}
}

// TestFullDisk tells a disk of the engine from one that a command found full.
func TestFullDisk(t *testing.T) {
	for in, engines := range map[string]bool{
		`{"error":"write /var/lib: No space left on device"}`:                                            true,
		`{"stream":"Step 1/1 : RUN x\ncp: no space left on device\n"}{"error":"returned: exit code: 1"}`: false,
	} {
		r := New(io.Discard, plain.Mask{})
		if err := r.Read(strings.NewReader(in)); err != nil {
			t.Fatal(err)
		}
		err := r.Fault(nil)
		if errors.Is(err, container.ErrNoSpace) != engines || !strings.HasSuffix(hint.Of(err), container.NoSpaceHint) {
			t.Errorf("%s: %v; %s", in, err, hint.Of(err))
		}
	}
}

// TestLogFails checks that a log which cannot be written does not stop the reading, but is reported.
func TestLogFails(t *testing.T) {
	full := errors.New("it is full")
	r := New(failingWriter{full}, plain.Mask{})
	err := r.Read(strings.NewReader(`{"stream":"a\n"}{"stream":"b\n"}{"aux":{"ID":"sha256:1"}}`))
	if err != nil || r.ImageID != "sha256:1" {
		t.Errorf("%q, %v", r.ImageID, err)
	}
	if err := r.End(); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// FuzzTrace checks that any report is either refused or logged in whole lines without the secret.
func FuzzTrace(f *testing.F) {
	message := failedBuild("it is open-sesame\n")
	f.Add(message)
	f.Add(message[:len(message)-5])
	f.Fuzz(func(t *testing.T, message []byte) {
		var out strings.Builder
		r := New(&out, plain.NewMask([]string{"open-sesame"}))
		err := r.trace.add(message)
		if got := out.String(); strings.Contains(got, "open-sesame") || got != "" && !strings.HasSuffix(got, "\n") {
			t.Errorf("%q, %v", got, err)
		}
		r.trace.failed("")
	})
}

// FuzzRead checks that any stream is either refused or logged in whole lines without the secret.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"stream":"Step 1/1 : RUN x\n"}{"stream":"open-"}{"stream":"sesame"}{"error":"open-sesame"}`))
	f.Add([]byte(`{"id":"moby.buildkit.trace","aux":"////"}{"aux":{"ID":"sha256:1"}}`))
	f.Fuzz(func(t *testing.T, stream []byte) {
		var out strings.Builder
		r := New(&out, plain.NewMask([]string{"open-sesame"}))
		err := errors.Join(r.Read(bytes.NewReader(stream)), r.End())
		if got := out.String(); strings.Contains(got, "open-sesame") || got != "" && !strings.HasSuffix(got, "\n") {
			t.Errorf("%q, %v", got, err)
		}
		if fault := r.Fault(nil).Error(); strings.Contains(fault, "open-sesame") {
			t.Errorf("fault: %s", fault)
		}
	})
}
