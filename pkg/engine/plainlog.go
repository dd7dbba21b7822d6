package engine

import (
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/plain"
)

// plainLog is the log of a build: whole lines without the values of secret arguments.
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

// maxLine is the length at which a line is broken in two, in bytes: one without an end would
// be kept in memory for ever.
const maxLine = 64 << 10

// splitter makes lines of what comes in pieces.
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

// flush calls each for a line that has no end.
func (s *splitter) flush(each func(line string)) {
	if len(s.rest) > 0 {
		each(string(s.rest))
		s.rest = nil
	}
}

// saysFull says that a line tells of a full disk.
func saysFull(line string) bool { return containsFold(line, "no space left on device") }
