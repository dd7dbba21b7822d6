package suite

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"runtests/pkg/plain"
)

// maxPrinted is how many problems Error prints: a file with more than that has one
// cause, and the first ones show it.
const maxPrinted = 50

// Problem is one fault of a suite file, or of an env_file that it names.
type Problem struct {
	File    string // as the caller named it
	Line    int    // from 1
	Column  int    // in characters, from 1
	Excerpt string // the line; empty if the file has a secret in it
	Message string
	Hint    string // the remedy, when there is one to tell
}

// Errors is all that is wrong with a suite file, in the order of the file.
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

// String is the problem as a person reads it, without a final newline.
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

// excerptWindow cuts a line to what fits a terminal around column, and returns the
// blanks that put a caret under it; a tab stays a tab so that the caret stays in place.
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

// printable replaces what could drive a terminal; the number of characters stays.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
