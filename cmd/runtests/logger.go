package main

import (
	"io"
	"strings"

	"github.com/sirupsen/logrus"

	"runtests/pkg/hint"
	"runtests/pkg/plain"
)

// newLogger returns a logger that prints on stderr "runtests: " and a sentence in lower case, without
// a full stop. The remedy, if there is one, follows on a line of its own.
func newLogger(stderr io.Writer) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(stderr)
	log.SetFormatter(formatter{})
	return log
}

// level returns the level that the flags ask for.
func level(quiet, verbose bool) logrus.Level {
	switch {
	case quiet:
		return logrus.ErrorLevel
	case verbose:
		return logrus.DebugLevel
	}
	return logrus.InfoLevel
}

// formatter formats an entry for a person.
type formatter struct{ mask plain.Mask }

// Format implements logrus.Formatter. It keeps newlines, and removes all other control characters.
func (f formatter) Format(entry *logrus.Entry) ([]byte, error) {
	var b strings.Builder
	b.WriteString("runtests: ")
	if entry.Level == logrus.WarnLevel {
		b.WriteString("warning: ")
	}
	b.WriteString(f.mask.Lines(entry.Message))
	b.WriteByte('\n')
	if err, ok := entry.Data[logrus.ErrorKey].(error); ok {
		if remedy := hint.Of(err); remedy != "" {
			b.WriteString("  hint: " + f.mask.Lines(remedy) + "\n")
		}
	}
	return []byte(b.String()), nil
}

// cleanLines cleans each line of s, which holds no secrets, for a terminal.
func cleanLines(s string) string { return plain.Mask{}.Lines(s) }
