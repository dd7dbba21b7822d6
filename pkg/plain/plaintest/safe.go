// Package plaintest checks in tests that a text is safe to show.
package plaintest

import (
	"bytes"
	"unicode/utf8"
)

// Safe reports whether s is valid UTF-8 without control characters other than those allowed.
func Safe(s string, allowed string) bool {
	for _, r := range s {
		switch {
		case bytes.ContainsRune([]byte(allowed), r):
		case r < ' ', r >= 0x7f && r <= 0x9f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return false
		}
	}
	return utf8.ValidString(s)
}
