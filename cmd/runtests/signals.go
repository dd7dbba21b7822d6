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

// SignalName returns the name of the signal: SIGINT.
func (e *signalError) SignalName() string { return unix.SignalName(e.signal) }

// status returns the exit status that shells give a process that the signal ended.
func (e *signalError) status() int { return 128 + int(e.signal) }

// signalled returns a context that ends at the first SIGINT, SIGTERM or SIGHUP. A second signal calls
// exit at once. SIGPIPE does not end the run, as the write fails anyway; nor does SIGHUP under nohup.
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
