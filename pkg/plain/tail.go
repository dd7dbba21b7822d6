package plain

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf8"
)

// The bounds of a tail, for a log of any size. With the default of 40 lines a step, a tail never reaches
// MaxTailBytes, so it has all the lines asked for.
const (
	MaxLineBytes = 16 << 10 // bytes of the log; a longer line is cut at its start
	MaxTailBytes = 4 << 20  // bytes of the log; beyond, fewer lines are kept
	MaxTailLines = 100_000
)

// Tail is the end of a log, cleaned (see Clean). Text that a program overwrote with carriage returns,
// backspaces and erased lines, such as a progress bar, is as a terminal would leave it if each
// character were one column wide.
type Tail struct {
	Lines []string `json:"lines,omitempty"`
	// Cut has the number of bytes of the log left out at the start of each line that was too long, by
	// the index in Lines.
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

// LastBytes returns the last lines of t that have at most n bytes together, but at least one line.
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

// ShortLines returns t with each line cut at its start to at most n bytes.
func (t Tail) ShortLines(n int) Tail {
	short := Tail{Lines: slices.Clone(t.Lines), Cut: maps.Clone(t.Cut)}
	for i, line := range t.Lines {
		if len(line) > n {
			short.Lines[i] = wholeCharacters(line[len(line)-n:])
			short.SetCut(i, t.Cut[i]+int64(len(line)-len(short.Lines[i])))
		}
	}
	return short
}

// SetCut records the number of bytes of the log left out at the start of a line.
func (t *Tail) SetCut(line int, bytes int64) {
	if t.Cut == nil {
		t.Cut = map[int]int64{}
	}
	t.Cut[line] = bytes
}

// span is the position of a line in a log, without its line feed.
type span struct{ start, end int64 }

// kept returns the part of the line that a tail keeps.
func (s span) kept() span { return span{max(s.start, s.end-MaxLineBytes), s.end} }

func (s span) size() int64 { return s.end - s.start }

// ReadTail returns the last lines of the log f, which has size bytes. It reads backwards from the end,
// as far as the lines reach. The constants above bound its memory: it never holds a line of 1 GB
// whole. A last line without a line feed counts.
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

// lastSpans returns the last lines of f: at most n, and at most MaxTailBytes of their kept parts.
func lastSpans(f io.ReaderAt, size int64, n int) ([]span, error) {
	if size == 0 || n <= 0 {
		return nil, nil
	}
	log := blocks{f: f, buf: make([]byte, blockSize)}
	end := size
	if block, err := log.before(size); err != nil {
		return nil, err
	} else if block[len(block)-1] == '\n' { // it ends the last line and starts none
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

// blockSize is how many bytes of a log are read at once to find lines.
const blockSize = 64 << 10

// blocks reads a log backwards. It holds the block that was read last.
type blocks struct {
	f    io.ReaderAt
	buf  []byte
	from int64 // where the block starts in the log
	to   int64 // where it ends
}

// before returns some of the bytes before end, at least one if end is not 0.
func (b *blocks) before(end int64) ([]byte, error) {
	if end <= b.from || end > b.to {
		b.from, b.to = max(0, end-int64(len(b.buf))), end
		if err := readFull(b.f, b.buf[:end-b.from], b.from); err != nil {
			return nil, err
		}
	}
	return b.buf[:end-b.from], nil
}

// lineStart returns the start of the line that ends at end.
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

// readFull fills p from f at off. It fails if the log ends before that, because it was shortened.
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

// wholeCharacters returns text without the rest of a character that was cut at its start.
func wholeCharacters[T string | []byte](text T) T {
	i := 0
	for i < min(utf8.UTFMax-1, len(text)) && !utf8.RuneStart(text[i]) {
		i++
	}
	return text[i:]
}

// asShown returns a line of a log as a terminal would leave it.
func asShown(raw []byte) string {
	raw = bytes.TrimRight(raw, "\r")
	if !bytes.ContainsAny(raw, "\r\b") {
		return Clean(string(raw))
	}
	var line cells
	d := decoder{out: &line}
	d.write(raw)
	d.end()
	return string(line.shown)
}

// cells is a screen of one line on which text can overwrite text.
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
		c.blank(c.cursor + 1)
	case 2:
		c.shown = c.shown[:c.cursor]
		c.blank(c.cursor)
	}
}

// blank erases the first columns.
func (c *cells) blank(columns int) {
	for i := range min(columns, len(c.shown)) {
		c.shown[i] = ' '
	}
}
