package history

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"

	"runtests/pkg/hint"
	"runtests/pkg/regular"
	"runtests/pkg/report"
)

// The files in a run's folder besides the logs of its steps. Package render writes the reports, by
// Folder.Replace.
const (
	RecordFile = "run.json"
	TextFile   = "report.txt"
	HTMLFile   = "report.html"
	JUnitFile  = "junit.xml"
	lockFile   = "lock" // also in a suite's logs folder: see LockSuite
	workFolder = "work" // MakeWork makes folders named .workNUMBER
)

// LatestLink is the link in a suite's logs folder to the run that was launched last.
const LatestLink = "latest"

// The modes of what a run writes: its owner and group may read it. Others may not, because logs hold
// whatever tests print.
const (
	FolderMode = 0o750
	FileMode   = 0o640
)

// maxSameSecond bounds how many runs can be launched within one second.
const maxSameSecond = 1000

// Folder is the folder of a run that is going on. It is locked until Close, or until the process
// ends in any other way: see Alive.
type Folder struct {
	ID   string
	Path string // absolute

	lock *flock.Flock
	root *os.Root // the folder that Create made, whatever Path names later

	mu    sync.Mutex
	logs  map[string]string // the stem of each step's log, by step
	stems map[string]bool   // the stems in use
}

// Create creates and locks the folder of a run launched now, in the folder logs, which it creates if
// it is missing. It points the link "latest" to the run, so that the latest run is the one going on.
func Create(logs string, now time.Time) (*Folder, error) {
	logs, err := filepath.Abs(logs)
	if err != nil {
		return nil, fmt.Errorf("create the run's folder: %w", err)
	}
	if err := os.MkdirAll(logs, FolderMode); err != nil {
		return nil, fmt.Errorf("create the logs folder: %w", err)
	}
	id, err := createRunFolder(logs, now.Format(report.IDLayout))
	if err != nil {
		return nil, fmt.Errorf("create the run's folder: %w", err)
	}
	f := &Folder{ID: id, Path: filepath.Join(logs, id), logs: map[string]string{}, stems: map[string]bool{}}
	f.lock = newLock(filepath.Join(f.Path, lockFile), os.O_CREATE|os.O_RDONLY)
	if err := f.lock.Lock(); err != nil { // not TryLock: Alive may hold the lock for a moment
		return nil, fmt.Errorf("lock the run's folder: %w", err)
	}
	if f.root, err = os.OpenRoot(f.Path); err != nil {
		return nil, errors.Join(fmt.Errorf("open the run's folder: %w", err), f.lock.Close())
	}
	if err := pointLatest(logs, id); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// createRunFolder creates a folder named after the launch; it appends a number if the name is taken.
func createRunFolder(logs, launched string) (id string, err error) {
	for n := 1; n <= maxSameSecond; n++ {
		id = launched
		if n > 1 {
			id = fmt.Sprintf("%s-%d", launched, n)
		}
		if err = os.Mkdir(filepath.Join(logs, id), FolderMode); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return id, err
}

// pointLatest points the link "latest" to the run id. It leaves anything else of that name alone.
func pointLatest(logs, id string) error {
	link := filepath.Join(logs, LatestLink)
	info, err := os.Lstat(link)
	if err == nil && info.Mode().Type() != fs.ModeSymlink {
		return hint.Errorf("move it away: runtests makes a link of that name to the latest run", "point %s to the run: it is not a link", link)
	}
	if err := renameio.Symlink(id, link); err != nil {
		return fmt.Errorf("point %s to the run: %w", link, err)
	}
	return nil
}

// Close releases the lock: the run has ended.
func (f *Folder) Close() error {
	return errors.Join(f.root.Close(), f.lock.Close())
}

// Save replaces the record of the run, run.json. A reader finds the old or the new record, complete,
// even after a power cut.
func (f *Folder) Save(r *report.Run) error {
	if err := f.Replace(RecordFile, func(w io.Writer) error { return report.Encode(w, r) }); err != nil {
		return err
	}
	if err := f.sync(); err != nil {
		return fmt.Errorf("save %s: %w", RecordFile, err)
	}
	return nil
}

// Replace atomically replaces a file of the folder by what write writes.
func (f *Folder) Replace(name string, write func(io.Writer) error) error {
	return replace(f.root, name, write)
}

// ReplaceFile atomically replaces a file of the folder logs. It follows no link.
func ReplaceFile(logs, name string, data []byte) (err error) {
	root, err := os.OpenRoot(logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return replace(root, name, func(w io.Writer) error { _, err := w.Write(data); return err })
}

func replace(root *os.Root, name string, write func(io.Writer) error) (err error) {
	file, err := renameio.NewPendingFile(name, renameio.WithRoot(root), renameio.WithPermissions(FileMode))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, file.Cleanup()) }()
	out := bufio.NewWriterSize(file, 64<<10) // reports are written word by word
	if err := errors.Join(write(out), out.Flush()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// sync makes the names of the folder's files survive a power cut, as Replace does for their contents.
func (f *Folder) sync() error {
	dir, err := f.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

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

// MakeWork creates a folder for temporary files inside the run's folder and returns its path. The
// caller removes it. Prune removes the one that a killed run left.
func (f *Folder) MakeWork() (string, error) {
	path, err := os.MkdirTemp(f.Path, "."+workFolder)
	if err != nil {
		return "", fmt.Errorf("create a folder for temporary files: %w", err)
	}
	return path, nil
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
	if stem, ok := f.logs[step]; ok {
		return stem
	}
	safe := fileName(step, maxStem-len(f.ID))
	stem := safe
	for n := 2; f.stems[stem]; n++ {
		stem = fmt.Sprintf("%s-%d", safe, n)
	}
	f.logs[step], f.stems[stem] = stem, true
	return stem
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

// Alive reports whether the run of a folder is still going on. It is not if the folder or its lock is
// missing. An error means that the lock cannot be opened, so that is not known.
func Alive(folder string) (bool, error) {
	lock := newLock(filepath.Join(folder, lockFile), os.O_RDONLY|syscall.O_NONBLOCK) // it creates no lock and waits for no pipe
	free, err := lock.TryRLock()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("see whether the run %s is going on: %w", folder, err)
	}
	return !free, lock.Close()
}

// newLock returns an unlocked lock on a file, which it opens without following a link.
func newLock(path string, flags int) *flock.Flock {
	return flock.New(path, flock.SetFlag(flags|syscall.O_NOFOLLOW), flock.SetPermissions(FileMode))
}
