// Package hint attaches a remedy to an error: what a person can do about it. The text of the error says
// what failed and on what, and never holds the remedy.
package hint

import (
	"errors"
	"fmt"
)

// hinter is an error with a remedy, which may be of another package's type.
type hinter interface{ Hint() string }

// hinted adds a remedy to an error.
type hinted struct {
	error
	remedy string
}

func (h *hinted) Unwrap() error { return h.error }

// Hint returns the remedy.
func (h *hinted) Hint() string { return h.remedy }

// Wrap returns err with a remedy. It returns err itself if either is empty.
func Wrap(err error, remedy string) error {
	if err == nil || remedy == "" {
		return err
	}
	return &hinted{error: err, remedy: remedy}
}

// Errorf returns an error that is formatted as by fmt.Errorf, with a remedy.
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
