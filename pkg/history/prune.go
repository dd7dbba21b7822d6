package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// emptyAge is after how long a run's folder without anything in it is that of a run which
// was killed before it could lock it.
const emptyAge = time.Hour

// OldRun is a run that Prune would remove.
type OldRun struct {
	ID    string
	Bytes int64 // what is in its folder
}

// Prunable lists the runs in the folder logs that Prune(logs, keep) would remove, the
// newest first. Runs of which nobody can tell whether they go on are not among them.
func Prunable(logs string, keep int) ([]OldRun, error) {
	ids, err := ourRuns(logs)
	if err != nil {
		return nil, err
	}
	var old []OldRun
	for _, id := range beyond(logs, ids, keep) {
		if alive, err := Alive(filepath.Join(logs, id)); err == nil && !alive {
			old = append(old, OldRun{id, folderSize(filepath.Join(logs, id))})
		}
	}
	return old, nil
}

// Prune removes the oldest runs in the folder logs beyond the newest keep, and
// returns the IDs of those removed. It removes folders that are ours alone: named
// as a run and with a record or a lock in them. It leaves the latest run, one that
// is going on, and one of which nobody can tell; a keep below 1 removes nothing. Of
// the others it removes the temporary files of a run that was killed, and the empty
// folder of one that was killed at its very beginning.
func Prune(logs string, keep int) (removed []string, err error) {
	ids, err := ourRuns(logs)
	if err != nil || keep < 1 || len(ids) == 0 {
		return nil, err
	}
	root, err := os.OpenRoot(logs)
	if err != nil {
		return nil, fmt.Errorf("remove old runs: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	faults := []error{removeTemporary(root, logs, ids, time.Now()), removeEmpty(root, logs, time.Now())}
	for _, id := range beyond(logs, ids, keep) {
		alive, err := Alive(filepath.Join(logs, id))
		if err == nil && !alive {
			if err = root.RemoveAll(id); err == nil { // through root: follows no link
				removed = append(removed, id)
			}
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("remove the old run %s: %w", id, err))
		}
	}
	return removed, errors.Join(faults...)
}

// ourRuns are the IDs of the runs whose folders hold what a run's folder holds.
func ourRuns(logs string) ([]string, error) {
	ids, err := List(logs)
	return slices.DeleteFunc(ids, func(id string) bool { return !ours(filepath.Join(logs, id)) }), err
}

// beyond are those of ids, which are the newest first, that come after the newest keep;
// the latest is never one of them.
func beyond(logs string, ids []string, keep int) []string {
	if keep < 1 || keep >= len(ids) {
		return nil
	}
	newest := latest(logs, ids)
	return slices.DeleteFunc(slices.Clone(ids[keep:]), func(id string) bool { return id == newest })
}

// ours says that a folder named as a run holds what a run's folder holds.
func ours(folder string) bool {
	for _, name := range []string{RecordFile, lockFile} {
		if info, err := os.Lstat(filepath.Join(folder, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// removeEmpty removes old folders that are named as runs and hold nothing.
func removeEmpty(root *os.Root, logs string, now time.Time) error {
	ids, err := List(logs)
	if err != nil {
		return err
	}
	var faults []error
	for _, id := range ids {
		info, err := root.Lstat(id)
		if err != nil || !info.IsDir() || now.Sub(info.ModTime()) < emptyAge {
			continue
		}
		entries, err := fs.ReadDir(root.FS(), id)
		if err == nil && len(entries) == 0 {
			faults = append(faults, root.Remove(id)) // which fails if something came into it meanwhile
		}
	}
	return errors.Join(faults...)
}

// folderSize is the size of the files in a folder, in bytes, as far as they can be seen.
func folderSize(folder string) (bytes int64) {
	_ = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}
