package mail

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The longest header texts, in characters. A phone shows no more of a subject in a
// list.
const (
	maxSubject = 200
	maxName    = 100
)

// foldAt is the length in characters at which a header line is folded (RFC 5322, 2.1.1,
// recommends at most 78).
const foldAt = 76

// header is a message's header while it is written.
type header struct{ bytes.Buffer }

// field writes one field and folds it between words. A word must not contain a line
// end, and must be far shorter than the 998 octets that a line may have.
func (h *header) field(name string, words ...string) {
	h.WriteString(name + ":")
	line := len(name) + 1
	for i, word := range words {
		if i > 0 && line+1+len(word) > foldAt {
			h.WriteString("\r\n")
			line = 0
		}
		h.WriteString(" " + word)
		line += 1 + len(word)
	}
	h.WriteString("\r\n")
}

// headerText returns s on one line, as valid UTF-8, cut to limit characters. Blanks and
// control characters become single spaces; characters that change the direction of
// the text are removed.
func headerText(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r) || unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:limit-1])) + "…"
}

// textWords returns the words of an unstructured field for a headerText.
func textWords(text string) []string {
	words := strings.Fields(text)
	if needsEncoding(text) || slices.ContainsFunc(words, func(word string) bool { return len(word) > foldAt-4 }) {
		return encodedWords(text)
	}
	return words
}

// nameWords returns the words of a display name, a headerText, in an address field.
func nameWords(name string) []string {
	if name == "" {
		return nil
	}
	if needsEncoding(name) || len(name) > foldAt-10 {
		return encodedWords(name)
	}
	return []string{`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`}
}

// needsEncoding reports whether a reader would not show text unchanged: it is not
// ASCII, or looks encoded already.
func needsEncoding(text string) bool {
	return strings.Contains(text, "=?") || strings.ContainsFunc(text, isNotASCII)
}

// encodedWords encodes text by RFC 2047, in words of at most 75 characters, each of
// them valid UTF-8. mime.WordEncoder leaves ASCII as it is, however long its words are.
func encodedWords(text string) []string {
	const size = 45 // bytes: 60 characters in base64, 72 with prefix and suffix
	var words []string
	for text != "" {
		n := min(len(text), size)
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n--
		}
		words = append(words, "=?UTF-8?B?"+base64.StdEncoding.EncodeToString([]byte(text[:n]))+"?=")
		text = text[n:]
	}
	return words
}
