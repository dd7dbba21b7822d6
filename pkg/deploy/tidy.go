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

// cleanUp returns the context of a clean-up, which takes place also if ctx has ended.
func cleanUp(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanUpBound)
}

// removeUnused removes the images of promotions that were killed before the images ran, and
// notes the others.
func (p *promotion) removeUnused(ctx context.Context) error {
	all, err := p.site.releases(ctx)
	if err != nil {
		return err
	}
	for _, r := range all {
		if p.site.ran[r.Tag] || r.Tag == p.containers[""].Labels[labelRelease] || r.Tag == p.containers[suffixPrevious].Labels[labelRelease] {
			p.releases = append(p.releases, r)
			continue
		}
		p.Log("removing the image " + r.Tag + ", left by an earlier promotion")
		err := p.site.engine.RemoveTag(ctx, p.site.imageName(r.Tag))
		if err != nil && !errors.Is(err, container.ErrInUse) { // in use: somebody has made a container of it
			return err
		}
	}
	return nil
}

// discard removes what was prepared for a promotion that failed.
func (p *promotion) discard(ctx context.Context, release Release) {
	ctx, cancel := cleanUp(ctx)
	defer cancel()
	err := errors.Join(p.site.removeNext(ctx), p.site.engine.RemoveTag(ctx, p.site.imageName(release.Tag)))
	if err != nil {
		p.Log(fmt.Sprintf("what was prepared could not be removed; the next promotion tries again: %v", err))
	}
}

// removeNext removes the container that was created for a promotion or a rollback which failed,
// unless it runs.
func (s *Site) removeNext(ctx context.Context) error {
	found, err := s.containers(ctx)
	if next, ok := found[suffixNext]; ok && !next.Running() {
		return s.engine.Remove(ctx, next.ID)
	}
	return err
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
	ctx, cancel := cleanUp(ctx)
	defer cancel()
	all, err := p.site.releases(ctx)
	if err != nil {
		p.warn("superseded images could not be removed: %v", err)
		return
	}
	kept, args := 0, []string{p.site.state, noRelease}
	for _, r := range all {
		current := r.Tag == p.result.Current.Tag
		keep := current || p.hasRun(r.Tag) && (kept < p.site.deployment.Keep || r.Tag == p.result.Previous.Tag)
		if keep && !current {
			kept++
		}
		if !keep {
			err := p.site.engine.RemoveTag(ctx, p.site.imageName(r.Tag))
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
