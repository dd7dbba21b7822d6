package deploy

import (
	"context"
	"errors"
	"slices"

	"runtests/pkg/container"
)

// Rollback goes back to the version before the one that runs.
func (p Promoter) Rollback(ctx context.Context, s *Site) (Promoted, error) {
	return p.locked(ctx, s, func(ctx context.Context, w *work) error { return w.rollback(ctx) })
}

// ErrNothingBefore says that there is no version to go back to.
var ErrNothingBefore = errors.New("there is no version before the one that runs")

// before is the release before that of the container which runs.
func before(past []event, all []Release, current container.Summary) (Release, error) {
	if current.ID == "" {
		return Release{}, ErrNothingBefore
	}
	found := older(past, all, releaseOf(current.Labels, current.Labels[labelRelease]))
	if len(found) == 0 {
		return Release{}, ErrNothingBefore
	}
	return found[0], nil
}

// CanGoBack says why Rollback could not go back (ErrNothingBefore). Of an exchange that was cut
// off it is not known before that has been mended.
func (s *Site) CanGoBack(ctx context.Context) error {
	if s.cutOff {
		return nil
	}
	found, err := lookAtContainers(ctx, s.engine, s.deployment, s.Host())
	if err != nil {
		return err
	}
	all, err := releases(ctx, s.engine, s.deployment.Name)
	if err != nil {
		return err
	}
	_, err = before(s.past, s.thatRan(all), found[""])
	return err
}

// rollback exchanges the container for that of the version before, or for a new one made of
// its image.
func (w *work) rollback(ctx context.Context) (err error) {
	d := w.site.deployment
	current := w.found[""]
	release, err := before(w.site.past, w.all, current)
	if err != nil {
		return err
	}
	w.Say("going back to " + release.String())
	previous, ok := w.found[suffixPrevious]
	x := swap{verb: outcomeRolledBack, release: release, fromRelease: release.Tag}
	x.choice, err = choosePorts(d, w.site.taken, runningPorts(w.found), w.site.Host())
	if err != nil {
		return err
	}
	if ok && previous.Labels[labelRelease] == release.Tag {
		x.new, x.choice, x.check = previous.ID, x.choice.as(previous, runningPorts(w.found)), checkOf(previous)
		return w.exchange(ctx, x)
	}
	x.check = x.choice.check(d)
	if x.new, err = w.create(ctx, release, x.choice); err != nil {
		return err
	}
	if err = w.exchange(ctx, x); err != nil && !w.begun {
		left, errLook := lookAtContainers(ctx, w.site.engine, d, w.site.Host())
		if one, ok := left[suffixNext]; errLook == nil && ok && !one.Running() {
			err = errors.Join(err, w.site.engine.Remove(context.WithoutCancel(ctx), one.ID))
		}
	}
	return err
}

// as is the choice that was made for a container: it takes the ports that it had.
func (c choice) as(old container.Summary, running []publishedPort) choice {
	had := published(old)
	for _, now := range running {
		c.handover = c.handover && !slices.ContainsFunc(had, func(p publishedPort) bool { return p.number == now.number })
	}
	c.ports = slices.Clone(c.ports)
	for i, p := range c.ports {
		at := slices.IndexFunc(had, func(h publishedPort) bool { return h.inside == inside(p) })
		if at < 0 {
			continue
		}
		c.ports[i].First, c.ports[i].Last = had[at].number, had[at].number
		had = slices.Delete(had, at, at+1)
	}
	return c
}
