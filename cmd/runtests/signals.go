package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// A signalError is the cause of a context that a signal ended.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string { return fmt.Sprintf("interrupted by %s", e.SignalName()) }

// SignalName returns the name of the signal, as SIGINT.
func (e *signalError) SignalName() string { return unix.SignalName(e.signal) }

// status is what shells make of a process that the signal ended.
func (e *signalError) status() int { return 128 + int(e.signal) }

// signalled returns a context that the first SIGINT, SIGTERM or SIGHUP ends. The
// second one leaves at once. A reader of our output that goes away (SIGPIPE) is
// an error of the write, not the end of the run; nor is a terminal that does, for
// who has said so with nohup.
func signalled(parent context.Context, exit func(int)) (ctx context.Context, stop func()) {
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancelCause(parent)
	received := make(chan os.Signal, 2)
	signal.Notify(received, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(received, syscall.SIGHUP)
	}
	go func() {
		for s := range received {
			cause := &signalError{s.(syscall.Signal)}
			if ctx.Err() != nil {
				exit(cause.status())
			}
			cancel(cause)
		}
	}()
	return ctx, func() {
		signal.Stop(received)
		cancel(nil)
	}
}
