package buildlog

import (
	"strings"
	"testing"
)

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
