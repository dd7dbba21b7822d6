package engine

import (
	"slices"
	"strconv"
	"strings"

	"runtests/pkg/container"
)

// plainLog is the log of a build: whole lines without the values of secret arguments.
type plainLog struct {
	sink    *sink
	secrets *strings.Replacer
	keep    int // bytes that may be the beginning of a secret
}

const (
	// minSecret is the length of the shortest value that is masked, in bytes: a shorter one
	// is part of too much else.
	minSecret = 4
	// minSecretLine is that of a line of a value that has several.
	minSecretLine = 8
)

func newPlainLog(s *sink, args []container.Variable) *plainLog {
	var secrets []string
	for _, a := range args {
		if a.Secret {
			secrets = append(secrets, formsOf(a.Value)...)
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // the longest first
	var pairs []string
	for _, secret := range secrets {
		pairs = append(pairs, secret, "***")
	}
	l := &plainLog{sink: s, secrets: strings.NewReplacer(pairs...)}
	if len(secrets) > 0 {
		l.keep = len(secrets[0]) - 1
	}
	return l
}

// formsOf are the texts by which a secret would be told: itself, as a message quotes it, and
// its lines.
func formsOf(secret string) []string {
	if len(secret) < minSecret {
		return nil
	}
	forms := []string{secret}
	if quoted := strconv.Quote(secret); quoted != `"`+secret+`"` {
		forms = append(forms, quoted[1:len(quoted)-1])
	}
	if strings.Contains(secret, "\n") {
		for line := range strings.Lines(secret) {
			if line = strings.TrimSpace(line); len(line) >= minSecretLine {
				forms = append(forms, line)
			}
		}
	}
	return forms
}

// masked is a text without secrets.
func (l *plainLog) masked(text string) string { return l.secrets.Replace(text) }

// line writes a line.
func (l *plainLog) line(text string) { l.sink.write([]byte(l.masked(text) + "\n")) }

// maxLine is the length at which a line is broken in two, in bytes: one without an end would
// be kept in memory for ever.
const maxLine = 64 << 10

// splitter makes lines of what comes in pieces.
type splitter struct{ rest []byte }

// add calls each for every line that is complete. Of a line that is too long all goes but what
// may be the beginning of a secret.
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
	if len(s.rest) > maxLine+log.keep {
		long := log.masked(string(s.rest)) // a secret that is there as a whole is not cut in two
		cut := max(0, len(long)-log.keep)
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
