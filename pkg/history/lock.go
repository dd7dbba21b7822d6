package history

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// Holder is who holds the lock of a suite.
type Holder struct {
	PID     int
	Since   time.Time
	Command string
}

// HeldError says that another run of the suite is going on.
type HeldError struct {
	Holder // the zero Holder when it had not yet said who it is

	Waited time.Duration // how long it was waited for; 0: not at all
}

func (e *HeldError) Error() string {
	text := "another run of this suite is going on"
	if e.PID != 0 {
		text = fmt.Sprintf("another run of this suite (pid %d) has been going on since %s",
			e.PID, e.Since.Local().Format(report.TimeLayout))
	}
	if e.Waited > 0 {
		text += ", and was still going on after a wait of " + report.Duration(e.Waited).String()
	}
	return text
}

// Hint tells what to do about it.
func (e *HeldError) Hint() string {
	return "wait until it has ended (--wait), or stop it"
}

// Lock is the lock of a suite: one run at a time. The kernel releases it when the
// process dies. Its file stays: removing it would let two runs hold locks on two files.
type Lock struct {
	lock  *flock.Flock
	file  *os.File
	since time.Time
}

// Since is when the lock was taken.
func (l *Lock) Since() time.Time { return l.since }

// lockPoll is how often WaitSuite looks whether the lock is free.
const lockPoll = 250 * time.Millisecond

// WaitSuite takes the lock of a suite as LockSuite does, and waits for it up to
// bound. Waiting is called once, before it waits. The error is a *HeldError when the
// bound is over, and the cause of ctx when that ends first.
func WaitSuite(ctx context.Context, logs string, holder Holder, bound time.Duration, waiting func(*HeldError)) (*Lock, error) {
	lock, err := LockSuite(logs, holder)
	var held *HeldError
	if bound <= 0 || !errors.As(err, &held) {
		return lock, err
	}
	waiting(held)
	over := time.NewTimer(bound)
	defer over.Stop()
	again := time.NewTicker(lockPoll)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the other run of this suite: %w", context.Cause(ctx))
		case <-over.C:
			held.Waited = bound
			return nil, held
		case holder.Since = <-again.C:
		}
		if lock, err = LockSuite(logs, holder); !errors.As(err, &held) {
			return lock, err
		}
	}
}

// LockSuite takes the lock of the suite whose logs folder is logs, which is made when
// missing. When another run holds it the error is a *HeldError.
func LockSuite(logs string, holder Holder) (*Lock, error) {
	if err := os.MkdirAll(logs, FolderMode); err != nil {
		return nil, fmt.Errorf("make the logs folder: %w", err)
	}
	path := filepath.Join(logs, lockFile)
	lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW), flock.SetPermissions(FileMode))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the suite: %w", err)
	}
	if !ok {
		return nil, &HeldError{Holder: readHolder(path)}
	}
	file, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the suite: %w", err), lock.Close())
	}
	l := &Lock{lock, file, holder.Since}
	if err := l.say(holder); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the suite: %w", err), l.Close())
	}
	return l, nil
}

// say writes who holds the lock, for HeldError and for people.
func (l *Lock) say(h Holder) error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(l.file, "pid: %d\nsince: %s\ncommand: %s\n", h.PID, h.Since.Format(time.RFC3339Nano), plain.Clean(h.Command))
	return err
}

// Close releases the lock.
func (l *Lock) Close() error {
	return errors.Join(l.file.Truncate(0), l.file.Close(), l.lock.Close())
}

// readHolder reads what say wrote, as far as it is there.
func readHolder(path string) Holder {
	var h Holder
	file, err := os.Open(path)
	if err != nil {
		return h
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "pid":
			h.PID, _ = strconv.Atoi(value)
		case "since":
			h.Since, _ = time.Parse(time.RFC3339, value)
		case "command":
			h.Command = value
		}
	}
	return h
}
