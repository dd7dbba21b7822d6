package plain

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"
)

// Clean returns s as one line that is safe to show anywhere. It removes terminal escapes (CSI, OSC, DCS
// and the like, complete or not, in 7-bit form or as U+0080 to U+009F), control characters other than
// tabs, and the characters that change the direction of text (U+202A to U+202E, U+2066 to U+2069). A
// line feed becomes a space, and each byte of invalid UTF-8 becomes U+FFFD. Cleaning twice changes
// nothing more.
func Clean(s string) string {
	if isPlain(s) {
		return s
	}
	line := flatScreen{shown: make([]byte, 0, len(s)), from: "\t\n\v\f", to: "\t   "}
	d := decoder{out: &line}
	d.write([]byte(s))
	d.end()
	return string(line.shown)
}

// isPlain reports whether s has only printable ASCII and tabs, as most lines do.
func isPlain(s string) bool {
	for i := range len(s) {
		if !printable(s[i]) && s[i] != '\t' {
			return false
		}
	}
	return true
}

func printable(c byte) bool { return c >= ' ' && c < 0x7f }

// flatScreen is a screen on which the cursor does not move back. It ignores control characters other
// than those in from.
type flatScreen struct {
	shown    []byte
	from, to string // the control characters, and how each is shown
}

func (f *flatScreen) text(s []byte) { f.shown = append(f.shown, s...) }
func (f *flatScreen) erase(int)     {}
func (f *flatScreen) control(c rune) {
	if i := strings.IndexRune(f.from, c); i >= 0 {
		f.shown = append(f.shown, f.to[i])
	}
}

// Cleaner is a writer that removes from a text for a terminal what Clean removes, other than line feeds
// and carriage returns. It keeps at most a few bytes between two writes. An unfinished escape sequence
// hides at most its line.
type Cleaner struct {
	w     io.Writer
	clean flatScreen // what the current Write shows
	decoder
}

// NewCleaner returns a Cleaner that writes to w.
func NewCleaner(w io.Writer) *Cleaner {
	c := &Cleaner{w: w, clean: flatScreen{from: "\t\n\r", to: "\t\n\r"}}
	c.out = &c.clean
	return c
}

// Write writes the cleaned p to the underlying writer at once. A character or an escape sequence that p
// leaves unfinished waits for the next Write or for Flush.
func (c *Cleaner) Write(p []byte) (int, error) {
	c.write(p)
	if err := c.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush ends the text. It writes each byte of an unfinished character as U+FFFD.
func (c *Cleaner) Flush() error {
	c.end()
	return c.flush()
}

// flush writes the cleaned text to the underlying writer.
func (c *Cleaner) flush() error {
	if len(c.clean.shown) == 0 {
		return nil
	}
	_, err := c.w.Write(c.clean.shown)
	c.clean.shown = c.clean.shown[:0]
	return err
}

// screen receives what a terminal would do with a text.
type screen interface {
	text(s []byte)     // show these printable characters, valid UTF-8
	control(c rune)    // obey a control character, U+0000 to U+001F
	erase(columns int) // CSI K: 0 from the cursor to the end of the line, 1 up to the cursor, 2 all of it
}

// decoder reads a text as a terminal does: UTF-8 first, then ECMA-48 control sequences. Unlike a
// terminal, it ends any sequence at a line feed, so that an unfinished one cannot hide the rest of a
// log.
type decoder struct {
	out   screen
	state state
	first rune   // the first parameter of the CSI sequence being read; 0: none yet
	part  []byte // an unfinished character
}

// state is the state of a decoder: what it is in the middle of.
type state int

const (
	ground  state = iota
	escape        // after ESC
	inter         // after ESC and intermediate characters: a final character ends it
	control       // a control sequence: CSI, parameters, intermediates, final character
	str           // the string of OSC, DCS, SOS, PM or APC
	strEsc        // ESC inside such a string: ESC \ ends it
)

const (
	esc = 0x1b
	can = 0x18 // CAN and SUB
	sub = 0x1a // cancel a sequence
	bel = 0x07
	st  = 0x9c // string terminator
)

// write reads p. An unfinished character waits for more bytes.
func (d *decoder) write(p []byte) {
	if len(d.part) > 0 {
		p = append(d.part, p...)
		d.part = nil
	}
	for len(p) > 0 {
		if d.state == ground {
			n := 0
			for n < len(p) && printable(p[n]) {
				n++
			}
			if n > 0 {
				d.out.text(p[:n])
				p = p[n:]
				continue
			}
		}
		if !utf8.FullRune(p) {
			d.part = bytes.Clone(p)
			return
		}
		r, n := utf8.DecodeRune(p)
		d.next(r)
		p = p[n:]
	}
}

// end ends the text: the bytes of an unfinished character are invalid.
func (d *decoder) end() {
	for range d.part {
		d.next(utf8.RuneError)
	}
	d.part, d.state = nil, ground
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
	case strEsc: // ESC ends the string and starts a sequence, which is ST if a backslash follows
		d.state = escape
		d.inEscape(r)
	}
}

// show reads a character outside of any sequence.
func (d *decoder) show(r rune) {
	switch {
	case r < ' ':
		d.out.control(r)
	case r == 0x7f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
	case r >= 0x80 && r <= 0x9f:
		d.introduce(r - 0x40)
	case r == 0xfffe || r == 0xffff: // these are no characters, and not valid in XML or YAML
		d.show(utf8.RuneError)
	default:
		var b [utf8.UTFMax]byte
		d.out.text(b[:utf8.EncodeRune(b[:], r)])
	}
}

// inEscape reads a character after ESC.
func (d *decoder) inEscape(r rune) {
	switch {
	case r < ' ':
		d.out.control(r) // a terminal obeys it and goes on with the sequence
	case r < '0':
		d.state = inter
	case r < 0x7f && d.state == escape:
		d.introduce(r)
	case r <= 0x7f:
		d.state = ground
	default: // this was no sequence
		d.state = ground
		d.show(r)
	}
}

// introduce starts the sequence that ESC r introduces.
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

// inControl reads a character of a control sequence.
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

// eraseMode returns the parameter of CSI K: 0 if it has none.
func eraseMode(first rune) int {
	if first == '1' || first == '2' {
		return int(first - '0')
	}
	return 0
}
