package history

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"runtests/pkg/regular"
	"runtests/pkg/report"
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
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, maxSkippedFile)
		for lines.Scan() {
			var s Skipped
			if json.Unmarshal(lines.Bytes(), &s) == nil && !s.Launched.IsZero() {
				list = append(list, s)
			}
		}
		return lines.Err()
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
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", path, regular.ErrNot)
	}
	lock := newLock(path, os.O_RDONLY|syscall.O_NONBLOCK)
	ctx, cancel := context.WithTimeout(context.Background(), skippedBound)
	defer cancel()
	if _, err := lock.TryLockContext(ctx, time.Millisecond); err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if info, err = file.Stat(); err != nil { // again: another process may have changed it
		return err
	}
	return f(file, info.Size())
}

// SkippedNotes returns sentences for the report of the run that took the suite's lock at since: one for
// each run that made others skip.
func SkippedNotes(list []Skipped, since time.Time) []string {
	var notes []string
	for len(list) > 0 {
		held := list[0].Since
		others := slices.IndexFunc(list, func(s Skipped) bool { return !s.Since.Equal(held) })
		if others < 0 {
			others = len(list)
		}
		notes = append(notes, skippedText(list[:others])+": "+holderText(held, since))
		list = list[others:]
	}
	return notes
}

func skippedText(list []Skipped) string {
	first, last := list[0].Launched.Local(), list[len(list)-1].Launched.Local()
	if len(list) == 1 {
		return "the run of " + first.Format(report.TimeLayout) + " was skipped"
	}
	return fmt.Sprintf("%s runs were skipped, the first at %s, the last at %s",
		report.Thousands(int64(len(list))), first.Format(report.TimeLayout), last.Format(report.TimeLayout))
}

// holderText returns which run held the suite's lock since held.
func holderText(held, since time.Time) string {
	switch {
	case held.IsZero():
		return "another run was still going on"
	case held.Equal(since):
		return "this run was still going on"
	}
	return "the run of " + held.Local().Format(report.TimeLayout) + " was still going on"
}
