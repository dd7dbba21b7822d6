package report

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
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
}

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return "another run of this suite is going on"
	}
	return fmt.Sprintf("another run of this suite (pid %d) has been going on since %s",
		e.PID, e.Since.Local().Format(timeLayout))
}

// Hint tells what to do about it.
func (e *HeldError) Hint() string {
	return "wait until it has ended, or stop it"
}

// Lock is the lock of a suite: one run at a time. The kernel releases it when the
// process dies. Its file stays: removing it would let two runs hold locks on two files.
type Lock struct {
	lock *flock.Flock
	file *os.File
}

// LockSuite takes the lock of the suite whose logs folder is logs, which is made when
// missing. When another run holds it the error is a *HeldError.
func LockSuite(logs string, holder Holder) (*Lock, error) {
	if err := os.MkdirAll(logs, folderMode); err != nil {
		return nil, fmt.Errorf("make the logs folder: %w", err)
	}
	path := filepath.Join(logs, lockFile)
	lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW), flock.SetPermissions(fileMode))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the suite: %w", err)
	}
	if !ok {
		return nil, &HeldError{readHolder(path)}
	}
	file, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the suite: %w", err), lock.Close())
	}
	l := &Lock{lock, file}
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
	_, err := fmt.Fprintf(l.file, "pid: %d\nsince: %s\ncommand: %s\n", h.PID, h.Since.Format(time.RFC3339), Clean(h.Command))
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
