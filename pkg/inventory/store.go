package inventory

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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

// inventoryFolder is the folder of the inventories in a suite's logs folder.
const inventoryFolder = "images"

// InventoryVersion is the version of the record of an inventory; it grows as Version does.
const Version = 1

// maxInventoryBytes is the size of the largest record of an inventory that is read: more
// than 100,000 packages take.
const maxInventoryBytes = 32 << 20

// Inventory is what is installed in an image. It is kept by the image's ID, so it is taken
// once whatever the image is called.
type Inventory struct {
	Version  int              `json:"version"`
	ImageID  string           `json:"image_id"` // sha256:HEX
	Taken    time.Time        `json:"taken"`
	Packages []report.Package `json:"packages"` // sorted; twice the same when it is installed twice
	// Failed are the package managers that are in the image and did not say what is
	// installed, each with the reason.
	Failed map[string]string `json:"failed,omitempty"`
}

// imageID is an image's ID, with or without the name of its hash.
var imageID = regexp.MustCompile(`^(?:sha256:)?([0-9a-f]{64})$`)

// inventoryFile is the name of the file of an image's inventory.
func inventoryFile(id string) (string, error) {
	match := imageID.FindStringSubmatch(id)
	if match == nil {
		return "", fmt.Errorf("%q is not the ID of an image", id)
	}
	return match[1] + ".json", nil
}

// SaveInventory keeps an inventory in the folder images of the folder logs, in place of the
// one of the same image.
func Save(logs string, inventory Inventory) error {
	if err := saveInventory(logs, inventory); err != nil {
		return fmt.Errorf("save the inventory of the image %s: %w", inventory.ImageID, err)
	}
	return nil
}

func saveInventory(logs string, inventory Inventory) (err error) {
	name, err := inventoryFile(inventory.ImageID)
	if err != nil {
		return err
	}
	inventory.Version = Version
	data, err := json.MarshalIndent(inventory, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(logs, inventoryFolder), history.FolderMode); err != nil {
		return err
	}
	root, err := openInventories(logs)
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

// openInventories opens the folder of the inventories, which must be in the folder logs
// itself: a link is not followed out of it.
func openInventories(logs string) (_ *os.Root, err error) {
	root, err := os.OpenRoot(logs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return root.OpenRoot(inventoryFolder)
}

// LoadInventory returns the inventory of an image. The error wraps fs.ErrNotExist when none
// was taken.
func Load(logs, id string) (Inventory, error) {
	inventory, err := loadInventory(logs, id)
	if err != nil {
		return Inventory{}, fmt.Errorf("read the inventory of the image %s: %w", id, err)
	}
	return inventory, nil
}

func loadInventory(logs, id string) (Inventory, error) {
	var inventory Inventory
	name, err := inventoryFile(id)
	if err != nil {
		return inventory, err
	}
	data, err := readInventory(logs, name)
	if err != nil {
		return inventory, err
	}
	if err := json.Unmarshal(data, &inventory); err != nil {
		return inventory, fmt.Errorf("%s: %w", name, err)
	}
	found, err := inventoryFile(inventory.ImageID)
	switch {
	case inventory.Version != Version:
		return inventory, fmt.Errorf("%s: its version is %d; this program reads %d", name, inventory.Version, Version)
	case err != nil || found != name:
		return inventory, fmt.Errorf("%s: it is of another image, %q", name, inventory.ImageID)
	}
	return inventory, nil
}

// readInventory reads a file that may be anything.
func readInventory(logs, name string) (data []byte, err error) {
	root, err := openInventories(logs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	data, err = regular.ReadIn(root, name, maxInventoryBytes)
	return bytes.TrimSpace(data), err
}

// PruneInventories removes the inventories of the images that keep, which gets IDs
// (sha256:HEX), does not want kept, and what a run that was killed while it saved one has
// left. It returns how many inventories it removed. Other files are left alone.
func Prune(logs string, keep func(id string) bool) (removed int, err error) {
	root, err := openInventories(logs)
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
		if match := savedInventory.FindStringSubmatch(entry.Name()); match != nil {
			if keep("sha256:" + match[1]) {
				return false
			}
			removed++
			return true
		}
		info, err := entry.Info()
		return pendingInventory.MatchString(entry.Name()) && err == nil && now.Sub(info.ModTime()) > history.TemporaryAge
	})
	if err != nil {
		return removed, fmt.Errorf("remove old inventories: %w", err)
	}
	return removed, nil
}

// The files in the folder of the inventories: see inventoryFile and temporaryOf.
var (
	savedInventory   = regexp.MustCompile(`^([0-9a-f]{64})\.json$`)
	pendingInventory = regexp.MustCompile(`^\.[0-9a-f]{64}\.json[0-9]+$`)
)

// CompareInventories returns what is not installed as it was before, sorted by manager and
// name. A manager that failed in one of the two images is left out: nobody knows.
func Compare(before, after Inventory) []report.PackageChange {
	was, is := versions(before), versions(after)
	keys := map[report.Package]bool{}
	for key := range was {
		keys[key] = true
	}
	for key := range is {
		keys[key] = true
	}
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

// versions are the versions of each package, sorted: some are installed several times, as
// for two architectures or in two switches of opam. The keys have no version.
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

// without are the elements of a list that are not in another, each counted.
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
