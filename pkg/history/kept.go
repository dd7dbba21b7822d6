package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"runtests/pkg/regular"
)

// keptFolder is the folder in a suite's logs folder that holds a file for each container that a run
// kept, ID.json. It outlives the folders of the runs: a container that passed is kept for as long
// as no other one passes.
const keptFolder = "kept"

// maxKeptFile is the size in bytes of the largest such file that is read.
const maxKeptFile = 16 << 10

// Kept is what a run noted of a container that it kept, after the container had ended. Another
// container may have the labels and the name of this one; none has its ID.
type Kept struct {
	ID         string    `json:"id"`   // on the engine, whole
	Name       string    `json:"name"` // under which it is kept
	Run        string    `json:"run"`  // the run's ID
	Suite      string    `json:"suite"`
	Step       string    `json:"step"`
	Machine    string    `json:"machine"`
	ImageID    string    `json:"image_id"`    // that it was created from
	ExitStatus int       `json:"exit_status"` // by the engine
	Finished   time.Time `json:"finished"`    // by the engine's clock
}

var containerID = regexp.MustCompile(`^[0-9a-f]{12,128}$`)

// keptFile returns the name of the file of a container in keptFolder.
func keptFile(id string) (string, error) {
	if !containerID.MatchString(id) {
		return "", fmt.Errorf("%q is not the ID of a container", id)
	}
	return id + ".json", nil
}

// NoteKept notes a container in the folder logs.
func NoteKept(logs string, k Kept) error {
	if err := noteKept(logs, k); err != nil {
		return fmt.Errorf("note the container to keep: %w", err)
	}
	return nil
}

func noteKept(logs string, k Kept) (err error) {
	name, err := keptFile(k.ID)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if err := root.Mkdir(keptFolder, FolderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	folder, err := root.OpenRoot(keptFolder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	return replace(folder, name, func(w io.Writer) error { _, err := w.Write(append(data, '\n')); return err })
}

// ReadKept returns what a run noted in the folder logs of the container with that ID; ok is false if
// no run did.
func ReadKept(logs, id string) (k Kept, ok bool, err error) {
	name, err := keptFile(id)
	if err != nil {
		return k, false, err
	}
	root, err := os.OpenRoot(logs)
	if errors.Is(err, fs.ErrNotExist) {
		return k, false, nil
	}
	if err != nil {
		return k, false, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	data, err := regular.ReadIn(root, filepath.Join(keptFolder, name), maxKeptFile)
	if errors.Is(err, fs.ErrNotExist) {
		return k, false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &k)
	}
	if err == nil && k.ID != id {
		err = errors.New("it is about another container")
	}
	if err != nil {
		return Kept{}, false, fmt.Errorf("read what was noted of the container %.12s in %s: %w", id, filepath.Join(logs, keptFolder), err)
	}
	return k, true, nil
}

// ForgetKept removes what was noted of a container in the folder logs, if it was.
func ForgetKept(logs, id string) (err error) {
	name, err := keptFile(id)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if err := root.Remove(filepath.Join(keptFolder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
