package plain

import (
	"encoding/base64"
	"encoding/json"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// masked replaces a secret.
const masked = "***"

const (
	// minSecret is the length of the shortest masked text, in bytes. Shorter texts are part of too
	// many others.
	minSecret = 4
	// minSecretLine is the length of the shortest masked line of a secret with several lines.
	minSecretLine = 8
	// minEncoded is the length of the shortest masked base64 form. Shorter forms occur by chance.
	minEncoded = 6
)

// Mask masks secrets in the texts about a run. The zero Mask changes nothing.
//
// It finds a secret as it is, as written in a URL, in JSON, in Go or for a shell, and in base64,
// wherever in the encoded text it starts. A step's log on disk is not masked; the log of a build is,
// for the values of its secret arguments.
type Mask struct {
	forms   map[[minSecret]byte][]string // by their first bytes, the longest form first
	longest int                          // the length of the longest form, in bytes
}

// NewMask returns a Mask for secrets. Those that are too short are not masked.
func NewMask(secrets []string) Mask {
	m := Mask{forms: map[[minSecret]byte][]string{}}
	for _, secret := range secrets {
		for _, form := range formsOf(secret) {
			m.add(form)
		}
		if !strings.Contains(secret, "\n") {
			continue
		}
		for line := range strings.Lines(secret) { // a tail has each line by itself
			if line = strings.TrimSpace(line); len(line) >= minSecretLine {
				m.add(line)
				m.add(Clean(line))
			}
		}
	}
	for _, forms := range m.forms {
		slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	}
	return m
}

func (m *Mask) add(form string) {
	if len(form) < minSecret {
		return
	}
	m.longest = max(m.longest, len(form))
	if key := [minSecret]byte([]byte(form)); !slices.Contains(m.forms[key], form) {
		m.forms[key] = append(m.forms[key], form)
	}
}

// formsOf returns the ways to write a secret.
func formsOf(secret string) []string {
	if len(secret) < minSecret {
		return nil
	}
	quoted, _ := json.Marshal(secret) // a string has no error
	goQuoted := strconv.Quote(secret)
	forms := []string{
		secret,
		Clean(secret),
		strings.ReplaceAll(secret, "'", `'"'"'`), // as package container quotes it in command lines
		url.QueryEscape(secret),
		url.PathEscape(secret),
		string(quoted[1 : len(quoted)-1]),
		goQuoted[1 : len(goQuoted)-1], // as builders quote it in their messages
	}
	return append(forms, encodedForms(secret)...)
}

// encodedForms returns the base64 characters that depend on the secret alone, in both alphabets, for
// each of the three places in a group of three bytes where the secret can start.
func encodedForms(secret string) []string {
	var forms []string
	for before := range 3 {
		padded := make([]byte, before, before+len(secret))
		padded = append(padded, secret...)
		first := (before*8 + 5) / 6 // the first character without bits of the text before
		last := len(padded) * 8 / 6 // the end of those without bits of the text after
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if text := alphabet.EncodeToString(padded)[first:last]; len(text) >= minEncoded {
				forms = append(forms, text)
			}
		}
	}
	return forms
}

// String returns s with secrets masked. Secrets that overlap are masked together.
func (m Mask) String(s string) string {
	var out strings.Builder
	shown := 0 // how much of s is written
	for start, end := range m.find(s, len(s)) {
		if start > shown || shown == 0 { // secrets side by side are masked together too
			out.WriteString(s[shown:start] + masked)
		}
		shown = end
	}
	if shown == 0 {
		return s
	}
	out.WriteString(s[shown:])
	return out.String()
}

// Lines returns s with each line cleaned, and then secrets masked: what Clean removes could hide a
// secret.
func (m Mask) Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Clean(lines[i])
	}
	return m.String(strings.Join(lines, "\n"))
}

// find yields the start and the end of each secret in s that starts before limit. Secrets that overlap
// count as one.
func (m Mask) find(s string, limit int) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		start, end := 0, 0
		for i := 0; i < limit && i+minSecret <= len(s); i++ {
			n := m.match(s[i:])
			if n == 0 {
				continue
			}
			if i >= end {
				if end > 0 && !yield(start, end) {
					return
				}
				start = i
			}
			end = max(end, i+n)
		}
		if end > 0 {
			yield(start, end)
		}
	}
}

// match returns the length of the longest secret at the start of s.
func (m Mask) match(s string) int {
	for _, form := range m.forms[[minSecret]byte([]byte(s[:minSecret]))] {
		if strings.HasPrefix(s, form) {
			return len(form)
		}
	}
	return 0
}

// Longest returns the length of the longest text that the mask looks for, in bytes.
func (m Mask) Longest() int { return m.longest }

// Cut returns where s can be cut in two so that no secret lies across the cut, whatever
// follows s. Only if secrets overlap each other from the beginning of s to its end may the cut
// hide where another begins. If s is shorter than the longest secret, the cut is at 0.
func (m Mask) Cut(s string) int {
	limit := max(0, len(s)-max(0, m.longest-1)) // a secret that begins later may end after s
	start, end := 0, 0                          // of the last secret
	for start, end = range m.find(s, limit) {
	}
	switch {
	case end <= limit:
		return limit
	case start > 0:
		return start
	}
	return end
}

// Strings returns a copy of texts, each as Lines returns it.
func (m Mask) Strings(texts []string) []string {
	texts = slices.Clone(texts)
	for i := range texts {
		texts[i] = m.Lines(texts[i])
	}
	return texts
}

// Tail returns t with secrets masked. A line that was cut may start inside a secret.
func (m Mask) Tail(t Tail) Tail {
	t.Lines = m.Strings(t.Lines)
	for i := range t.Cut {
		if i >= 0 && i < len(t.Lines) {
			t.Lines[i] = m.withoutEnd(t.Lines[i])
		}
	}
	return t
}

// withoutEnd returns s with the end of a secret at its start masked.
func (m Mask) withoutEnd(s string) string {
	longest := 0
	for _, forms := range m.forms {
		for _, form := range forms {
			for cut := 1; cut <= len(form)-minSecret; cut++ {
				if strings.HasPrefix(s, form[cut:]) {
					longest = max(longest, len(form)-cut)
					break
				}
			}
		}
	}
	if longest == 0 {
		return s
	}
	return masked + s[longest:]
}
