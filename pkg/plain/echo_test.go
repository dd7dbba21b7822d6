package plain

import (
	"strings"
	"testing"
	"time"
)

func TestMaskEcho(t *testing.T) {
	for _, test := range []struct{ text, secret, want string }{
		{"no hunter2 here", "hunter2", "no *** here"},
		{"hunter2hunter2", "hunter2", "******"},
		{"no hunt er2, hunter3", "hunter2", "no ***, hunter3"},
		{"a=3Db a=41b", "a=3Db", "*** a=41b"},
		{"a=41b, aAb", "a=41b", "***, aAb"},
		{`a\\101b`, `a\\101b`, "***"},
		{"caf\u00e9=C3=A9 caf=C3=A9", "caf\u00e9", "***=C3=A9 ***"},
		{"&#104;&#x75;&#00078;", "hu", "***&#00078;"},
		{"&#99999999;hu & &# \\ \\x % =", "hunter2", "&#99999999;hu & &# \\ \\x % ="},
		{"hunter", "hunter2", "hunter"},
		{"", "hunter2", ""},
		{"\xffhunter2\xff", "hunter2", "\xff***\xff"},
		{"text", " \u200b", "text"},
	} {
		if got := MaskEcho(test.text, test.secret); got != test.want {
			t.Errorf("%q without %q: %q, want %q", test.text, test.secret, got, test.want)
		}
	}
}

// A text that almost is the secret, again and again, takes time in proportion to its length: eight times the text, not
// sixty-four times the time.
func TestMaskEchoIsLinear(t *testing.T) {
	took := func(words int) time.Duration {
		least := time.Hour
		for range 3 {
			started := time.Now()
			if got := MaskEcho(strings.Repeat("a ", words), strings.Repeat("a", 30)+"b"); strings.Contains(got, masked) {
				t.Fatal("it masks what is not the secret")
			}
			least = min(least, time.Since(started))
		}
		return least
	}
	if short, long := took(500), took(4000); long > 30*short {
		t.Errorf("%s, and %s for eight times the text", short, long)
	}
}

func FuzzMaskEcho(f *testing.F) {
	f.Add("you sent hunter=32", "hunter2")
	f.Add("h\x00u\u200bnter2", "hunter2")
	f.Fuzz(func(t *testing.T, text, secret string) {
		got := MaskEcho(Clean(text), secret)
		if shown := visible(secret); len(shown) >= minSecret && !strings.Contains(masked, shown) && !strings.Contains(shown, "*") && strings.Contains(visible(got), shown) {
			t.Errorf("%q shows %q", got, secret)
		}
	})
}
