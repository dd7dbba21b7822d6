package mail

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The longest header texts that are kept, in characters. More than a phone shows
// in a list is no subject but a body.
const (
	maxSubject = 200
	maxName    = 100
)

// foldAt is the length of a header's line beyond which the next word goes to a
// line of its own (RFC 5322, 2.1.1, wants at most 78 characters).
const foldAt = 76

// header is a message's header as it grows.
type header struct{ bytes.Buffer }

// field writes one field. Words are what may not be folded: none holds a line
// end, and each is far shorter than the 998 octets that a line may have.
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

// headerText is s on one line and fit for a reader: valid UTF-8, blanks and control
// characters turned into single spaces, without the characters that turn the
// direction of what follows, cut to max characters.
func headerText(s string, max int) string {
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
	if utf8.RuneCountInString(s) <= max {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:max-1])) + "…"
}

// textWords are the words of an unstructured field that reads as text: a headerText.
func textWords(text string) []string {
	words := strings.Fields(text)
	for _, word := range words {
		if len(word) > foldAt-4 {
			return encodedWords(text)
		}
	}
	if needsEncoding(text) {
		return encodedWords(text)
	}
	return words
}

// nameWords are the words of a display name, a headerText, in an address field.
func nameWords(name string) []string {
	if name == "" {
		return nil
	}
	if needsEncoding(name) || len(name) > foldAt-10 {
		return encodedWords(name)
	}
	return []string{`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`}
}

// needsEncoding says whether a reader would not get text back as it is: it is not
// ASCII, or looks encoded already.
func needsEncoding(text string) bool {
	return strings.Contains(text, "=?") || strings.ContainsFunc(text, func(r rune) bool { return r > '~' })
}

// encodedWords is text as RFC 2047 has it: words of at most 75 characters, each
// valid UTF-8 by itself.
func encodedWords(text string) []string {
	const most = 45 // bytes: 60 characters in base64, 72 with what stands around them
	var words []string
	for text != "" {
		n := min(len(text), most)
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n--
		}
		words = append(words, "=?UTF-8?B?"+base64.StdEncoding.EncodeToString([]byte(text[:n]))+"?=")
		text = text[n:]
	}
	return words
}
