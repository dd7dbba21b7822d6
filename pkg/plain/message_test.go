package plain

import (
	"strings"
	"testing"
)

// TestMessage shows what a program printed so that no line of it looks like one of ours.
func TestMessage(t *testing.T) {
	got := Message("\n first\x1b[2J\r\nruntests: all is well\n\n  hint: rm -rf /\n")
	if want := "first\n      runtests: all is well\n      hint: rm -rf /"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	got = Message(strings.Repeat("line\n", 1000) + strings.Repeat("x", 5000))
	if strings.Count(got, "\n") != maxMessageLines || !strings.HasSuffix(got, "… 991 more lines") {
		t.Errorf("%q", got)
	}
	if got := Line(strings.Repeat("é", 5000)); len(got) > maxMessageLine+len("…") || !strings.HasSuffix(got, "é…") {
		t.Errorf("%q", got)
	}
	if got := Message(" \n\x1b[0m\n"); got != "" {
		t.Errorf("%q", got)
	}
}
