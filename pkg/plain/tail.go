package plain

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// What is kept of a log at most, whatever its size. With the default of 40 lines
// per step MaxTailBytes is never reached: the tail is all the lines asked for.
const (
	MaxLineBytes = 16 << 10 // bytes of the log; a longer line is cut at its start
	MaxTailBytes = 4 << 20  // bytes of the log; beyond, fewer lines are kept
	MaxTailLines = 100_000
)

// Tail is the end of a log, cleaned for a reader (see Clean). What a program drew
// over with carriage returns, backspaces and erased lines, such as a progress bar,
// is as a terminal would have left it, if each character is one column wide.
type Tail struct {
	Lines []string `json:"lines,omitempty"`
	// Cut has, for each of the Lines that is too long to keep, its index and
	// the number of bytes of the log left out at its start.
	Cut map[int]int64 `json:"cut,omitempty"`
}

// Last returns the last n lines of t.
func (t Tail) Last(n int) Tail {
	skip := len(t.Lines) - max(n, 0)
	switch {
	case skip <= 0:
		return t
	case skip == len(t.Lines):
		return Tail{}
	}
	short := Tail{Lines: t.Lines[skip:]}
	for i, bytes := range t.Cut {
		if i >= skip {
			short.SetCut(i-skip, bytes)
		}
	}
	return short
}

// LastBytes returns the last lines of t that have at most n bytes together, at least one of them.
func (t Tail) LastBytes(n int) Tail {
	lines := 0
	for i := len(t.Lines) - 1; i >= 0; i-- {
		if n -= len(t.Lines[i]) + 1; n < 0 && lines > 0 {
			break
		}
		lines++
	}
	return t.Last(lines)
}

// SetCut notes that so many bytes of the log are left out at the start of a line.
func (t *Tail) SetCut(line int, bytes int64) {
	if t.Cut == nil {
		t.Cut = map[int]int64{}
	}
	t.Cut[line] = bytes
}

// span is where a line is in a log, without its line feed.
type span struct{ start, end int64 }

// kept is the part of the line that is kept.
func (s span) kept() span { return span{max(s.start, s.end-MaxLineBytes), s.end} }

func (s span) size() int64 { return s.end - s.start }

// ReadTail returns the last lines of the log f, which is size bytes long. It
// reads from the end, and as far back as the lines reach. Its memory is bounded
// by the constants above: a line of 1 GB is read whole, but never held whole. A
// last line without a line feed is a line.
func ReadTail(f io.ReaderAt, size int64, lines int) (Tail, error) {
	spans, err := lastSpans(f, size, min(lines, MaxTailLines))
	if err != nil {
		return Tail{}, fmt.Errorf("read the end of the log: %w", err)
	}
	var tail Tail
	buf := make([]byte, MaxLineBytes)
	for i, s := range spans {
		raw := buf[:s.kept().size()]
		if err := readFull(f, raw, s.kept().start); err != nil {
			return Tail{}, fmt.Errorf("read the end of the log: %w", err)
		}
		if s.kept() != s {
			raw = wholeCharacters(raw)
			tail.SetCut(i, s.size()-int64(len(raw)))
		}
		tail.Lines = append(tail.Lines, asShown(raw))
	}
	return tail, nil
}

// lastSpans finds the last lines of f, at most n, and not more than MaxTailBytes of what is kept of them.
func lastSpans(f io.ReaderAt, size int64, n int) ([]span, error) {
	if size == 0 || n <= 0 {
		return nil, nil
	}
	log := blocks{f: f, buf: make([]byte, blockSize)}
	end := size
	if block, err := log.before(size); err != nil {
		return nil, err
	} else if block[len(block)-1] == '\n' { // it ends the last line, and begins none
		end--
	}
	var spans []span
	for held := int64(0); len(spans) < n; end-- {
		start, err := log.lineStart(end)
		if err != nil {
			return nil, err
		}
		line := span{start, end}
		if held += line.kept().size() + 1; held > MaxTailBytes {
			break
		}
		spans = append(spans, line)
		if end = start; end == 0 {
			break
		}
	}
	slices.Reverse(spans)
	return spans, nil
}

// blockSize is how much of a log is read at once when looking for lines.
const blockSize = 64 << 10

// blocks reads a log backwards; it holds the block read last.
type blocks struct {
	f    io.ReaderAt
	buf  []byte
	from int64 // where the block held begins
	to   int64 // and ends
}

// before returns some of the bytes that end at end: at least one if end is not 0.
func (b *blocks) before(end int64) ([]byte, error) {
	if end <= b.from || end > b.to {
		b.from, b.to = max(0, end-int64(len(b.buf))), end
		if err := readFull(b.f, b.buf[:end-b.from], b.from); err != nil {
			return nil, err
		}
	}
	return b.buf[:end-b.from], nil
}

// lineStart returns where the line that ends at end begins.
func (b *blocks) lineStart(end int64) (int64, error) {
	for end > 0 {
		block, err := b.before(end)
		if err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(block, '\n'); i >= 0 {
			return b.from + int64(i) + 1, nil
		}
		end = b.from
	}
	return 0, nil
}

// readFull fills p from f at off. A log that ends before is an error: it was shortened under the reader.
func readFull(f io.ReaderAt, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// wholeCharacters leaves out the rest of a character at the start of raw, whose first bytes were cut off.
func wholeCharacters(raw []byte) []byte {
	i := 0
	for i < min(utf8.UTFMax-1, len(raw)) && !utf8.RuneStart(raw[i]) {
		i++
	}
	return raw[i:]
}

// asShown is a line of a log as a terminal would have left it.
func asShown(raw []byte) string {
	raw = bytes.TrimRight(raw, "\r")
	if bytes.IndexByte(raw, '\r') < 0 && bytes.IndexByte(raw, '\b') < 0 {
		return Clean(string(raw))
	}
	var line cells
	d := decoder{out: &line}
	d.write(raw)
	d.end()
	return string(line.shown)
}

// cells is the screen of one line on which text may be drawn over text.
type cells struct {
	shown  []rune
	cursor int
}

func (c *cells) text(s []byte) {
	for _, r := range string(s) {
		c.put(r)
	}
}

func (c *cells) put(r rune) {
	if c.cursor < len(c.shown) {
		c.shown[c.cursor] = r
	} else {
		c.shown = append(c.shown, r)
	}
	c.cursor++
}

func (c *cells) control(r rune) {
	switch r {
	case '\r':
		c.cursor = 0
	case '\b':
		c.cursor = max(c.cursor-1, 0)
	case '\t':
		c.put('\t')
	case '\n', '\v', '\f':
		c.put(' ')
	}
}

func (c *cells) erase(mode int) {
	switch mode {
	case 0:
		c.shown = c.shown[:c.cursor]
	case 1:
		blank(c.shown[:min(c.cursor+1, len(c.shown))])
	case 2:
		c.shown = c.shown[:c.cursor]
		blank(c.shown)
	}
}

func blank(line []rune) {
	for i := range line {
		line[i] = ' '
	}
}
