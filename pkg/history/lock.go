package history

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"runtests/pkg/plain"
	"runtests/pkg/regular"
	"runtests/pkg/report"
)

// Holder describes the process that holds the lock of a suite.
type Holder struct {
	PID     int
	Since   time.Time
	Command string
}

// HeldError is the error when another run of the suite is going on.
type HeldError struct {
	Holder // zero if the other run has not yet written its own

	Waited time.Duration // how long WaitSuite waited; 0: not at all
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

// Hint returns the remedy.
func (e *HeldError) Hint() string {
	return "wait until it has ended (--wait), or stop it"
}

// Lock is the lock of a suite: one run at a time. The kernel releases it when the process ends. Its
// file stays: if it were removed, two runs could hold locks on two files.
type Lock struct {
	lock  *flock.Flock
	file  *os.File
	since time.Time
}

// Since returns when the lock was taken.
func (l *Lock) Since() time.Time { return l.since }

// lockPoll is how often WaitSuite tries to take the lock.
const lockPoll = 250 * time.Millisecond

// WaitSuite takes the lock of a suite as LockSuite does, but waits for it up to bound. It calls waiting
// once, before it waits. The error is a *HeldError after bound, or the cause of ctx if that ends first.
func WaitSuite(ctx context.Context, logs string, holder Holder, bound time.Duration, waiting func(*HeldError)) (*Lock, error) {
	lock, err := LockSuite(logs, holder)
	var held *HeldError
	if bound <= 0 || !errors.As(err, &held) {
		return lock, err
	}
	waiting(held)
	timeout := time.NewTimer(bound)
	defer timeout.Stop()
	retry := time.NewTicker(lockPoll)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the other run of this suite: %w", context.Cause(ctx))
		case <-timeout.C:
			held.Waited = bound
			return nil, held
		case holder.Since = <-retry.C:
		}
		if lock, err = LockSuite(logs, holder); !errors.As(err, &held) {
			return lock, err
		}
	}
}

// LockSuite takes the lock of the suite whose logs folder is logs, which it creates if it is missing.
// The error is a *HeldError if another run holds the lock.
func LockSuite(logs string, holder Holder) (*Lock, error) {
	if err := os.MkdirAll(logs, FolderMode); err != nil {
		return nil, fmt.Errorf("create the logs folder: %w", err)
	}
	path := filepath.Join(logs, lockFile)
	lock := newLock(path, os.O_CREATE|os.O_RDWR)
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
	if err := l.write(holder); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the suite: %w", err), l.Close())
	}
	return l, nil
}

// write writes the holder into the lock's file, for HeldError and for people.
func (l *Lock) write(h Holder) error {
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

// maxHolderBytes bounds how much of a lock's file is read.
const maxHolderBytes = 64 << 10

// readHolder reads as much of the holder as the lock's file has.
func readHolder(path string) Holder {
	var h Holder
	file, err := regular.OpenNoFollow(path)
	if err != nil {
		return h
	}
	defer file.Close()
	lines := bufio.NewScanner(io.LimitReader(file, maxHolderBytes))
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

// Alive reports whether the run of a folder is still going on. It is not if the folder or its lock is
// missing. An error means that the lock cannot be opened, so that is not known.
func Alive(folder string) (bool, error) {
	lock := newLock(filepath.Join(folder, lockFile), os.O_RDONLY|syscall.O_NONBLOCK) // it creates no lock and waits for no pipe
	free, err := lock.TryRLock()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("see whether the run %s is going on: %w", folder, err)
	}
	return !free, lock.Close()
}

// newLock returns an unlocked lock on a file, which it opens without following a link.
func newLock(path string, flags int) *flock.Flock {
	return flock.New(path, flock.SetFlag(flags|syscall.O_NOFOLLOW), flock.SetPermissions(FileMode))
}
