package images

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/pkg/inventory"
)

// listPackages sets how many packages the image has, and which are not as in the previous image.
// If that cannot be found out, a note says so: the image is as good as without.
func (w *update) listPackages(ctx context.Context) {
	facts := &w.result.Build
	after, err := w.inventory(ctx, w.result.ImageID)
	if err != nil {
		w.note("its packages are not known: %v", err)
		return
	}
	facts.Packages = len(after.Packages)
	if facts.Current {
		return
	}
	for _, manager := range slices.Sorted(maps.Keys(after.Failed)) {
		w.note("its %s packages are not known: %s", manager, after.Failed[manager])
	}
	if w.before == nil {
		return
	}
	before, err := inventory.Load(w.Logs, w.before.ID)
	if err != nil {
		return // it was never taken, or cannot be read: there is nothing to compare with
	}
	facts.Changes = inventory.Compare(before, after)
}

// inventory returns the inventory of the image. A current image has none if the run that built it
// was killed before it took one; the next build is compared with the one taken now.
func (w *update) inventory(ctx context.Context, id string) (inventory.Inventory, error) {
	found, err := inventory.Of(ctx, w.Engine, w.Logs, container.Container{Image: id, Platform: w.image.Build.Platform, Labels: w.Labels})
	if !errors.Is(err, inventory.ErrNoShell) {
		return found, err
	}
	w.note("its packages are not known: %v", inventory.ErrNoShell)
	empty := inventory.Inventory{ImageID: id, Taken: w.Started} // so that no later run tries again
	return empty, inventory.Save(w.Logs, empty)
}

// PruneInventories removes, from the folder logs, the inventories of all images but the needed
// ones, by ID, and the builds of the suite that the engine has.
func PruneInventories(ctx context.Context, store ImageStore, suite, logs string, needed map[string]bool) error {
	listed, err := store.Images(ctx, map[string]string{labelSuite: suite})
	if err != nil {
		return fmt.Errorf("remove old inventories: %w", err)
	}
	_, err = inventory.Prune(logs, func(id string) bool {
		return needed[id] || slices.ContainsFunc(listed, func(i engine.ImageSummary) bool { return i.ID == id })
	})
	return err
}
