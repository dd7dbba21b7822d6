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

// MaxRecordBytes is the size of the largest run.json that is read. A run of 10,000 steps with full
// tails of ordinary lines has less.
const MaxRecordBytes = 256 << 20

// ErrNoRun is the error when there is no such run.
var ErrNoRun = errors.New("no such run")

// List returns the IDs of the runs in the folder logs, the newest first: the names of the folders that
// are named as runs. A folder logs that does not exist has none.
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

// listBefore returns the IDs of the runs launched before the run id, or of all if id is empty.
func listBefore(logs, id string) ([]string, error) {
	ids, err := List(logs)
	if id == "" {
		return ids, err
	}
	return slices.DeleteFunc(ids, func(other string) bool { return report.CompareIDs(other, id) >= 0 }), err
}

// Open reads the record of a run in the folder logs. run is the run's ID, the beginning of just one
// ID, or "" or "latest" for the latest run. If run has a slash, it is the path of any run's folder or
// run.json. The error wraps ErrNoRun if there is no such run.
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

// LastMailed returns when a report was last mailed before the run id, according to the newest readable
// record before it; zero if that is not known.
func LastMailed(logs, id string) time.Time {
	ids, _ := listBefore(logs, id)
	for _, other := range ids {
		if run, err := OpenFolder(filepath.Join(logs, other)); err == nil {
			return run.Mailed
		}
	}
	return time.Time{}
}

// choose returns the ID of the run that a person means.
func choose(logs string, ids []string, run string) (string, error) {
	if len(ids) == 0 {
		return "", hint.Errorf("nothing has been run yet: start with runtests run", "find a run in %s: %w", logs, ErrNoRun)
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
		return "", hint.Errorf("the latest runs are "+newestIDs(ids), "find run %q in %s: %w", run, logs, ErrNoRun)
	}
	return "", hint.Errorf("choose one of "+newestIDs(matches), "find run %q in %s: %d runs begin with that: %w", run, logs, len(matches), ErrNoRun)
}

// latest returns the run that the link "latest" names, or the newest if the link is missing.
func latest(logs string, ids []string) string {
	if target, err := os.Readlink(filepath.Join(logs, LatestLink)); err == nil && slices.Contains(ids, target) {
		return target
	}
	return ids[0]
}

// newestIDs lists the first five IDs for a hint.
func newestIDs(ids []string) string {
	const few = 5
	if len(ids) > few {
		return strings.Join(ids[:few], ", ") + ", …"
	}
	return strings.Join(ids, ", ")
}

// OpenFolder reads the record of a run; path is the run's folder or its run.json.
func OpenFolder(path string) (*report.Run, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, RecordFile)
	}
	r, err := readRun(path)
	if err != nil {
		return nil, err
	}
	if r.Finished.IsZero() {
		r.Running, err = Alive(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// readRun reads the record at path.
func readRun(path string) (*report.Run, error) {
	data, err := readRecord(path)
	if err != nil {
		return nil, fmt.Errorf("read the record of the run: %w", err)
	}
	r, err := report.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("read the record of the run %s: %w", path, err)
	}
	return r, nil
}

// readRecord returns the contents of the record at path. The error wraps ErrNoRun if there is none.
func readRecord(path string) ([]byte, error) {
	data, err := regular.Read(path, MaxRecordBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.Errorf("the run was cut off before its first record, or this is not a run of runtests", "%w: no %s", ErrNoRun, path)
	}
	return data, err
}
