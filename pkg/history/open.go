package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"runtests/pkg/hint"
	"runtests/pkg/regular"
	"runtests/pkg/report"
)

// MaxRecordBytes is the size of the largest run.json that is read: more than a run
// of 10,000 steps with full tails of ordinary lines.
const MaxRecordBytes = 256 << 20

// ErrNoRun is what Open's error wraps when there is no such run.
var ErrNoRun = errors.New("no such run")

// List returns the IDs of the runs in the folder logs, the newest first. A folder
// that does not exist holds none.
func List(logs string) ([]string, error) {
	entries, err := os.ReadDir(logs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the runs: %w", err)
	}
	var ids []string
	for _, entry := range entries {
		if entry.IsDir() && report.ValidID(entry.Name()) {
			ids = append(ids, entry.Name())
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return report.CompareIDs(b, a) })
	return ids, nil
}

// Open reads the record of a run in the folder logs. run is its ID, a unique
// beginning of one, or nothing (or "latest") for the latest; with a slash in it, it is the path of a
// run's folder or of its run.json, wherever that is. The error wraps ErrNoRun when there is no such run.
func Open(logs, run string) (*report.Run, error) {
	if strings.ContainsRune(run, filepath.Separator) {
		return OpenFolder(run)
	}
	ids, err := List(logs)
	if err != nil {
		return nil, err
	}
	id, err := choose(logs, ids, run)
	if err != nil {
		return nil, err
	}
	return OpenFolder(filepath.Join(logs, id))
}

// LastMailed is when a report was last mailed before the run id, as the newest record
// before it that can be read has it; zero when none has been, or it is not known.
func LastMailed(logs, id string) time.Time {
	ids, err := List(logs)
	if err != nil {
		return time.Time{}
	}
	for _, other := range ids {
		if report.CompareIDs(other, id) >= 0 {
			continue
		}
		if run, err := OpenFolder(filepath.Join(logs, other)); err == nil {
			return run.Mailed
		}
	}
	return time.Time{}
}

// choose finds the run that a person means.
func choose(logs string, ids []string, run string) (string, error) {
	if len(ids) == 0 {
		return "", hint.Wrap(fmt.Errorf("find a run in %s: %w", logs, ErrNoRun), "nothing has been run yet: start with runtests run")
	}
	if run == "" || run == LatestLink {
		return latest(logs, ids), nil
	}
	if slices.Contains(ids, run) {
		return run, nil
	}
	matches := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !strings.HasPrefix(id, run) })
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		return "", hint.Wrap(fmt.Errorf("find run %q in %s: %w", run, logs, ErrNoRun), "the latest runs are "+lastOnes(ids))
	}
	return "", hint.Wrap(fmt.Errorf("find run %q in %s: %d runs begin with that: %w", run, logs, len(matches), ErrNoRun),
		"choose one of "+lastOnes(matches))
}

// latest is the run that the link names, or the newest when the link is gone.
func latest(logs string, ids []string) string {
	if target, err := os.Readlink(filepath.Join(logs, LatestLink)); err == nil && slices.Contains(ids, target) {
		return target
	}
	return ids[0]
}

// lastOnes names a few runs for a hint, the newest first.
func lastOnes(ids []string) string {
	const few = 5
	if len(ids) > few {
		return strings.Join(ids[:few], ", ") + ", …"
	}
	return strings.Join(ids, ", ")
}

// OpenFolder reads a run's folder or its record.
func OpenFolder(path string) (*report.Run, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, RecordFile)
	}
	data, err := readRecord(path)
	if err != nil {
		return nil, fmt.Errorf("read the record of the run: %w", err)
	}
	r, err := report.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("read the record of the run %s: %w", path, err)
	}
	if r.Finished.IsZero() {
		r.Running, err = Alive(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// readRecord reads a file that may be anything.
func readRecord(path string) ([]byte, error) {
	data, err := regular.Read(path, MaxRecordBytes)
	if err != nil {
		return nil, noRecord(path, err)
	}
	return data, nil
}

// noRecord says of a record that is not there that there is no such run; any other err stays.
func noRecord(path string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return hint.Wrap(fmt.Errorf("%w: no %s", ErrNoRun, path),
		"the run was cut off before its first record, or this is not a run of runtests")
}
