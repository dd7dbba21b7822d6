package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"runtests/pkg/container"
)

// cleanUpBound is how long a clean-up may take.
const cleanUpBound = 2 * time.Minute

// removeUnused removes the images of promotions that were killed before the images ran, and
// notes the others.
func (p *promotion) removeUnused(ctx context.Context) error {
	all, err := releases(ctx, p.site.engine, p.site.deployment.Name)
	if err != nil {
		return err
	}
	for _, r := range all {
		if p.site.ran[r.Tag] || r.Tag == p.containers[""].Labels[labelRelease] || r.Tag == p.containers[suffixPrevious].Labels[labelRelease] {
			p.releases = append(p.releases, r)
			continue
		}
		p.Log("removing the image " + r.Tag + ", left by an earlier promotion")
		err := p.site.engine.RemoveTag(ctx, Repository(p.site.deployment.Name)+":"+r.Tag)
		if err != nil && !errors.Is(err, container.ErrInUse) { // in use: somebody has made a container of it
			return err
		}
	}
	return nil
}

// takeBack removes what was prepared for a promotion that failed.
func (p *promotion) takeBack(ctx context.Context, release Release) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpBound)
	defer cancel()
	left, err := p.site.engine.Containers(ctx, map[string]string{LabelName: p.site.deployment.Name, labelRelease: release.Tag})
	for _, c := range left {
		if c.Name == p.site.deployment.Name+suffixNext && !c.Running() {
			err = errors.Join(err, p.site.engine.Remove(ctx, c.ID))
		}
	}
	err = errors.Join(err, p.site.engine.RemoveTag(ctx, Repository(p.site.deployment.Name)+":"+release.Tag))
	if err != nil {
		p.Log(fmt.Sprintf("what was prepared could not be removed; the next promotion tries again: %v", err))
	}
}

// pruneScript removes the files of all releases but those whose tags follow the state's folder.
const pruneScript = `cd "$1/releases" 2>/dev/null || exit 0
shift
for folder in *; do
	for tag; do [ "$folder" != "$tag" ] || continue 2; done
	rm -rf -- "$folder"
done`

// prune removes the images beyond those to keep, and their files.
func (p *promotion) prune(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpBound)
	defer cancel()
	d := p.site.deployment
	all, err := releases(ctx, p.site.engine, d.Name)
	if err != nil {
		p.warn("superseded images could not be removed: %v", err)
		return
	}
	kept, args := 0, []string{p.site.state, noRelease}
	for _, r := range all {
		current := r.Tag == p.result.Current.Tag
		keep := current || p.hasRun(r.Tag) && (kept < d.Keep || r.Tag == p.result.Previous.Tag)
		if keep && !current {
			kept++
		}
		if !keep {
			err := p.site.engine.RemoveTag(ctx, Repository(d.Name)+":"+r.Tag)
			if err == nil {
				p.Log("removed the superseded image " + r.Tag)
				continue
			}
			p.warn("a superseded image could not be removed: %v", err)
		}
		args = append(args, r.Tag)
	}
	if _, err := p.site.machine.sh(ctx, pruneScript, args...); err != nil {
		p.warn("the files of superseded images could not be removed: %v", err)
	}
}
