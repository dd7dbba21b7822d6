package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// temporaryAge is after how long what was to replace the link "latest" is nobody's any
// more: it is there for less than a millisecond. A run without a suite file holds no
// lock that would tell.
const TemporaryAge = time.Hour

// lookedThrough is how many runs, the newest first, are looked through for what they
// left though they wrote the last of their reports: what they may have left later, the
// runs after them have removed. It spares a year of runs the reading of each folder.
const lookedThrough = 5

// removeTemporary removes what runs that were killed while they replaced a file have
// left in the folder logs, which is open as root, and in the folders of the runs ids,
// the newest first.
func removeTemporary(root *os.Root, logs string, ids []string, now time.Time) error {
	faults := []error{removeOldLinks(root, now)}
	for i, id := range ids {
		if _, err := root.Lstat(filepath.Join(id, JUnitFile)); err == nil && i >= lookedThrough {
			continue
		}
		alive, err := Alive(filepath.Join(logs, id))
		if err == nil && !alive {
			err = removeReplacements(root, id)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// removeOldLinks removes the folders in which a new link "latest" was made.
func removeOldLinks(root *os.Root, now time.Time) error {
	return RemoveEntries(root, ".", func(entry fs.DirEntry) bool {
		info, err := entry.Info()
		return temporaryOf(LatestLink, entry.Name()) && err == nil && now.Sub(info.ModTime()) > TemporaryAge
	})
}

// removeReplacements removes, from the folder of a run that is over, the files that
// were to replace others, and the folders that it worked in.
func removeReplacements(root *os.Root, id string) error {
	return RemoveEntries(root, id, func(entry fs.DirEntry) bool {
		if entry.IsDir() && temporaryOf(workFolder, entry.Name()) {
			return true
		}
		for _, name := range []string{RecordFile, TextFile, HTMLFile, JUnitFile} {
			if entry.Type().IsRegular() && temporaryOf(name, entry.Name()) {
				return true
			}
		}
		return false
	})
}

// temporaryOf says that found is what renameio calls a file, or a folder, that is to
// replace the one called name: a dot, the name, a number.
func temporaryOf(name, found string) bool {
	number, ok := strings.CutPrefix(found, "."+name)
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// removeEntries removes what is unwanted in a folder below root.
func RemoveEntries(root *os.Root, folder string, unwanted func(fs.DirEntry) bool) error {
	entries, err := fs.ReadDir(root.FS(), folder)
	if err != nil {
		return fmt.Errorf("look for temporary files: %w", err)
	}
	var faults []error
	for _, entry := range entries {
		if unwanted(entry) {
			faults = append(faults, root.RemoveAll(filepath.Join(folder, entry.Name())))
		}
	}
	return errors.Join(faults...)
}
