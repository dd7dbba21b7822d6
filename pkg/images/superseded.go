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
)

// ImageStore is what removing earlier builds needs of a container engine.
type ImageStore interface {
	Images(ctx context.Context, labels map[string]string) ([]engine.ImageSummary, error)
	ImagesInUse(ctx context.Context) (map[string]bool, error)
	RemoveTag(ctx context.Context, ref string) error
}

// Removable is an earlier build, or a name given by a Keeper, that nobody needs any more.
type Removable struct {
	Image string // the name that it was built as, familiar
	Tag   string // the name that it kept; the engine removes the image with its last name
	ID    string
	Size  int64 // bytes, including the layers that it shares with others
	Built time.Time
}

// Superseded returns the builds of a suite that may go: of each image, all but the one that has
// its name now, the newest keep before that, the needed ones, by ID, and those that have a
// container, running or not. Only builds of that suite are among them. They are sorted by the
// names of their images, then from the oldest to the newest.
func Superseded(ctx context.Context, store ImageStore, suite string, keep int, needed map[string]bool) ([]Removable, error) {
	listed, err := store.Images(ctx, map[string]string{labelSuite: suite})
	if err != nil {
		return nil, fmt.Errorf("look for superseded builds: %w", err)
	}
	used, err := store.ImagesInUse(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for superseded builds: %w", err)
	}
	var all []Removable
	for _, builds := range buildsOf(listed, suite) {
		slices.SortFunc(builds, func(a, b Removable) int { return cmp.Or(b.Built.Compare(a.Built), cmp.Compare(b.Tag, a.Tag)) })
		builds = slices.DeleteFunc(builds[min(keep, len(builds)):], func(o Removable) bool { return used[o.ID] || needed[o.ID] })
		slices.Reverse(builds)
		all = append(all, builds...)
	}
	slices.SortStableFunc(all, func(a, b Removable) int { return cmp.Compare(a.Image, b.Image) })
	return all, nil
}

// buildsOf returns the superseded builds among the listed images, by the names that they were
// built as.
func buildsOf(listed []engine.ImageSummary, suite string) map[string][]Removable {
	builds := map[string][]Removable{}
	for _, i := range listed {
		r, ours := recordOf(i.Labels, i.Tags)
		if !ours || r.suite != suite || hasTag(i.Tags, r.image) {
			continue
		}
		builds[r.image] = append(builds[r.image], Removable{Image: r.image, Tag: r.tag, ID: i.ID, Size: i.Size, Built: r.built})
	}
	return builds
}

// Remove removes the tags of images, and so the images that have no other name. It leaves an image
// alone that has a container meanwhile. After an error it goes on with the next; it returns what it
// removed, and all errors.
func Remove(ctx context.Context, store ImageStore, images []Removable) (removed []Removable, err error) {
	for _, image := range images {
		switch failed := store.RemoveTag(ctx, image.Tag); {
		case failed == nil:
			removed = append(removed, image)
		case errors.Is(failed, container.ErrInUse):
		default:
			err = errors.Join(err, failed)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return removed, err
}
