package images

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"runtests/pkg/engine"
	"runtests/pkg/report"
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
	before, err := report.LoadInventory(w.Logs, w.before.ID)
	if err != nil {
		return // none was taken, or none that can be read: there is nothing to compare with
	}
	facts.Changes = report.CompareInventories(before, after)
}

// inventory is the one that is kept, or else a new one. It is taken again of a current image
// where a run was killed before it could: the next build is compared with it.
func (w *update) inventory(ctx context.Context, id string) (report.Inventory, error) {
	if known, err := report.LoadInventory(w.Logs, id); err == nil {
		return known, nil
	}
	taken, err := TakeInventory(ctx, w.Engine, engine.Container{
		Image: id, Platform: w.image.Build.Platform, Labels: w.Labels, Name: "runtests-inventory-" + strings.ToLower(rand.Text()[:8]),
	})
	if errors.Is(err, ErrNoShell) {
		w.note("what is installed in it is not known: %v", ErrNoShell)
		taken, err = report.Inventory{ImageID: id, Taken: w.Started}, nil // so that it is not asked again
	}
	if err != nil {
		return taken, err
	}
	return taken, report.SaveInventory(w.Logs, taken)
}

// note adds a sentence for the reader of the report.
func (w *update) note(format string, args ...any) {
	w.result.Notes = append(w.result.Notes, fmt.Sprintf(format, args...))
}
