package engine

import (
	"errors"
	"strings"
	"sync"
	"testing"

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
