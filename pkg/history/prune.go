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

// emptyAge is the age from which an empty folder is that of a run that was killed before it could lock
// the folder.
const emptyAge = time.Hour

// OldRun is a run that Prune would remove.
type OldRun struct {
	ID    string
	Bytes int64 // the size of the files in its folder
}

// Prunable returns the runs that Prune(logs, keep) would remove, the newest first.
func Prunable(logs string, keep int) ([]OldRun, error) {
	ids, err := List(logs)
	if err != nil {
		return nil, err
	}
	var old []OldRun
	for _, id := range beyond(logs, withRunFiles(logs, ids), keep) {
		if alive, err := Alive(filepath.Join(logs, id)); err == nil && !alive {
			old = append(old, OldRun{id, folderSize(filepath.Join(logs, id))})
		}
	}
	return old, nil
}

// Prune removes all but the newest keep runs in the folder logs and returns the IDs of those removed.
// It removes only folders that are named as a run and hold a record or a lock. It leaves the latest
// run, runs that are going on, and runs of which that is not known; with a keep below 1 it does
// nothing. It also removes what killed runs left: temporary files, and empty folders.
func Prune(logs string, keep int) (removed []string, err error) {
	all, err := List(logs)
	ids := withRunFiles(logs, all)
	if err != nil || keep < 1 || len(ids) == 0 {
		return nil, err
	}
	root, err := os.OpenRoot(logs)
	if err != nil {
		return nil, fmt.Errorf("remove old runs: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	faults := []error{removeTemporary(root, logs, ids, time.Now()), removeEmpty(root, all, time.Now())}
	for _, id := range beyond(logs, ids, keep) {
		alive, err := Alive(filepath.Join(logs, id))
		if err == nil && !alive {
			if err = root.RemoveAll(id); err == nil { // through root, which follows no link out of logs
				removed = append(removed, id)
			}
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("remove the old run %s: %w", id, err))
		}
	}
	return removed, errors.Join(faults...)
}

// withRunFiles returns the ids whose folders have the files of a run.
func withRunFiles(logs string, ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !hasRunFiles(filepath.Join(logs, id)) })
}

// beyond returns the ids after the first keep, without the latest run.
func beyond(logs string, ids []string, keep int) []string {
	if keep < 1 || keep >= len(ids) {
		return nil
	}
	newest := latest(logs, ids)
	return slices.DeleteFunc(slices.Clone(ids[keep:]), func(id string) bool { return id == newest })
}

// hasRunFiles reports whether a folder has a record or a lock, as a run's folder has.
func hasRunFiles(folder string) bool {
	for _, name := range []string{RecordFile, lockFile} {
		if info, err := os.Lstat(filepath.Join(folder, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// removeEmpty removes the folders of ids that are old and empty.
func removeEmpty(root *os.Root, ids []string, now time.Time) error {
	var faults []error
	for _, id := range ids {
		info, err := root.Lstat(id)
		if err != nil || !info.IsDir() || now.Sub(info.ModTime()) < emptyAge {
			continue
		}
		entries, err := fs.ReadDir(root.FS(), id)
		if err == nil && len(entries) == 0 {
			faults = append(faults, root.Remove(id)) // it fails if the folder is no longer empty
		}
	}
	return errors.Join(faults...)
}

// folderSize returns the size in bytes of the files in a folder that can be read.
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
