package plain

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// masked stands where a secret was.
const masked = "***"

const (
	// minSecret is the length of the shortest text that is masked, in bytes: a shorter
	// one is part of too much else.
	minSecret = 4
	// minSecretLine is that of a line of a secret that has several.
	minSecretLine = 8
	// minEncoded is that of a secret's base64 form: shorter ones are found by chance.
	minEncoded = 6
)

// Mask takes secrets out of what is told of a run. The zero Mask changes nothing.
//
// A secret is found as it is, as a URL, JSON and Go spell it, quoted for a shell, and in
// base64, wherever in the encoded text it began. A step's log on disk is not masked; the
// log of a build is, from the values of its secret arguments.
type Mask struct {
	forms   map[[minSecret]byte][]string // by their first bytes, the longest first
	longest int                          // the length of the longest form, in bytes
}

// NewMask returns a Mask for secrets; those that are too short are not masked.
func NewMask(secrets []string) Mask {
	m := Mask{forms: map[[minSecret]byte][]string{}}
	for _, secret := range secrets {
		for _, form := range formsOf(secret) {
			m.add(form)
		}
		if !strings.Contains(secret, "\n") {
			continue
		}
		for line := range strings.Lines(secret) { // as a tail has it, line by line
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

// formsOf are the ways in which a secret is written.
func formsOf(secret string) []string {
	if len(secret) < minSecret {
		return nil
	}
	quoted, _ := json.Marshal(secret) // a string has no error
	goQuoted := strconv.Quote(secret)
	forms := []string{
		secret,
		Clean(secret),
		strings.ReplaceAll(secret, "'", `'"'"'`), // as engine's command lines quote it
		url.QueryEscape(secret),
		url.PathEscape(secret),
		string(quoted[1 : len(quoted)-1]),
		goQuoted[1 : len(goQuoted)-1], // as builders quote it in their messages
	}
	return append(forms, encodedForms(secret)...)
}

// encodedForms are the characters of base64 that are the secret's alone, for each of
// the three places in a group of three bytes where it can begin, in both alphabets.
func encodedForms(secret string) []string {
	var forms []string
	for before := range 3 {
		padded := make([]byte, before, before+len(secret))
		padded = append(padded, secret...)
		first := (before*8 + 5) / 6 // the first character without a bit of what stands before
		last := len(padded) * 8 / 6 // the one after the last without a bit of what follows
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if text := alphabet.EncodeToString(padded)[first:last]; len(text) >= minEncoded {
				forms = append(forms, text)
			}
		}
	}
	return forms
}

// String is s without secrets. What two of them share, where they overlap, goes with both.
func (m Mask) String(s string) string {
	var out strings.Builder
	shown, end := 0, 0 // what of s is written; where the secrets found so far end
	for i := 0; i+minSecret <= len(s); i++ {
		n := m.match(s[i:])
		if n == 0 {
			continue
		}
		if i > end || end == 0 {
			if end > 0 {
				out.WriteString(masked)
			}
			out.WriteString(s[shown:i])
		}
		end = max(end, i+n)
		shown = end
	}
	if end == 0 {
		return s
	}
	out.WriteString(masked)
	out.WriteString(s[shown:])
	return out.String()
}

// match is the length of the longest secret that s begins with.
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
	start, end := 0, 0                          // of the last secrets that overlap each other
	for i := 0; i < limit && i+minSecret <= len(s); i++ {
		n := m.match(s[i:])
		if n == 0 {
			continue
		}
		if i >= end {
			start = i
		}
		end = max(end, i+n)
	}
	switch {
	case end <= limit:
		return limit
	case start > 0:
		return start
	}
	return end
}

// All returns copies of texts without secrets.
func (m Mask) All(texts []string) []string {
	texts = slices.Clone(texts)
	for i := range texts {
		texts[i] = m.String(texts[i])
	}
	return texts
}

// Tail masks the lines of t. A line that was cut may begin inside of a secret.
func (m Mask) Tail(t Tail) Tail {
	t.Lines = m.All(t.Lines)
	for i := range t.Cut {
		if i >= 0 && i < len(t.Lines) {
			t.Lines[i] = m.withoutEnd(t.Lines[i])
		}
	}
	return t
}

// withoutEnd masks the end of a secret that s begins with.
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
