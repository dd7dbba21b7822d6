package container

import (
	"errors"
	"fmt"
)

// The faults that callers tell apart with errors.Is. The remedy, if there is one, is found by
// hint.Of.
var (
	ErrNoEngine    = errors.New("no container engine answers")
	ErrGone        = errors.New("the engine went away or does not answer")
	ErrNoImage     = errors.New("no such image")
	ErrNoContainer = errors.New("no such container")
	ErrNameTaken   = errors.New("another container has the name")
	ErrStart       = errors.New("cannot start")
	ErrInterpreter = fmt.Errorf("%w: the interpreter named in the first line of its command is not in the image", ErrStart)
	ErrTruncated   = errors.New("its output is not complete")
	ErrDisagree    = errors.New("the engine contradicts itself")
	ErrOutput      = errors.New("its output could not be written")
	ErrStillThere  = errors.New("it is still there")
	ErrInUse       = errors.New("it is in use")
	ErrNoSpace     = errors.New("the engine's disk is full")
	ErrRefused     = errors.New("the engine refuses it")
)
