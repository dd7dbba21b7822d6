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

// The files of a run's folder beside the logs of its steps. The reports are not written here: whoever
// renders them calls Replace.
const (
	RecordFile = "run.json"
	TextFile   = "report.txt"
	HTMLFile   = "report.html"
	JUnitFile  = "junit.xml"
	lockFile   = "lock" // in a suite's logs folder too: see LockSuite
	workFolder = "work" // the folders of MakeWork are .workNUMBER
)

// latestLink is the link in a suite's logs folder to the run launched last.
const LatestLink = "latest"

// Who may read what a run writes: its owner and its group. Logs hold what tests print.
const (
	FolderMode = 0o750
	FileMode   = 0o640
)

// maxSameSecond bounds how many runs may be launched within one second.
const maxSameSecond = 1000

// Folder is the folder of a run that is going on. It is locked until Close, or
// until the process dies, however it dies: see Alive.
type Folder struct {
	ID   string
	Path string // absolute

	lock *flock.Flock
	root *os.Root // what is written goes through it: the folder that was made, whatever its path names later

	mu    sync.Mutex
	logs  map[string]string // by step: the stem of its log's name
	stems map[string]bool   // those in use
}

// Create makes the folder of a run launched now in the folder logs, which is made
// when missing, locks it, and lets the link "latest" point to it, so that the
// latest run is the one that is going on.
func Create(logs string, now time.Time) (*Folder, error) {
	logs, err := filepath.Abs(logs)
	if err != nil {
		return nil, fmt.Errorf("make a run's folder: %w", err)
	}
	if err := os.MkdirAll(logs, FolderMode); err != nil {
		return nil, fmt.Errorf("make the logs folder: %w", err)
	}
	id, err := makeRunFolder(logs, now.Format(report.IDLayout))
	if err != nil {
		return nil, fmt.Errorf("make a run's folder: %w", err)
	}
	f := &Folder{ID: id, Path: filepath.Join(logs, id), logs: map[string]string{}, stems: map[string]bool{}}
	f.lock = flock.New(filepath.Join(f.Path, lockFile),
		flock.SetFlag(os.O_CREATE|os.O_RDONLY|syscall.O_NOFOLLOW), flock.SetPermissions(FileMode))
	if err := f.lock.Lock(); err != nil { // not TryLock: Alive may be looking
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

// makeRunFolder makes the folder named after the time, or the first free one after it.
func makeRunFolder(logs, launched string) (id string, err error) {
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

// pointLatest lets the link "latest" point to the run id. Something else of that name is left alone.
func pointLatest(logs, id string) error {
	link := filepath.Join(logs, LatestLink)
	info, err := os.Lstat(link)
	if err == nil && info.Mode().Type() != fs.ModeSymlink {
		return hint.Wrap(fmt.Errorf("point %s to the run: it is not a link", link),
			"move it away: runtests keeps a link of that name to the latest run")
	}
	if err := renameio.Symlink(id, link); err != nil {
		return fmt.Errorf("point %s to the run: %w", link, err)
	}
	return nil
}

// Close releases the lock: the run is over.
func (f *Folder) Close() error {
	return errors.Join(f.root.Close(), f.lock.Close())
}

// Save replaces the record of the run, run.json: whoever reads it finds the old one
// or the new one, whole, even after a power cut.
func (f *Folder) Save(r *report.Run) error {
	if err := f.Replace(RecordFile, func(w io.Writer) error { return report.Encode(w, r) }); err != nil {
		return err
	}
	if err := f.sync(); err != nil {
		return fmt.Errorf("save %s: %w", RecordFile, err)
	}
	return nil
}

// Replace replaces a file of the folder atomically by what write writes.
func (f *Folder) Replace(name string, write func(io.Writer) error) (err error) {
	file, err := renameio.NewPendingFile(name, renameio.WithRoot(f.root), renameio.WithPermissions(FileMode))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, file.Cleanup()) }()
	out := bufio.NewWriterSize(file, 64<<10) // renderings write word by word
	if err := errors.Join(write(out), out.Flush()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// sync makes the names of the folder's files survive a power cut, as replace does for their contents.
func (f *Folder) sync() error {
	dir, err := f.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// LogFile names the log of a step: STEP.ID.log. What a file name should not hold, as
// the slash and the colon of an image reference, becomes an underscore; two steps
// have two names, and a step always the same.
func (f *Folder) LogFile(step string) string {
	return f.stem(step) + "." + f.ID + ".log"
}

// AttemptFile names the log of an attempt at a step, counted from 1, that a later
// attempt follows: STEP.ID.attempt-1.log.
func (f *Folder) AttemptFile(step string, attempt int) string {
	return fmt.Sprintf("%s.%s.attempt-%d.log", f.stem(step), f.ID, attempt)
}

// TrialFile names the log of the nth trial that was made to find the cause of a step's
// failure, counted from 1: STEP.ID.trial-1.log.
func (f *Folder) TrialFile(step string, n int) string {
	return fmt.Sprintf("%s.%s.trial-%d.log", f.stem(step), f.ID, n)
}

// MakeWork makes a folder in the run's for files that are needed for a moment, and returns
// its path. Who made it removes it; that of a run that was killed is removed with its
// other temporary files (Prune).
func (f *Folder) MakeWork() (string, error) {
	path, err := os.MkdirTemp(f.Path, "."+workFolder)
	if err != nil {
		return "", fmt.Errorf("make a folder to work in: %w", err)
	}
	return path, nil
}

// CreateLog makes a file named by LogFile, AttemptFile or TrialFile. It must not exist: nothing
// is overwritten, and no link is followed.
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

// OpenLog opens a log of the folder for reading. It follows no link, and a pipe does not hang it.
func (f *Folder) OpenLog(name string) (*os.File, error) {
	return regular.OpenIn(f.root, name)
}

// RemoveLog removes a file that CreateLog made.
func (f *Folder) RemoveLog(name string) error { return f.root.Remove(name) }

// PutAside gives the log of an attempt at a step, counted from 1, its own name, so
// that the next attempt can have the step's.
func (f *Folder) PutAside(step string, attempt int) error {
	if err := f.root.Rename(f.LogFile(step), f.AttemptFile(step, attempt)); err != nil {
		return fmt.Errorf("put the log of attempt %d aside: %w", attempt, err)
	}
	return nil
}

// stem is what the names of a step's logs begin with.
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

// maxStem is what a name of 255 bytes, the most that Linux allows, has left for a step
// and the run's ID beside the suffix of a trial's log and of a part of it, a dot and a number
// that sets two steps apart.
const maxStem = 255 - len(".trial-1000.log.1000000000") - len(".") - len("-100000")

// fileName makes a file name of at most limit bytes of any text.
func fileName(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("@._-+=,", r) {
			return '_'
		}
		return r
	}, s)
	if s == "" || s[0] == '.' || s[0] == '-' { // hidden, or taken for an option
		s = "_" + s
	}
	for len(s) > limit {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// Alive says whether the run of a folder is still going on. One whose folder, or
// whose lock, is gone is not. When the lock may not be opened it is an error: nobody knows.
func Alive(folder string) (bool, error) {
	lock := flock.New(filepath.Join(folder, lockFile),
		flock.SetFlag(os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK)) // never made by looking; a pipe of that name does not hang
	free, err := lock.TryRLock()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("see whether the run %s is going on: %w", folder, err)
	}
	return !free, lock.Close()
}

// ReplaceFile replaces a file of the folder logs atomically. It follows no link.
func ReplaceFile(logs, name string, data []byte) error {
	root, err := os.OpenRoot(logs)
	if err != nil {
		return err
	}
	file, err := renameio.NewPendingFile(name, renameio.WithRoot(root), renameio.WithPermissions(FileMode))
	if err != nil {
		return errors.Join(err, root.Close())
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.CloseAtomicallyReplace()
	}
	return errors.Join(err, file.Cleanup(), root.Close())
}
