package images

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/inventory"
)

// takeStock says what is installed in the image, and what is not as in the one before. That
// it could not be found out is a note: the image is as good as it was.
func (w *update) takeStock(ctx context.Context) {
	facts := &w.result.Build
	after, err := w.inventory(ctx, w.result.ImageID)
	if err != nil {
		w.note("what is installed in it is not known: %v", err)
		return
	}
	facts.Packages = len(after.Packages)
	if facts.Current {
		return
	}
	for _, manager := range slices.Sorted(maps.Keys(after.Failed)) {
		w.note("%s did not say what is installed: %s", manager, after.Failed[manager])
	}
	if w.before == nil {
		return
	}
	before, err := inventory.Load(w.Logs, w.before.ID)
	if err != nil {
		return // none was taken, or none that can be read: there is nothing to compare with
	}
	facts.Changes = inventory.Compare(before, after)
}

// inventory is the one that is kept, or else a new one. It is taken again of a current image
// where a run was killed before it could: the next build is compared with it.
func (w *update) inventory(ctx context.Context, id string) (inventory.Inventory, error) {
	found, err := Inventory(ctx, w.Engine, w.Logs, container.Container{Image: id, Platform: w.image.Build.Platform, Labels: w.Labels})
	if !errors.Is(err, inventory.ErrNoShell) {
		return found, err
	}
	w.note("what is installed in it is not known: %v", inventory.ErrNoShell)
	empty := inventory.Inventory{ImageID: id, Taken: w.Started} // so that it is not asked again
	return empty, inventory.Save(w.Logs, empty)
}

// Inventory is that of an image, the one that is kept in the folder logs, or else one that is
// taken now, and kept there. c is as for TakeInventory, but for the name, which is made here.
func Inventory(ctx context.Context, e inventory.ContainerRunner, logs string, c container.Container) (inventory.Inventory, error) {
	if known, err := inventory.Load(logs, c.Image); err == nil {
		return known, nil
	}
	c.Name = "runtests-inventory-" + strings.ToLower(rand.Text()[:8])
	taken, err := inventory.Take(ctx, e, c)
	if err != nil {
		return taken, err
	}
	return taken, inventory.Save(logs, taken)
}

// note adds a sentence for the reader of the report.
func (w *update) note(format string, args ...any) {
	w.result.Notes = append(w.result.Notes, fmt.Sprintf(format, args...))
}
