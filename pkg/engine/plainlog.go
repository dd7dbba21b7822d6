package engine

import (
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/plain"
)

// plainLog writes the log of a build, line by line, without the values of secret arguments.
type plainLog struct {
	sink *sink
	mask plain.Mask
}

func newPlainLog(s *sink, args []container.Variable) *plainLog {
	var secrets []string
	for _, a := range args {
		if a.Secret {
			secrets = append(secrets, a.Value)
		}
	}
	return &plainLog{sink: s, mask: plain.NewMask(secrets)}
}

// line writes a line.
func (l *plainLog) line(text string) { l.sink.write([]byte(l.mask.String(text) + "\n")) }

// maxLine is the length at which a line is broken in two, in bytes: a line without an end would
// fill the memory.
const maxLine = 64 << 10

// splitter joins pieces of text to lines.
type splitter struct{ rest []byte }

// add calls each for every line that is complete. It calls each for a line that is too long, too,
// but keeps the end, which may be the beginning of a secret.
func (s *splitter) add(text string, log *plainLog, each func(line string)) {
	for {
		line, rest, ok := strings.Cut(text, "\n")
		s.rest = append(s.rest, line...)
		if !ok {
			break
		}
		each(strings.TrimSuffix(string(s.rest), "\r"))
		s.rest, text = s.rest[:0], rest
	}
	if len(s.rest) > maxLine+log.mask.Longest() {
		long := string(s.rest)
		cut := log.mask.Cut(long)
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

// saysFull reports whether a line says that a disk is full.
func saysFull(line string) bool { return containsFold(line, "no space left on device") }
