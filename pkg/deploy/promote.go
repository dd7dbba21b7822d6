package deploy

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"runtests/pkg/hint"
	"runtests/pkg/transfer"
)

// Promoter promotes containers.
type Promoter struct {
	From     transfer.Source   // the engine that runs the tests
	Log      func(text string) // called before each action
	Progress func(transfer.Progress)
	Now      func() time.Time
	// Verify returns an error if the candidate is not what was tested any more. It is called once
	// its image is made, before anything runs; nil: nobody could have changed it.
	Verify func(ctx context.Context) error
}

// Promote makes a candidate the version that runs in production. After an error
// the old version runs, unless the error is a *FailedError without Restored. If ctx ends before
// the exchange begins, Promote removes what it has prepared; the exchange itself goes on to its
// end.
func (p Promoter) Promote(ctx context.Context, s *Site, c Candidate) (Promoted, error) {
	return p.withLock(ctx, s, func(ctx context.Context, run *promotion) error { return run.promote(ctx, c) })
}

// promotion is a promotion, or a rollback, under way.
type promotion struct {
	Promoter
	site       *Site
	session    *session
	containers containers
	releases   []Release // whose images are there, the newest first
	swapping   bool      // a swap was begun and its end is not known: nothing that it uses may be removed
	result     Promoted
}

// withLock takes the lock, deals with what earlier promotions left, and calls do.
func (p Promoter) withLock(ctx context.Context, s *Site, do func(context.Context, *promotion) error) (Promoted, error) {
	started := p.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lock, err := s.lock(func() { cancel(errConnection) })
	if err != nil {
		return Promoted{}, err
	}
	defer lock.close()
	run := &promotion{Promoter: p, site: s, session: lock, result: Promoted{Host: s.Host()}}
	if err := run.prepare(ctx); err != nil {
		return run.result, err
	}
	err = do(ctx, run)
	run.result.Took = p.Now().Sub(started)
	return run.result, err
}

// prepare finishes or removes what earlier promotions left.
func (p *promotion) prepare(ctx context.Context) (err error) {
	if err := p.site.readFacts(ctx); err != nil { // it may have changed before we had the lock
		return err
	}
	if p.site.cutOff {
		if _, err := p.recoverSwap(ctx); err != nil {
			return err
		}
	}
	if err := p.site.judgePlaces(); err != nil {
		return err
	}
	if p.containers, err = p.site.containers(ctx); err != nil {
		return err
	}
	if left, ok := p.containers[suffixNext]; ok {
		p.Log("removing " + left.Name + ", left by an earlier promotion")
		if err := p.site.engine.Remove(ctx, left.ID); err != nil {
			return err
		}
		delete(p.containers, suffixNext)
		if err := p.site.readFacts(ctx); err != nil { // it may have had ports
			return err
		}
		if err := p.site.judgePlaces(); err != nil {
			return err
		}
	}
	return p.removeUnused(ctx)
}

// recoverSwap has swap.sh finish or undo a swap that was cut off.
func (p *promotion) recoverSwap(ctx context.Context) (r swapResult, err error) {
	p.Log("an exchange was cut off: finishing or undoing it")
	if _, err := p.site.machine.sh(ctx, `rm -f "$1/swap/pid" "$1/swap/result"`, p.site.state); err != nil {
		return r, err
	}
	if err := p.session.send(orderRecover); err != nil {
		return r, err
	}
	if r, err = p.site.follow(ctx, p.Log); err != nil {
		return r, hint.Errorf("the next promotion tries again; or log in there and look: docker ps -a", "finish or undo the exchange that was cut off: %w", err)
	}
	p.result.Recovered = "an exchange that was cut off was finished"
	if strings.HasPrefix(r.outcome, outcomeFailed) {
		p.result.Recovered = "an exchange that was cut off was undone"
	}
	switch r.outcome {
	case outcomeFiles:
		return r, p.site.failed(r)
	case outcomeDown: // go on: a new version may be the remedy
		p.result.Recovered += ", and the old version does not answer"
	}
	return r, p.site.readFacts(ctx)
}

// promote sends the image and exchanges the containers.
func (p *promotion) promote(ctx context.Context, c Candidate) (err error) {
	s, d := p.site, p.site.deployment
	release := p.newRelease(c)
	defer func() {
		if err != nil && !p.swapping {
			p.discard(ctx, release)
		}
	}()
	if err := p.send(ctx, release); err != nil {
		return err
	}
	ports, err := assignPorts(d, s.taken, runningPorts(p.containers), s.Host())
	if err != nil {
		return err
	}
	id, err := p.create(ctx, release, ports)
	if err != nil {
		return err
	}
	return p.exchange(ctx, swap{verb: outcomePromoted, new: id, release: release, places: s.settled, assignment: ports, check: ports.check(d)})
}

