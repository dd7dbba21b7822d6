package deploy

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"runtests/pkg/suite"
)

// hostile is a site on a machine whose shell does what script says, whatever it is asked. Its arguments are ssh's.
func hostile(t *testing.T, script string) *Site {
	t.Helper()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	d := suite.Deployment{Name: "web"}
	d.Check.Timeout = time.Second
	m, err := newMachine("ssh://prod")
	if err != nil {
		t.Fatal(err)
	}
	return &Site{deployment: d, machine: m, state: "/home/me" + statePath + "web"}
}

// TestEndlessOutput ends what prints for ever, at once and in little memory.
func TestEndlessOutput(t *testing.T) {
	calls := map[string]func(s *Site) error{
		"facts":  func(s *Site) error { return s.readFacts(t.Context()) },
		"follow": func(s *Site) error { _, err := s.follow(t.Context(), func(string) {}); return err },
		"lock":   func(s *Site) error { _, err := s.lock(func() {}); return err },
	}
	for what, script := range map[string]string{
		"on stdout": "exec yes", "on stderr": "exec yes >&2", "one line": "tr '\\0' x </dev/zero", "as one that cannot be ended": "trap '' TERM PIPE HUP; while :; do yes 2>/dev/null; done",
		"a log": "exec yes '. line'", "after the result": "echo 'result promoted 0 '; exec yes '| line'",
	} {
		for name, call := range calls {
			t.Run(name+" "+what, func(t *testing.T) {
				s := hostile(t, script)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				err := call(s)
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				mb := (after.TotalAlloc - before.TotalAlloc) >> 20
				t.Logf("%s, %d MB: %.300v", took.Round(time.Millisecond), mb, err)
				if err == nil || took > 20*time.Second || mb > 64 {
					t.Errorf("%s, %d MB: %v", took, mb, err)
				}
				for i, text := range strings.Split(err.Error(), "\n") {
					if i > 0 && !strings.HasPrefix(text, "      ") {
						t.Errorf("line %d at the margin: %q", i+1, text)
					}
				}
			})
		}
	}
}

// TestFollowForged shows what a hostile machine says of a swap, as one line each without control characters.
func TestFollowForged(t *testing.T) {
	var log []string
	logged := 0
	f := follower{logged: &logged, log: func(text string) { log = append(log, text) }}
	for _, text := range []string{". \x1b[1Fpassed", "! \rwarning", "result failed-back x why\x1b]0;title\a", "| \x1b[2Jlog"} {
		f.line(text)
	}
	all := strings.Join(append(append(log, f.result.warnings...), append(f.result.log, f.result.why)...), "|")
	if all != "passed|warning|log|why" {
		t.Errorf("%q", all)
	}
	for range 1000 {
		f.line("! again")
	}
	if len(f.result.warnings) != maxNotes {
		t.Errorf("%d warnings", len(f.result.warnings))
	}
}

// TestForgedFacts takes no path and no tag from a hostile machine that could do harm in a command or a message.
func TestForgedFacts(t *testing.T) {
	const good = "state /home/me/.local/state/runtests/deploy/web\n"
	for _, c := range []struct{ facts, want string }{
		{good, ""},
		{"", "on prod: the user has no home directory"},
		{"state relative/.local/state/runtests/deploy/web\n", "on prod: the user has no home directory"},
		{"state /etc\n", "on prod: the folder of the state cannot be used: /etc"},
		{"state /home\x1b[2J/.local/state/runtests/deploy/web\n", "on prod: the folder of the state cannot be used: /home/.local/state/runtests/deploy/web"},
		{good + "missing a\x1b[2J\rb\n", "prod lacks ab"},
		{good + "wrong \x1b[1Fx\n", "on prod: x"},
		{good + "ran ../../x\nran good\ndid 2026-11-22T03:00:04Z promoted ../../x\nport tcp x\n", ""},
	} {
		s := hostile(t, "cat <<'END'\n"+c.facts+"END")
		err := s.readFacts(t.Context())
		if got := errorText(err); got != c.want {
			t.Errorf("%q: %q, want %q", c.facts, got, c.want)
		}
		if s.ran["../../x"] || len(s.past) > 0 && s.past[0].release != "" {
			t.Errorf("%q: %v, %v", c.facts, s.ran, s.past)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestBounded passes what is within the bound.
func TestBounded(t *testing.T) {
	var over error
	b := &bounded{limit: 2048, what: "stdout", over: func(err error) { over = err }}
	if n, err := b.Write(bytes.Repeat([]byte("x"), 2048)); n != 2048 || err != nil || over != nil {
		t.Errorf("%d, %v, %v", n, err, over)
	}
	if n, err := b.Write([]byte("x")); n != 0 || err == nil || over == nil || len(b.String()) != 2048 {
		t.Errorf("%d, %v, %v", n, err, over)
	}
}
