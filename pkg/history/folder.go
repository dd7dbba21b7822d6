package history

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"

	"runtests/pkg/hint"
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
	stems map[string]string // the step of each stem: see stem
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
	f := &Folder{ID: id, Path: filepath.Join(logs, id), stems: map[string]string{}}
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
	dir, err := f.root.Open(".")
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close()) // Replace does so for the contents of the file, not for its name
	}
	if err != nil {
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
	if err = errors.Join(write(out), out.Flush()); err == nil {
		err = file.CloseAtomicallyReplace()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
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
