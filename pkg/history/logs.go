package history

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"runtests/pkg/regular"
)

// LogFile returns the name of a step's log: STEP.ID.log. Characters that do not belong in a file name,
// such as the slash and the colon of an image reference, become underscores. Each step has its own
// name, which stays the same.
func (f *Folder) LogFile(step string) string {
	return f.stem(step) + "." + f.ID + ".log"
}

// AttemptFile returns the name of the log of an attempt at a step that was retried:
// STEP.ID.attempt-1.log. Attempts count from 1.
func (f *Folder) AttemptFile(step string, attempt int) string {
	return fmt.Sprintf("%s.%s.attempt-%d.log", f.stem(step), f.ID, attempt)
}

// TrialFile returns the name of the log of the nth trial of a diagnosis: STEP.ID.trial-1.log. Trials
// count from 1.
func (f *Folder) TrialFile(step string, n int) string {
	return fmt.Sprintf("%s.%s.trial-%d.log", f.stem(step), f.ID, n)
}

// CreateLog creates a file named by LogFile, AttemptFile or TrialFile. It overwrites nothing and
// follows no link.
func (f *Folder) CreateLog(name string) (*os.File, error) {
	if filepath.Base(name) != name || name == "." || name == ".." {
		return nil, fmt.Errorf("create log %q: not a file name", name)
	}
	file, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, FileMode)
	if err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	return file, nil
}

// OpenLog opens a log of the folder for reading. It follows no link and does not wait for a pipe.
func (f *Folder) OpenLog(name string) (*os.File, error) {
	return regular.OpenIn(f.root, name)
}

// RemoveLog removes a file that CreateLog created.
func (f *Folder) RemoveLog(name string) error { return f.root.Remove(name) }

// PutAside renames a step's log to that of the attempt, counted from 1, so that the next attempt can
// use the name.
func (f *Folder) PutAside(step string, attempt int) error {
	if err := f.root.Rename(f.LogFile(step), f.AttemptFile(step, attempt)); err != nil {
		return fmt.Errorf("put the log of attempt %d aside: %w", attempt, err)
	}
	return nil
}

// stem returns what the names of a step's logs begin with.
func (f *Folder) stem(step string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	safe := fileName(step, maxStem-len(f.ID))
	stem := safe
	for n := 2; ; n++ {
		if other, taken := f.stems[stem]; !taken || other == step {
			f.stems[stem] = step
			return stem
		}
		stem = fmt.Sprintf("%s-%d", safe, n)
	}
}

// maxStem bounds the bytes of a step's name and the run's ID in a file name. Linux allows 255 bytes,
// which also hold the suffix of a trial's log and of a part of it, a dot, and a number that tells two
// steps apart.
const maxStem = 255 - len(".trial-1000.log.1000000000") - len(".") - len("-100000")

// fileName returns s as a file name of at most limit bytes.
func fileName(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("@._-+=,", r) {
			return '_'
		}
		return r
	}, s)
	if s == "" || s[0] == '.' || s[0] == '-' { // hidden, or read as an option
		s = "_" + s
	}
	for len(s) > limit {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
