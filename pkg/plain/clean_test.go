package plain

import (
	"bytes"
	"errors"
	"testing"

	"runtests/pkg/plain/plaintest"
)

func TestClean(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"plain", "make: *** [ecs.native] Error 2", "make: *** [ecs.native] Error 2"},
		{"tab", "a\tb", "a\tb"},
		{"letters of everywhere", "été 東京 🐫", "été 東京 🐫"},
		{"colours", "\x1b[1;31mError\x1b[0m: no", "Error: no"},
		{"private parameters", "\x1b[?25lhidden\x1b[?25h", "hidden"},
		{"sub-parameters", "\x1b[38:2::255:0:0mred", "red"},
		{"CSI without an end", "a\x1b[12", "a"},
		{"CSI cut by a letter of elsewhere", "\x1b[1é", "é"},
		{"CSI with a control inside", "\x1b[1\r2mx", "x"},
		{"CSI cancelled", "\x1b[31\x18x", "x"},
		{"title, BEL", "\x1b]0;evil\x07ok", "ok"},
		{"title, ST", "\x1b]0;evil\x1b\\ok", "ok"},
		{"title, C1 ST", "\x1b]0;evil\u009cok", "ok"},
		{"title without an end", "a\x1b]0;evil", "a"},
		{"title without an end, next line", "a\x1b]0;evil\nb", "a b"},
		{"hyperlink", "\x1b]8;;http://x/\x1b\\here\x1b]8;;\x1b\\", "here"},
		{"a sequence ends a string", "\x1b]0;evil\x1b[31mok", "ok"},
		{"DCS", "\x1bPq#0;2;0~~\x1b\\ok", "ok"},
		{"APC, PM, SOS", "\x1b_a\x1b\\1\x1b^b\x1b\\2\x1bXc\x1b\\3", "123"},
		{"character set", "\x1b(0lqk\x1b(B", "lqk"},
		{"reset", "\x1bcx", "x"},
		{"ESC at the end", "x\x1b", "x"},
		{"ESC ESC", "\x1b\x1b[31mx", "x"},
		{"ESC before a letter of elsewhere", "\x1bé", "é"},
		{"C1 CSI", "\u009b31mred", "red"},
		{"C1 OSC", "\u009d0;evil\u009cok", "ok"},
		{"C1 others", "a\u0085b\u0080c", "abc"},
		{"a raw C1 byte is broken UTF-8", "\x9b31m", "\ufffd31m"},
		{"NUL, BEL, DEL, backspace", "a\x00b\ac\x7fd\be", "abcde"},
		{"line feeds", "a\r\nb\vc", "a b c"},
		{"broken UTF-8", "\xff\xc3(\xe2\x82", "\ufffd\ufffd(\ufffd\ufffd"},
		{"surrogate", "\xed\xa0\x80", "\ufffd\ufffd\ufffd"},
		{"no characters", "a\ufffe\uffff", "a\ufffd\ufffd"},
		{"bidi", "a\u202eb\u2066c\u2069\u202ad", "abcd"},
		{"nothing", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Clean(test.in); got != test.want {
				t.Errorf("Clean(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

func TestCleanerKeepsLines(t *testing.T) {
	var out bytes.Buffer
	c := NewCleaner(&out)
	for _, part := range []string{"50%\r10", "0%\r\n\x1b", "[31m\xe2", "\x82\xac\n\x1b]2;x", "y\nz\xe2"} {
		if n, err := c.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", part, n, err)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "50%\r100%\r\n€\n\nz\ufffd"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestCleanerTellsWriteErrors(t *testing.T) {
	full := errors.New("full")
	if _, err := NewCleaner(brokenWriter{full}).Write([]byte("x")); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"a\x1b[31mb", "\x1b]0;x\x07y", "\xe2\x82\xac\xff", "\u009b1K\u202e", "\x1bP\x1b\\\n", "\x1b\x1b\xc2"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got := Clean(string(in))
		if !plaintest.Safe(got, "\t") {
			t.Errorf("Clean(%q) = %q: not safe", in, got)
		}
		if again := Clean(got); again != got {
			t.Errorf("Clean(%q) = %q: not what it was", got, again)
		}
	})
}

func FuzzCleaner(f *testing.F) {
	f.Add([]byte("a\x1b[31mb\r\n\xe2\x82\xac\xff\u009b1Kx"), uint8(1), uint8(3))
	f.Add([]byte("\x1b]0;title\x1b\\\x1bP\xe2\x1b[\xf0\x9f\n"), uint8(2), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, a, b uint8) {
		clean := func(parts ...[]byte) string {
			var out bytes.Buffer
			c := NewCleaner(&out)
			for _, part := range parts {
				if _, err := c.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			return out.String()
		}
		whole := clean(in)
		if !plaintest.Safe(whole, "\t\r\n") {
			t.Errorf("%q becomes %q: not safe", in, whole)
		}
		if again := clean([]byte(whole)); again != whole {
			t.Errorf("%q cleaned again is %q", whole, again)
		}
		// In pieces of a and b bytes in turn.
		var parts [][]byte
		for rest, size, next := in, int(a)+1, int(b)+1; len(rest) > 0; size, next = next, size {
			n := min(size, len(rest))
			parts = append(parts, rest[:n])
			rest = rest[n:]
		}
		if split := clean(parts...); split != whole {
			t.Errorf("in pieces %q becomes %q, whole %q", in, split, whole)
		}
	})
}

func BenchmarkClean(b *testing.B) {
	line := "\x1b[32mok\x1b[0m  ocamlfind: Package `zarith' not found — voilà"
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		Clean(line)
	}
}
