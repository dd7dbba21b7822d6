package deploy

import (
	"context"
	"errors"

	"runtests/pkg/container"
)

// Rollback goes back to the version before the one that runs.
func (p Promoter) Rollback(ctx context.Context, s *Site) (Promoted, error) {
	return p.locked(ctx, s, func(ctx context.Context, run *promotion) error { return run.rollback(ctx) })
}

// ErrNoPrevious reports that there is no previous version.
var ErrNoPrevious = errors.New("there is no previous version to roll back to")

// previousRelease returns the release before that of the container which runs (ErrNoPrevious).
func previousRelease(past []event, all []Release, current container.Summary) (Release, error) {
	if current.ID == "" {
		return Release{}, ErrNoPrevious
	}
	found := older(past, all, releaseOf(current.Labels, current.Labels[labelRelease]))
	if len(found) == 0 {
		return Release{}, ErrNoPrevious
	}
	return found[0], nil
}

// CheckRollback returns an error if Rollback could not go back (ErrNoPrevious). After an exchange
// that was cut off this is not known, and CheckRollback returns nil.
func (s *Site) CheckRollback(ctx context.Context) error {
	if s.cutOff {
		return nil
	}
	found, err := findContainers(ctx, s.engine, s.deployment, s.Host())
	if err != nil {
		return err
	}
	all, err := releases(ctx, s.engine, s.deployment.Name)
	if err != nil {
		return err
	}
	_, err = previousRelease(s.past, s.thatRan(all), found[""])
	return err
}

// rollback replaces the container by that of the previous version, or by a new one made of its
// image.
func (p *promotion) rollback(ctx context.Context) (err error) {
	d := p.site.deployment
	release, err := previousRelease(p.site.past, p.releases, p.containers[""])
	if err != nil {
		return err
	}
	p.Log("rolling back to " + release.String())
	running := runningPorts(p.containers)
	ports, err := assignPorts(d, p.site.taken, running, p.site.Host())
	if err != nil {
		return err
	}
	x := swap{verb: outcomeRolledBack, release: release, fromRelease: release.Tag, assignment: ports}
	if previous, ok := p.containers[suffixPrevious]; ok && previous.Labels[labelRelease] == release.Tag {
		x.new, x.assignment, x.check = previous.ID, ports.reuse(previous, running), checkOf(previous)
		return p.exchange(ctx, x)
	}
	x.check = ports.check(d)
	if x.new, err = p.create(ctx, release, ports); err != nil {
		return err
	}
	if err = p.exchange(ctx, x); err != nil && !p.swapping {
		containers, errFind := findContainers(ctx, p.site.engine, d, p.site.Host())
		if left, ok := containers[suffixNext]; errFind == nil && ok && !left.Running() {
			err = errors.Join(err, p.site.engine.Remove(context.WithoutCancel(ctx), left.ID))
		}
	}
	return err
}
