package plain

import (
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaskEcho returns text with a secret masked in every form in which a person could read it out of
// the text: with blanks, line ends, control and invisible characters inside, as Mask finds it,
// in hexadecimal, and with any of its bytes written as quoted-printable (=41), octal (\101),
// hexadecimal (\x41), percent (%41) or a character reference (&#65;). It is for a text of a server
// that was given the secret, and that Clean has cleaned: what it removes could hide the secret.
func MaskEcho(text, secret string) string {
	forms := []string{secret, hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret)))}
	forms = append(forms, formsOf(secret)...)
	for _, form := range forms {
		text = maskForm(text, visible(form))
	}
	return text
}

// visible returns s without what a reader does not see.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if ignorable(r) {
			return -1
		}
		return r
	}, s)
}

// ignorable reports whether a reader takes what is around a character for one word: blanks, control
// characters (category Cc) and invisible ones (Cf).
func ignorable(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

func maskForm(text, form string) string {
	if form == "" {
		return text
	}
	var out strings.Builder
	for text != "" {
		n := max(echoed(text, form, literal, decoded), echoed(text, form, decoded, literal))
		if n > 0 {
			out.WriteString(masked)
			text = text[n:]
			continue
		}
		_, size := utf8.DecodeRuneInString(text)
		out.WriteString(text[:size])
		text = text[size:]
	}
	return out.String()
}

// A reading returns the byte that text begins with, and the length of its form; 0: it has none.
type reading func(text string) (b byte, size int)

// echoed returns the length of the form at the beginning of text, or 0. Of the two readings of a
// character, the first that continues the form counts: two calls with both orders find every form
// in which both readings do not take turns.
func echoed(text, form string, readings ...reading) int {
	at := 0
	for i := 0; i < len(form); {
		size := 0
		for _, read := range readings {
			if b, n := read(text[at:]); n > 0 && b == form[i] {
				size = n
				break
			}
		}
		switch {
		case size > 0:
			at += size
			i++
		case i == 0: // it begins with something visible
			return 0
		default:
			skipped := skip(text[at:])
			if skipped == 0 {
				return 0
			}
			at += skipped
		}
	}
	return at
}

// skip returns the length of what is ignorable at the beginning of text: a character, or the end of
// a line in quoted-printable.
func skip(text string) int {
	if rest, soft := strings.CutPrefix(text, "="); soft {
		if r, size := utf8.DecodeRuneInString(rest); unicode.IsSpace(r) {
			return 1 + size
		}
		return 0
	}
	if r, size := utf8.DecodeRuneInString(text); ignorable(r) {
		return size
	}
	return 0
}

func literal(text string) (b byte, size int) {
	if text == "" {
		return 0, 0
	}
	return text[0], 1
}

// decoded reads a byte that is written by its number.
func decoded(text string) (b byte, size int) {
	for _, form := range []struct {
		prefix, end string
		base        int
		digits      int // at most; without an end: exactly
	}{
		{"=", "", 16, 2}, {"%", "", 16, 2}, {`\x`, "", 16, 2}, {`\`, "", 8, 3}, {"&#x", ";", 16, 6}, {"&#X", ";", 16, 6}, {"&#", ";", 10, 6},
	} {
		rest, ok := strings.CutPrefix(text, form.prefix)
		if !ok || len(rest) < form.digits && form.end == "" {
			continue
		}
		digits := rest[:min(form.digits, len(rest))]
		if form.end != "" {
			if digits, _, ok = strings.Cut(rest[:min(form.digits+1, len(rest))], form.end); !ok {
				continue
			}
		}
		if n, err := strconv.ParseUint(digits, form.base, 8); err == nil {
			return byte(n), len(form.prefix) + len(digits) + len(form.end)
		}
	}
	return 0, 0
}
