package hint_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"runtests/pkg/hint"
)

func TestOf(t *testing.T) {
	plain := errors.New("no such file")
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"no error", nil, ""},
		{"an error without a remedy", plain, ""},
		{"an error with one", hint.Wrap(plain, "make it"), "make it"},
		{"an error that wraps one with a remedy", fmt.Errorf("read: %w", hint.Wrap(plain, "make it")), "make it"},
		{"one of several joined", errors.Join(plain, hint.Errorf("make it", "open x")), "make it"},
		{"the outermost remedy wins", hint.Wrap(hint.Wrap(plain, "inner"), "outer"), "outer"},
		{"an empty remedy hides none", hint.Wrap(hint.Wrap(plain, "inner"), ""), "inner"},
	} {
		if got := hint.Of(test.err); got != test.want {
			t.Errorf("%s: the hint is %q, want %q", test.name, got, test.want)
		}
	}
}

func TestWrap(t *testing.T) {
	if err := hint.Wrap(nil, "do something"); err != nil {
		t.Errorf("a remedy for no error makes the error %v", err)
	}
	err := hint.Errorf("make it", "open x: %w", fs.ErrNotExist)
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != "open x: file does not exist" {
		t.Errorf("the error is %q, and is fs.ErrNotExist: %v", err, errors.Is(err, fs.ErrNotExist))
	}
}
