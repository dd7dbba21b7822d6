package history

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"runtests/pkg/regular"
)

// skippedFile is the file in a suite's logs folder that lists runs that did not take place, until a
// report mentions them. Each has a line of JSON.
const skippedFile = "skipped"

// maxSkippedFile bounds that file in bytes: it has room for a run each minute of half a day.
const maxSkippedFile = 64 << 10

// skippedBound is how long to wait for the lock on that file. A process holds it for a few small reads
// and writes.
const skippedBound = 5 * time.Second

// Skipped is a run that did not take place because another run held the suite's lock.
type Skipped struct {
	Launched time.Time `json:"launched"`
	Since    time.Time `json:"since,omitzero"` // when the other run took the lock; zero: not known
}

// RecordSkipped records a skipped run in the folder logs. Any number of processes may call it at once,
// without the suite's lock.
func RecordSkipped(logs string, s Skipped) error {
	line, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("record a skipped run: %w", err)
	}
	err = withSkipped(logs, os.O_RDWR|os.O_APPEND|os.O_CREATE, func(file *os.File, size int64) error {
		if size+int64(len(line)) >= maxSkippedFile {
			return fmt.Errorf("%s is full: the %d bytes in it wait for a report", file.Name(), size)
		}
		if _, err := file.Write(append(line, '\n')); err != nil {
			return err
		}
		return file.Sync()
	})
	if err != nil {
		return fmt.Errorf("record a skipped run: %w", err)
	}
	return nil
}

// ListSkipped returns the recorded runs in the folder logs, the oldest record first, and the size of
// their lines in bytes. It ignores lines that RecordSkipped did not write.
func ListSkipped(logs string) (list []Skipped, size int64, err error) {
	err = withSkipped(logs, os.O_RDONLY, func(file *os.File, _ int64) error {
		data, err := io.ReadAll(io.LimitReader(file, maxSkippedFile))
		if err != nil {
			return err
		}
		size = int64(len(data))
		for line := range bytes.Lines(data) {
			var s Skipped
			if json.Unmarshal(line, &s) == nil && !s.Launched.IsZero() {
				list = append(list, s)
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, nil
	case err != nil:
		return nil, 0, fmt.Errorf("list skipped runs: %w", err)
	}
	return list, size, nil
}

// ForgetSkipped removes the first size bytes, which are the runs that ListSkipped returned: a report
// has mentioned them. It keeps the runs recorded since.
func ForgetSkipped(logs string, size int64) error {
	if size == 0 {
		return nil
	}
	err := withSkipped(logs, os.O_RDWR, func(file *os.File, now int64) error {
		rest, err := io.ReadAll(io.NewSectionReader(file, size, now-size))
		if err != nil {
			return err
		}
		if _, err := file.WriteAt(rest, 0); err != nil {
			return err
		}
		return errors.Join(file.Truncate(int64(len(rest))), file.Sync())
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget skipped runs: %w", err)
	}
	return nil
}

// withSkipped calls f with the file, open and locked, and its size. It follows no link.
func withSkipped(logs string, flag int, f func(file *os.File, size int64) error) (err error) {
	path := filepath.Join(logs, skippedFile)
	file, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, FileMode) // NONBLOCK: do not wait for a pipe
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	lock := newLock(path, os.O_RDONLY|syscall.O_NONBLOCK)
	ctx, cancel := context.WithTimeout(context.Background(), skippedBound)
	defer cancel()
	if _, err := lock.TryLockContext(ctx, time.Millisecond); err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	info, err := file.Stat() // now that no other process changes it
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", path, regular.ErrNot)
	}
	return f(file, info.Size())
}
