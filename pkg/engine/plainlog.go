package engine

import (
	"slices"
	"strconv"
	"strings"

	"runtests/pkg/container"
)

// plainLog writes the log of a build, line by line, without the values of secret arguments.
type plainLog struct {
	sink    *sink
	secrets *strings.Replacer
	keep    int // bytes that may be the beginning of a secret
}

const (
	// minSecret is the length of the shortest value that is masked, in bytes: a shorter value
	// occurs in too many other words.
	minSecret = 4
	// minSecretLine is the same for one line of a value with several lines.
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

// formsOf returns the texts that reveal a secret: its value, the quoted value, and its lines.
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

// masked returns the text with its secrets masked.
func (l *plainLog) masked(text string) string { return l.secrets.Replace(text) }

// line writes a line.
func (l *plainLog) line(text string) { l.sink.write([]byte(l.masked(text) + "\n")) }

// maxLine is the length at which a line is broken in two, in bytes: a line without an end would
// fill the memory.
const maxLine = 64 << 10

// splitter joins pieces of text to lines.
type splitter struct{ rest []byte }

// add calls each for every complete line. It breaks a line that is too long, but holds back its
// end, which may be the beginning of a secret.
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
		long := log.masked(string(s.rest)) // so that a complete secret is not cut in two
		cut := max(0, len(long)-log.keep)
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