// newRelease returns the release of a candidate. Its tag is new even if the same container was
// promoted before, since each promotion has files of its own.
func (p *promotion) newRelease(c Candidate) Release {
	r := Release{Candidate: c, Tag: c.Run, Time: p.Now()}
	for _, other := range p.releases {
		if other.Container == r.Container { // the same image
			r.Time, r.imageID = other.Time, other.imageID
		}
	}
	for n := 2; p.hasRun(r.Tag); n++ {
		r.Tag = c.Run + "." + strconv.Itoa(n)
	}
	return r
}

// hasRun reports whether a release with that tag was there, and had run, when this one began.
func (p *promotion) hasRun(tag string) bool {
	return slices.ContainsFunc(p.releases, func(r Release) bool { return r.Tag == tag })
}

// send sends the image, unless it is there already.
func (p *promotion) send(ctx context.Context, release Release) error {
	s := p.site
	tag := s.imageName(release.Tag)
	if release.imageID != "" {
		p.Log("the image is there already")
		return s.engine.Tag(ctx, release.imageID, tag)
	}
	p.Log("sending the image to " + s.Host())
	sent, err := transfer.Send(ctx, p.From, s.engine, transfer.Options{
		Container: release.Container, Tag: tag, Labels: release.labels(s.deployment.Name), Command: s.deployment.Container.Command,
		Sender: sender(release.Suite, release.Machine, s.deployment.Host), Progress: p.Progress, Now: p.Now,
	})
	p.result.Sent = sent
	if sent.Refused != nil {
		p.warn("all layers of the image were sent, because the engine there refused it without those that it has: %v", sent.Refused)
	}
	if err == nil && p.Verify != nil {
		err = p.Verify(ctx)
	}
	return err
}

// sender returns a name for the promotions of one suite from one machine to another. Other
// suites may share the engine that tests run on, and have a deployment of the same name.
func sender(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}

// create creates the new container. It does not run yet.
func (p *promotion) create(ctx context.Context, release Release, ports assignment) (string, error) {
	d := p.site.deployment
	c := d.Container
	c.Name = d.Name + suffixNext
	c.Image = p.site.imageName(release.Tag)
	c.Ports = ports.ports
	c.Restart = "" // until it has been seen to work
	c.Labels = release.labels(d.Name)
	c.Labels[labelRelease], c.Labels[labelPorts], c.Labels[labelCheck], c.Labels[labelCheckCommand] = release.Tag, ports.label(), "", ""
	id, err := p.site.engine.Create(ctx, c)
	if err != nil {
		return "", fmt.Errorf("create the new container: %w", err)
	}
	return id, p.site.saveCheck(ctx, id, ports.check(d), p.containers)
}

// exchange completes the swap, carries it out, and records its result.
func (p *promotion) exchange(ctx context.Context, x swap) (err error) {
	current, exists := p.containers[""]
	x.deployment = p.site.deployment
	x.old, x.oldRunning = current.ID, exists && current.Running()
	if x.oldCheck, err = p.site.readCheck(ctx, current); err != nil {
		return err
	}
	x.oldRelease = current.Labels[labelRelease]
	if !exists || !tagForm.MatchString(x.oldRelease) {
		x.oldRelease = noRelease
	}
	x.portsFile, x.sources, x.random = p.site.portsFile, p.site.sources, rand.Text()[:12]
	x.previous = p.containers[suffixPrevious].ID
	x.handover = x.handover && x.oldRunning
	if err := p.site.upload(ctx, x); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r, err := p.swap(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	if r.outcome != outcomeFiles {
		_ = p.session.send(orderClear) // what is left, the next promotion removes
	}
	p.result.Outage = r.outage
	p.result.Warnings = append(p.result.Warnings, r.warnings...)
	if r.outcome != x.verb {
		return p.site.failed(r)
	}
	p.result.Current, p.result.Handover = x.release, x.handover
	if exists {
		p.result.Previous = runningRelease(current)
	}
	p.prune(ctx)
	return nil
}

// noRelease stands for the old release where nothing ran before.
const noRelease = "before"

// swap starts the swap that was uploaded, and waits for its end.
func (p *promotion) swap(ctx context.Context) (swapResult, error) {
	p.swapping = true
	if err := p.session.send(orderGo); err != nil {
		return swapResult{}, err
	}
	r, err := p.site.follow(ctx, p.Log)
	if died := err; errors.Is(err, errSwapDied) {
		if r, err = p.recoverSwap(ctx); err != nil {
			return r, errors.Join(died, err)
		}
		if r.outcome == outcomeBack {
			p.swapping = false
			return r, died
		}
	}
	if err != nil {
		return r, hint.Errorf("runtests deploy --status "+p.site.deployment.Name+" shows how it ended", "wait for the end of the exchange: %w", err)
	}
	p.swapping = false
	return r, nil
}

func (p *promotion) warn(format string, args ...any) {
	p.result.Warnings = append(p.result.Warnings, fmt.Sprintf(format, args...))
}
