package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"runtests/pkg/container"
)

// cleanUpBound is how long taking back what was prepared may take.
const cleanUpBound = 2 * time.Minute

// removeUnused removes the images that promotions brought here which were killed before they ran.
func (w *work) removeUnused(ctx context.Context) error {
	all, err := releases(ctx, w.site.engine, w.site.deployment.Name)
	if err != nil {
		return err
	}
	for _, r := range all {
		if w.site.ran[r.Tag] || r.Tag == w.found[""].Labels[labelRelease] || r.Tag == w.found[suffixPrevious].Labels[labelRelease] {
			w.all = append(w.all, r)
			continue
		}
		w.Say("removing the image " + r.Tag + ", which an earlier promotion left")
		err := w.site.engine.RemoveTag(ctx, Repository(w.site.deployment.Name)+":"+r.Tag)
		if err != nil && !errors.Is(err, container.ErrInUse) { // somebody has made a container of it
			return err
		}
	}
	return nil
}

// takeBack removes what was prepared for a promotion that failed.
func (w *work) takeBack(ctx context.Context, release Release) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpBound)
	defer cancel()
	left, err := w.site.engine.Containers(ctx, map[string]string{LabelName: w.site.deployment.Name, labelRelease: release.Tag})
	for _, c := range left {
		if c.Name == w.site.deployment.Name+suffixNext && !c.Running() {
			err = errors.Join(err, w.site.engine.Remove(ctx, c.ID))
		}
	}
	err = errors.Join(err, w.site.engine.RemoveTag(ctx, Repository(w.site.deployment.Name)+":"+release.Tag))
	if err != nil {
		w.Say(fmt.Sprintf("what was prepared is still there, the next promotion removes it: %v", err))
	}
}

// prune removes the images beyond those to keep, and the files kept for them.
func (w *work) prune(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpBound)
	defer cancel()
	d := w.site.deployment
	all, err := releases(ctx, w.site.engine, d.Name)
	if err != nil {
		w.done.Warnings = append(w.done.Warnings, fmt.Sprintf("superseded images are still there: %v", err))
		return
	}
	kept, args := 0, []string{w.site.state, "before"}
	for _, r := range all {
		running := r.Tag == w.done.Now.Tag
		known := running || slices.ContainsFunc(w.all, func(other Release) bool { return other.Tag == r.Tag }) // the others never ran
		if known && (running || kept < d.Keep || r.Tag == w.done.Before.Tag) {
			if !running {
				kept++
			}
			args = append(args, r.Tag)
			continue
		}
		if err := w.site.engine.RemoveTag(ctx, Repository(d.Name)+":"+r.Tag); err != nil {
			w.done.Warnings = append(w.done.Warnings, fmt.Sprintf("a superseded image is still there: %v", err))
			args = append(args, r.Tag)
			continue
		}
		w.Say("removed the superseded image " + r.Tag)
	}
	const script = `cd "$1/releases" 2>/dev/null || exit 0
shift
for folder in *; do
	for tag; do [ "$folder" != "$tag" ] || continue 2; done
	rm -rf -- "$folder"
done`
	if _, err := w.site.machine.sh(ctx, script, args...); err != nil {
		w.done.Warnings = append(w.done.Warnings, fmt.Sprintf("files kept for superseded images are still there: %v", err))
	}
}
