package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/pkg/inventory"
)

// Shelf is what looking after builds of before needs of a container engine.
type Shelf interface {
	Images(ctx context.Context, labels map[string]string) ([]engine.ImageSummary, error)
	ImagesInUse(ctx context.Context) (map[string]bool, error)
	RemoveTag(ctx context.Context, ref string) error
}

// Old is a build of before that nobody needs any more.
type Old struct {
	Image string // what it was built as, familiar
	Tag   string // the name that it kept; with it the image goes
	ID    string
	Size  int64 // bytes, with the layers that it shares with others
	Built time.Time
}

// Superseded lists the builds of a suite that may go: of each image, all but the one that
// has its name now, the newest keep before that, and those that are needed, by ID. One that
// a container was made from, running or not, is not among them, nor is anything that we did
// not build for that suite. They are in the order of their images' names, then the oldest first.
func Superseded(ctx context.Context, shelf Shelf, suite string, keep int, needed map[string]bool) ([]Old, error) {
	listed, err := shelf.Images(ctx, map[string]string{labelSuite: suite})
	if err != nil {
		return nil, fmt.Errorf("look for superseded builds: %w", err)
	}
	used, err := shelf.ImagesInUse(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for superseded builds: %w", err)
	}
	var all []Old
	for _, builds := range buildsOf(listed, suite) {
		slices.SortFunc(builds, func(a, b Old) int { return cmp.Or(b.Built.Compare(a.Built), cmp.Compare(b.Tag, a.Tag)) })
		builds = slices.DeleteFunc(builds[min(keep, len(builds)):], func(o Old) bool { return used[o.ID] || needed[o.ID] })
		slices.Reverse(builds)
		all = append(all, builds...)
	}
	slices.SortStableFunc(all, func(a, b Old) int { return cmp.Compare(a.Image, b.Image) })
	return all, nil
}

// PruneInventories removes, from the folder logs, the inventories of images that the engine
// does not have any more under a name of the suite, and that are not needed, by ID.
func PruneInventories(ctx context.Context, shelf Shelf, suite, logs string, needed map[string]bool) error {
	listed, err := shelf.Images(ctx, map[string]string{labelSuite: suite})
	if err != nil {
		return fmt.Errorf("remove old inventories: %w", err)
	}
	_, err = inventory.Prune(logs, func(id string) bool {
		return needed[id] || slices.ContainsFunc(listed, func(i engine.ImageSummary) bool { return i.ID == id })
	})
	return err
}

// buildsOf are the superseded builds among the images that the engine lists, by what they
// were built as.
func buildsOf(listed []engine.ImageSummary, suite string) map[string][]Old {
	builds := map[string][]Old{}
	for _, i := range listed {
		r, ours := recordOf(i.Labels, i.Tags)
		if !ours || r.suite != suite || hasTag(i.Tags, r.image) {
			continue
		}
		tag, err := runTag(r.image, r.run)
		if err != nil {
			continue // recordOf made it
		}
		builds[r.image] = append(builds[r.image], Old{Image: r.image, Tag: tag, ID: i.ID, Size: i.Size, Built: r.built})
	}
	return builds
}

// RemoveSuperseded removes builds that Superseded listed, each by the name it kept; what
// else has a name stays. It returns what it removed and what went wrong, after which it
// goes on. A build that a container was made from meanwhile is left alone.
func RemoveSuperseded(ctx context.Context, shelf Shelf, builds []Old) (removed []Old, err error) {
	for _, one := range builds {
		switch wrong := shelf.RemoveTag(ctx, one.Tag); {
		case wrong == nil:
			removed = append(removed, one)
		case errors.Is(wrong, container.ErrInUse):
		default:
			err = errors.Join(err, wrong)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return removed, err
}
