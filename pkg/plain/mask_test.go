package plain

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	m := NewMask([]string{"hunter2", "hunter2-more", "ab", "it's+so/long=", "one line of a key\nshort\nanother line\n", "overlap-A", "A-lapover"})
	for text, want := range map[string]string{
		"":                                   "",
		"nothing of it":                      "nothing of it",
		"hunter2":                            "***",
		"a hunter2, hunter2-more!":           "a ***, ***!",
		"hunter2hunter2":                     "***",
		"ab is too short":                    "ab is too short",
		"curl https://u:hunter2@h/?t=hunter": "curl https://u:***@h/?t=hunter",
		"?t=it%27s%2Bso%2Flong%3D":           "?t=***",
		`'it'"'"'s+so/long='`:                "'***'",
		"overlap-A-lapover":                  "***",
		"| one line of a key|":               "| ***|",
		"short another line":                 "short ***",
		"héhunter2é":                         "hé***é",
	} {
		if got := m.String(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := (Mask{}).String("hunter2"); got != "hunter2" {
		t.Errorf("the zero Mask: %q", got)
	}
}

// However a secret was encoded with what stands around it, nothing that decodes to it is left.
func TestMaskOfBase64(t *testing.T) {
	m := NewMask([]string{"hunter2-word"})
	for before := range 4 {
		for after := range 4 {
			text := strings.Repeat("x", before) + "hunter2-word" + strings.Repeat("?", after)
			for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding} {
				got := m.String("Basic " + alphabet.EncodeToString([]byte(text)))
				if !strings.HasPrefix(got, "Basic ") || !strings.Contains(got, masked) || len(got) > len("Basic ")+len(masked)+12 {
					t.Errorf("%s: %s", text, got)
				}
			}
		}
	}
}

func TestMaskCut(t *testing.T) {
	m := NewMask([]string{"hunter2", "ter2-more", "aaaa"})
	keep := m.Longest() - 1
	for text, want := range map[string]int{
		"":                                  0,
		"short":                             0,
		strings.Repeat("-", 100):            100 - keep,
		strings.Repeat("-", 90) + "hunter2": 97 - keep,
		strings.Repeat("-", 90) + "hunter2" + strings.Repeat("-", keep-3):      90, // it lies across the place
		strings.Repeat("-", 90) + "hunter2-more" + strings.Repeat("-", keep-3): 90, // two that overlap
		strings.Repeat("a", 100): 100 - keep + 3, // nothing else is left to write
	} {
		if got := m.Cut(text); got != want {
			t.Errorf("%q: cut at %d, want %d", text, got, want)
		}
	}
	if got := (Mask{}).Cut("text"); got != 4 {
		t.Errorf("the zero Mask cuts at %d", got)
	}
}

// FuzzMaskCut: what is masked in two parts has no more left of a secret than what is masked as a whole.
func FuzzMaskCut(f *testing.F) {
	f.Add("hunter2", "a hunter2 b", "ter2 hunt", "er2")
	f.Fuzz(func(t *testing.T, secret, begin, end, more string) {
		if len(secret) < minSecret || strings.ContainsAny(secret+begin+end+more, "*") {
			t.Skip("a secret that the mask itself is part of")
		}
		m := NewMask([]string{secret})
		begin += secret + end
		cut := m.Cut(begin)
		if got := m.String(begin[:cut]) + m.String(begin[cut:]+more); cut > 0 && cut < len(begin) && strings.Contains(got, secret) {
			t.Errorf("%q is left in %q, cut at %d", secret, got, cut)
		}
	})
}

// Nothing of a secret is left, in any of the forms; what is no part of one stays.
func FuzzMask(f *testing.F) {
	f.Add("hunter2", "unter", "a hunter2 b")
	f.Add("abcabc", "bcab", "xabcabcabc")
	f.Add("it's", "a b\nc d e f g h", "'it'\"'\"'s' a+b%0Ac c d e f g h")
	f.Fuzz(func(t *testing.T, a, b, text string) {
		if strings.ContainsAny(a+b, "*") {
			t.Skip("a secret that the mask itself is part of")
		}
		m := NewMask([]string{a, b})
		for _, text := range []string{text, a + text + b, text + b + a, a + b} {
			got := m.String(text)
			for _, secret := range []string{a, b} {
				for _, form := range []string{secret, url.QueryEscape(secret)} {
					if len(secret) >= minSecret && strings.Contains(got, form) {
						t.Errorf("%q is left of %q in %q", form, text, got)
					}
				}
			}
			checkRest(t, text, got)
		}
		if got := m.String("Zz" + base64.StdEncoding.EncodeToString([]byte(a))); len(a) >= 6 && strings.Contains(got, base64.RawStdEncoding.EncodeToString([]byte(a))) {
			t.Errorf("base64 of %q is left: %q", a, got)
		}
	})
}

// checkRest says that got is text with some parts of it replaced by the mask.
func checkRest(t *testing.T, text, got string) {
	t.Helper()
	parts := strings.Split(got, masked)
	if strings.Contains(text, "*") {
		return // the place of the mask is not known
	}
	if !strings.HasPrefix(text, parts[0]) || !strings.HasSuffix(text, parts[len(parts)-1]) {
		t.Errorf("%q became %q", text, got)
	}
	for _, part := range parts {
		_, after, found := strings.Cut(text, part)
		if !found {
			t.Errorf("%q of %q is not in %q", part, got, text)
		}
		text = after
	}
}

// What cleaning removes does not hide a secret: it is removed first.
func TestMaskLines(t *testing.T) {
	m := NewMask([]string{"hunter2", "first line\nsecond line"})
	for text, want := range map[string]string{
		"a hunter2":                       "a ***",
		"a hun\x00ter2":                   "a ***",
		"a hun\x1b[1mter2\nb":             "a ***\nb",
		"a\thunt\u202eer2":                "a\t***",
		"a\x1b]0;t\x07\nfirst\x01 line\n": "a\n***\n",
	} {
		if got := m.Lines(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if got := m.Strings([]string{text}); got[0] != want {
			t.Errorf("%q among others: %q, want %q", text, got, want)
		}
	}
}
