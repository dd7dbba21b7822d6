package buildlog

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"runtests/pkg/plain"
)

// plainLog writes lines, without the secrets. After an error it discards everything.
type plainLog struct {
	w       *bufio.Writer // keeps its first error
	secrets plain.Mask
}

func newPlainLog(w io.Writer, secrets plain.Mask) *plainLog {
	return &plainLog{bufio.NewWriter(w), secrets}
}

// line writes a line at once.
func (l *plainLog) line(text string) {
	fmt.Fprintln(l.w, l.secrets.String(text))
	l.w.Flush()
}

// maxLine is the length at which a line is broken in two, in bytes: a line without an end would
// fill the memory.
const maxLine = 64 << 10

// splitter joins pieces of text to lines.
type splitter struct{ rest []byte }

// add calls each for every line that is complete. It calls each for a line that is too long, too,
// but keeps the end, which may be the beginning of a secret.
func (s *splitter) add(text string, secrets plain.Mask, each func(line string)) {
	for {
		line, rest, ok := strings.Cut(text, "\n")
		s.rest = append(s.rest, line...)
		if !ok {
			break
		}
		each(strings.TrimSuffix(string(s.rest), "\r"))
		s.rest, text = s.rest[:0], rest
	}
	if len(s.rest) > maxLine+secrets.Longest() {
		long := string(s.rest)
		cut := secrets.Cut(long)
		each(long[:cut])
		s.rest = append(s.rest[:0], long[cut:]...)
	}
}

// flush calls each for the rest, if there is any.
func (s *splitter) flush(each func(line string)) {
	if len(s.rest) > 0 {
		each(string(s.rest))
		s.rest = nil
	}
}
