package plain

import (
	"fmt"
	"strings"
)

// Bounds of what is shown of another program's message.
const (
	maxMessageLines = 10
	maxMessageLine  = 2000 // bytes; an engine's message names several paths, and says last what is wrong
)

// Line returns a line of another program as it may be shown: clean, and of at most 2,000 bytes.
func Line(s string) string {
	s = strings.TrimSpace(Clean(s))
	if len(s) > maxMessageLine {
		s = strings.ToValidUTF8(s[:maxMessageLine], "") + "…"
	}
	return s
}

// Message returns what another program printed as a part of an error: at most ten lines, each as Line returns it. The
// second and further lines are indented by six blanks, which is more than any line of ours, hints included: no line of it
// looks like one of ours.
func Message(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		if line = Line(line); line != "" {
			lines = append(lines, line)
		}
	}
	if more := len(lines) - maxMessageLines; more > 0 {
		lines = append(lines[:maxMessageLines:maxMessageLines], fmt.Sprintf("… %d more lines", more))
	}
	return strings.Join(lines, "\n      ")
}
