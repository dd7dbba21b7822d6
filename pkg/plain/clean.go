package plain

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Clean makes one line that is safe to show anywhere of a text from anywhere: without
// terminal escapes (CSI, OSC, DCS and the like, with or without their ends, in
// their 7-bit forms and as U+0080 to U+009F), without control characters but the
// tab, without the characters that turn the direction of text around (U+202A to
// U+202E, U+2066 to U+2069), and valid UTF-8: each broken byte becomes U+FFFD.
// A line feed becomes a space. Clean of a clean text is the text itself.
func Clean(s string) string {
	if isPlain(s) {
		return s
	}
	var line strings.Builder
	line.Grow(len(s))
	d := decoder{out: oneLine{&line}}
	d.write([]byte(s))
	d.end()
	return line.String()
}

// isPlain reports whether s is printable ASCII and tabs only, as most lines are.
func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if !plainByte(s[i]) {
			return false
		}
	}
	return true
}

func plainByte(c byte) bool { return c >= ' ' && c < 0x7f || c == '\t' }

// oneLine is the screen of Clean: a single line on which nothing moves.
type oneLine struct{ *strings.Builder }

func (l oneLine) text(s []byte) { l.Write(s) }
func (l oneLine) erase(int)     {}
func (l oneLine) control(c rune) {
	switch c {
	case '\t':
		l.WriteByte('\t')
	case '\n', '\v', '\f':
		l.WriteByte(' ')
	}
}

// Cleaner passes on to a terminal what Clean lets through, and line feeds and
// carriage returns with it. It keeps a few bytes between two writes, whatever is
// written, and an escape sequence without an end hides no more than its line.
type Cleaner struct {
	w   io.Writer
	buf []byte // what the current Write lets through
	decoder
}

// NewCleaner returns a Cleaner that writes to w.
func NewCleaner(w io.Writer) *Cleaner {
	c := &Cleaner{w: w}
	c.out = (*liveScreen)(c)
	return c
}

