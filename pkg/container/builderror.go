package container

import (
	"fmt"
	"strings"
)

// A BuildError is a build that the builder gave up, mostly because an instruction of its Dockerfile failed.
type BuildError struct {
	Line        int    // the first line of the instruction, from 1; 0: unknown
	Instruction string // on one line; empty: unknown
	Code        int    // the exit status of a RUN; 0: something else failed
	Message     string // the builder's words, without the values of secret arguments
}

// Error returns which instruction failed, and how.
func (e *BuildError) Error() string {
	text := e.Message
	if e.Code != 0 {
		text = fmt.Sprintf("exit status %d", e.Code)
	}
	if e.Instruction != "" {
		text = shortened(e.Instruction) + ": " + text
	}
	if e.Line > 0 {
		text = fmt.Sprintf("line %d of the Dockerfile: %s", e.Line, text)
	}
	return text
}

// maxInstruction is how much of an instruction an error shows, in characters.
const maxInstruction = 120

func shortened(instruction string) string {
	if runes := []rune(instruction); len(runes) > maxInstruction {
		return strings.TrimSpace(string(runes[:maxInstruction-1])) + "…"
	}
	return instruction
}
