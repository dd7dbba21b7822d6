package main

import (
	"io"
	"strings"

	"github.com/sirupsen/logrus"

	"runtests/pkg/hint"
	"runtests/pkg/plain"
)

// newLogger is the voice of the program on stderr: "runtests: " and a sentence
// in lower case, without a full stop; the remedy, if there is one, on a line of its own.
func newLogger(stderr io.Writer) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(stderr)
	log.SetFormatter(voice{})
	return log
}

func level(quiet, verbose bool) logrus.Level {
	switch {
	case quiet:
		return logrus.ErrorLevel
	case verbose:
		return logrus.DebugLevel
	}
	return logrus.InfoLevel
}

// voice formats an entry for a person.
type voice struct{ mask plain.Mask }

// Format implements logrus.Formatter. No control character gets through but the
// newlines of the sentence itself.
func (v voice) Format(entry *logrus.Entry) ([]byte, error) {
	var b strings.Builder
	b.WriteString("runtests: ")
	if entry.Level == logrus.WarnLevel {
		b.WriteString("warning: ")
	}
	b.WriteString(cleanLines(v.mask.String(entry.Message)))
	b.WriteByte('\n')
	if err, ok := entry.Data[logrus.ErrorKey].(error); ok {
		if remedy := hint.Of(err); remedy != "" {
			b.WriteString("  hint: " + cleanLines(v.mask.String(remedy)) + "\n")
		}
	}
	return []byte(b.String()), nil
}

// cleanLines cleans each line of s for a terminal.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = plain.Clean(lines[i])
	}
	return strings.Join(lines, "\n")
}