// Write writes to the underlying writer, at once, what of p may be shown. A
// character or an escape sequence that p leaves unfinished waits for the next
// Write, or for Flush.
func (c *Cleaner) Write(p []byte) (int, error) {
	c.write(p)
	if err := c.pass(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush says that the text has ended: a character cut off by it is written as U+FFFD.
func (c *Cleaner) Flush() error {
	c.end()
	return c.pass()
}

func (c *Cleaner) pass() error {
	if len(c.buf) == 0 {
		return nil
	}
	_, err := c.w.Write(c.buf)
	c.buf = c.buf[:0]
	return err
}

// liveScreen is the screen of a Cleaner.
type liveScreen Cleaner

func (l *liveScreen) text(s []byte) { l.buf = append(l.buf, s...) }
func (l *liveScreen) erase(int)     {}
func (l *liveScreen) control(c rune) {
	switch c {
	case '\t', '\n', '\r':
		l.buf = append(l.buf, byte(c))
	}
}

// screen is told what a terminal would do with a text.
type screen interface {
	text(s []byte)     // show these printable characters, valid UTF-8
	control(c rune)    // one of the control characters U+0000 to U+001F
	erase(columns int) // CSI K: 0 from the cursor to the end of the line, 1 up to the cursor, 2 all of it
}

// decoder reads a text as a terminal does: UTF-8 first, then ECMA-48 control
// sequences. It differs from one in a single point: a line feed ends any
// sequence, so that one without an end cannot swallow the rest of a log.
type decoder struct {
	out   screen
	state state
	first rune // the first parameter of the CSI sequence being read; 0: none yet

	part    [utf8.UTFMax]byte // a character of which not all bytes have come
	partLen int
}

// state is what a decoder is in the middle of.
type state int

const (
	ground  state = iota
	escape        // after ESC
	inter         // after ESC and intermediate characters: one more ends it
	control       // a control sequence: CSI, parameters, intermediates, final character
	str           // the string of OSC, DCS, SOS, PM or APC
	strEsc        // ESC inside such a string: ESC \ ends it
)

const (
	esc = 0x1b
	can = 0x18 // these two
	sub = 0x1a // cut a sequence short
	bel = 0x07
	st  = 0x9c // string terminator
)

// write reads p; bytes of an unfinished character wait for more.
func (d *decoder) write(p []byte) {
	for len(p) > 0 {
		if d.partLen > 0 {
			p = d.continued(p)
			continue
		}
		if d.state == ground {
			n := 0
			for n < len(p) && p[n] >= ' ' && p[n] < 0x7f {
				n++
			}
			if n > 0 {
				d.out.text(p[:n])
				p = p[n:]
				continue
			}
		}
		if !utf8.FullRune(p) {
			d.partLen = copy(d.part[:], p)
			return
		}
		r, n := utf8.DecodeRune(p)
		d.next(r)
		p = p[n:]
	}
}

// continued adds the first byte of p to the character in d.part, and returns the rest of p.
func (d *decoder) continued(p []byte) []byte {
	d.part[d.partLen] = p[0]
	d.partLen++
	if part := d.part[:d.partLen]; utf8.FullRune(part) {
		d.release(part)
	}
	return p[1:]
}

// release reads the characters in part, broken ones too, but for an unfinished last one.
func (d *decoder) release(part []byte) {
	for len(part) > 0 && utf8.FullRune(part) {
		r, n := utf8.DecodeRune(part)
		d.next(r)
		part = part[n:]
	}
	d.partLen = copy(d.part[:], part)
}

// end says that nothing more comes: the bytes that wait are broken characters.
func (d *decoder) end() {
	for range d.partLen {
		d.next(utf8.RuneError)
	}
	d.partLen = 0
	d.state = ground
}

// next reads one character.
func (d *decoder) next(r rune) {
	switch {
	case r == '\n' || r == can || r == sub:
		d.state = ground
	case r == esc && d.state == str:
		d.state = strEsc
		return
	case r == esc:
		d.state = escape
		return
	}
	switch d.state {
	case ground:
		d.show(r)
	case escape, inter:
		d.inEscape(r)
	case control:
		d.inControl(r)
	case str:
		if r == bel || r == st {
			d.state = ground
		}
	case strEsc: // ESC ends the string; what follows is a sequence of its own, ST if it is a backslash
		d.state = escape
		d.inEscape(r)
	}
}

// show takes a character that belongs to no sequence.
func (d *decoder) show(r rune) {
	switch {
	case r < ' ':
		d.out.control(r)
	case r == 0x7f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
	case r >= 0x80 && r <= 0x9f:
		d.introduce(r - 0x40)
	case r == 0xfffe || r == 0xffff: // no characters, and neither XML nor YAML may hold them
		d.show(utf8.RuneError)
	default:
		var b [utf8.UTFMax]byte
		d.out.text(b[:utf8.EncodeRune(b[:], r)])
	}
}

// inEscape takes a character after ESC.
func (d *decoder) inEscape(r rune) {
	switch {
	case r < ' ':
		d.out.control(r) // a terminal obeys it, and reads on
	case r < '0':
		d.state = inter
	case r < 0x7f && d.state == escape:
		d.introduce(r)
	case r <= 0x7f:
		d.state = ground
	default: // no sequence goes on so: it was none
		d.state = ground
		d.show(r)
	}
}

// introduce starts the sequence that ESC r does.
func (d *decoder) introduce(r rune) {
	switch r {
	case '[':
		d.state, d.first = control, 0
	case ']', 'P', 'X', '^', '_':
		d.state = str
	default:
		d.state = ground
	}
}

// inControl takes a character of a control sequence.
func (d *decoder) inControl(r rune) {
	switch {
	case r < ' ':
		d.out.control(r)
	case r < '@':
		if d.first == 0 {
			d.first = r
		}
	case r < 0x7f:
		d.state = ground
		if r == 'K' {
			d.out.erase(eraseMode(d.first))
		}
	case r == 0x7f:
	default:
		d.state = ground
		d.show(r)
	}
}

// eraseMode is the meaning of CSI K's parameter; without one it is 0.
func eraseMode(first rune) int {
	if first == '1' || first == '2' {
		return int(first - '0')
	}
	return 0
}
