package inventory

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/google/renameio/v2"

	"runtests/pkg/history"
	"runtests/pkg/regular"
	"runtests/pkg/report"
)

// folder is the folder of the inventories in a suite's logs folder.
const folder = "images"

// Version is the version of an inventory's file. It grows when an older program could not read the
// file.
const Version = 1

// maxBytes is the size of the largest file of an inventory that is read: more than 100,000
// packages need.
const maxBytes = 32 << 20

// Inventory is what is installed in an image. It is kept by the image's ID, so it is taken once
// whatever the image is called.
type Inventory struct {
	Version  int              `json:"version"`
	ImageID  string           `json:"image_id"` // sha256:HEX
	Taken    time.Time        `json:"taken"`
	Packages []report.Package `json:"packages"` // sorted; a package that is installed twice is there twice
	// Failed has the reason for each package manager of the image that gave no list.
	Failed map[string]string `json:"failed,omitempty"`
}

// imageID matches an image's ID, with or without the name of its hash.
var imageID = regexp.MustCompile(`^(?:sha256:)?([0-9a-f]{64})$`)

// fileOf returns the name of the file of an image's inventory.
func fileOf(id string) (string, error) {
	match := imageID.FindStringSubmatch(id)
	if match == nil {
		return "", fmt.Errorf("%q is not the ID of an image", id)
	}
	return match[1] + ".json", nil
}

// Save writes an inventory to the folder images of the folder logs, in place of an earlier one of
// the same image.
func Save(logs string, inventory Inventory) error {
	if err := save(logs, inventory); err != nil {
		return fmt.Errorf("save the inventory of the image %s: %w", inventory.ImageID, err)
	}
	return nil
}

func save(logs string, inventory Inventory) (err error) {
	name, err := fileOf(inventory.ImageID)
	if err != nil {
		return err
	}
	inventory.Version = Version
	data, err := json.MarshalIndent(inventory, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(logs, folder), history.FolderMode); err != nil {
		return err
	}
	root, err := openFolder(logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	file, err := renameio.NewPendingFile(name, renameio.WithRoot(root), renameio.WithPermissions(history.FileMode))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Cleanup()) }()
	if _, err := file.Write(append(report.EscapeJSON(data), '\n')); err != nil {
		return err
	}
	return file.CloseAtomicallyReplace()
}

// openFolder opens the folder of the inventories, which must be in the folder logs
// itself: a link is not followed out of it.
func openFolder(logs string) (_ *os.Root, err error) {
	root, err := os.OpenRoot(logs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return root.OpenRoot(folder)
}

// Load returns the saved inventory of an image. The error wraps fs.ErrNotExist if there is none.
func Load(logs, id string) (Inventory, error) {
	inventory, err := load(logs, id)
	if err != nil {
		return Inventory{}, fmt.Errorf("read the inventory of the image %s: %w", id, err)
	}
	return inventory, nil
}

func load(logs, id string) (Inventory, error) {
	var inventory Inventory
	name, err := fileOf(id)
	if err != nil {
		return inventory, err
	}
	data, err := read(logs, name)
	if err != nil {
		return inventory, err
	}
	if err := json.Unmarshal(data, &inventory); err != nil {
		return inventory, fmt.Errorf("%s: %w", name, err)
	}
	found, err := fileOf(inventory.ImageID)
	switch {
	case inventory.Version != Version:
		return inventory, fmt.Errorf("%s: its version is %d; this program reads %d", name, inventory.Version, Version)
	case err != nil || found != name:
		return inventory, fmt.Errorf("%s: it is the inventory of another image, %q", name, inventory.ImageID)
	}
	return inventory, nil
}

// read reads a file that may be anything.
func read(logs, name string) (data []byte, err error) {
	root, err := openFolder(logs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	data, err = regular.ReadIn(root, name, maxBytes)
	return bytes.TrimSpace(data), err
}

// Prune removes the inventories for whose images keep, which is given an ID (sha256:HEX), returns
// false, and the temporary files of runs that were killed while they saved one. It returns how many
// inventories it removed. It leaves other files alone.
func Prune(logs string, keep func(id string) bool) (removed int, err error) {
	root, err := openFolder(logs)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("remove old inventories: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	now := time.Now()
	err = history.RemoveEntries(root, ".", func(entry fs.DirEntry) bool {
		if !entry.Type().IsRegular() {
			return false
		}
		if match := savedName.FindStringSubmatch(entry.Name()); match != nil {
			if keep("sha256:" + match[1]) {
				return false
			}
			removed++
			return true
		}
		info, err := entry.Info()
		return pendingName.MatchString(entry.Name()) && err == nil && now.Sub(info.ModTime()) > history.TemporaryAge
	})
	if err != nil {
		return removed, fmt.Errorf("remove old inventories: %w", err)
	}
	return removed, nil
}

// The names of the files in the folder: see fileOf and renameio.
var (
	savedName   = regexp.MustCompile(`^([0-9a-f]{64})\.json$`)
	pendingName = regexp.MustCompile(`^\.[0-9a-f]{64}\.json[0-9]+$`)
)

// Compare returns the packages that are not as before, sorted by manager and name. It leaves out the
// managers that failed in one of the two images.
func Compare(before, after Inventory) []report.PackageChange {
	was, is := versions(before), versions(after)
	keys := maps.Clone(was)
	maps.Copy(keys, is)
	var changes []report.PackageChange
	for key := range keys {
		if before.Failed[key.Manager] != "" || after.Failed[key.Manager] != "" {
			continue
		}
		gone, added := without(was[key], is[key]), without(is[key], was[key])
		for i := range max(len(gone), len(added)) {
			change := report.PackageChange{Manager: key.Manager, Name: key.Name}
			if i < len(gone) {
				change.From = gone[i]
			}
			if i < len(added) {
				change.To = added[i]
			}
			changes = append(changes, change)
		}
	}
	slices.SortFunc(changes, func(a, b report.PackageChange) int {
		return cmp.Or(cmp.Compare(a.Manager, b.Manager), cmp.Compare(a.Name, b.Name), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return changes
}

// versions returns the sorted versions of each package: some are installed several times, as for
// two architectures or in two switches of opam. The keys have no version.
func versions(inventory Inventory) map[report.Package][]string {
	all := map[report.Package][]string{}
	for _, p := range inventory.Packages {
		key := report.Package{Manager: p.Manager, Name: p.Name}
		all[key] = append(all[key], p.Version)
	}
	for _, list := range all {
		slices.Sort(list)
	}
	return all
}

// without returns list without the elements of other. Each of these takes away one of list.
func without(list, other []string) []string {
	other = slices.Clone(other)
	var rest []string
	for _, s := range list {
		if i := slices.Index(other, s); i >= 0 {
			other = slices.Delete(other, i, i+1)
		} else {
			rest = append(rest, s)
		}
	}
	return rest
}
