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

// TemporaryAge is the age from which a temporary file outside of a run's folder is left over. Such a
// file exists for less than a millisecond. A lock cannot tell, because a run without a suite file has none.
const TemporaryAge = time.Hour

// alwaysSearched is how many of the newest runs are searched even if they wrote their last report. The
// runs since have searched older ones. So a year of runs need not be read each time.
const alwaysSearched = 5

// removeTemporary removes the temporary files of killed runs from the folder logs, which is open as
// root, and from the folders of the runs ids, the newest first.
func removeTemporary(root *os.Root, logs string, ids []string, now time.Time) error {
	faults := []error{removeOldLinks(root, now)}
	for i, id := range ids {
		if _, err := root.Lstat(filepath.Join(id, JUnitFile)); err == nil && i >= alwaysSearched {
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

// removeOldLinks removes left-over folders in which a new link "latest" was made.
func removeOldLinks(root *os.Root, now time.Time) error {
	return RemoveEntries(root, ".", func(entry fs.DirEntry) bool {
		info, err := entry.Info()
		return temporaryOf(LatestLink, entry.Name()) && err == nil && now.Sub(info.ModTime()) > TemporaryAge
	})
}

// removeReplacements removes the temporary files and the folders of MakeWork from the folder of a run
// that has ended.
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

// temporaryOf reports whether renameio gave a temporary file or folder for name the name found: a dot,
// the name, a number.
func temporaryOf(name, found string) bool {
	number, ok := strings.CutPrefix(found, "."+name)
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// RemoveEntries removes the unwanted entries of a folder below root.
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
