package suite

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"runtests/pkg/plain"
)

// maxPrinted bounds the problems that Error prints: so many faults have one cause, which the
// first ones show.
const maxPrinted = 50

// Problem is a fault in a suite file, or in an env_file of it.
type Problem struct {
	File    string // as the caller named it
	Line    int    // from 1
	Column  int    // in characters, from 1
	Excerpt string // the line; empty if the file has a secret in it
	Message string
	Hint    string // the remedy; may be empty
}

// Errors are all faults of a suite file, in the order of the file.
type Errors struct{ Problems []Problem }

// Error prints each problem as FILE:LINE:COLUMN: MESSAGE, then the line with a caret
// under the column, then the hint. It prints at most 50 of them.
func (e *Errors) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i == maxPrinted {
			fmt.Fprintf(&b, "\nand %d more", len(e.Problems)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// String returns the problem as Error prints it, without a final newline.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", plain.Clean(p.File), p.Line, p.Column, p.Message)
	if p.Excerpt != "" {
		line, pad := excerptWindow(p.Excerpt, p.Column)
		fmt.Fprintf(&b, "\n  %s\n  %s^", line, pad)
	}
	if p.Hint != "" {
		b.WriteString("\n  " + p.Hint)
	}
	return b.String()
}

func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// excerptWindow cuts a line around column to the width of a terminal. It also returns the space
// before a caret under column, in which tabs stay tabs.
func excerptWindow(line string, column int) (window, pad string) {
	const before, width = 60, 120
	runes := []rune(printable(line))
	at := min(max(column-1, 0), len(runes))
	start := 0
	if len(runes) > width && at > before {
		start = at - before
	}
	end := min(len(runes), start+width)
	for _, r := range runes[start:at] {
		if r != '\t' {
			r = ' '
		}
		pad += string(r)
	}
	return strings.TrimRight(string(runes[start:end]), " \t"), pad
}

// printable replaces what could control a terminal, and keeps the number of characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
