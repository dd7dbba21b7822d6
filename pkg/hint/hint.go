// Package hint attaches a remedy to an error: what a person can do about it. The error's text
// says what failed and on what; the remedy stands beside it, never in it.
package hint

import (
	"errors"
	"fmt"
)

// A hinter is an error that knows its remedy.
type hinter interface{ Hint() string }

// hinted is an error with its remedy.
type hinted struct {
	error
	remedy string
}

func (h *hinted) Unwrap() error { return h.error }

// Hint returns the remedy.
func (h *hinted) Hint() string { return h.remedy }

// Wrap returns err with a remedy beside it. It returns err itself when either is empty.
func Wrap(err error, remedy string) error {
	if err == nil || remedy == "" {
		return err
	}
	return &hinted{error: err, remedy: remedy}
}

// Errorf returns an error as fmt.Errorf makes it, with a remedy beside it.
func Errorf(remedy, format string, args ...any) error {
	return Wrap(fmt.Errorf(format, args...), remedy)
}

// Of returns the remedy of the first error in err's tree that has one, or "".
func Of(err error) string {
	var h hinter
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}
