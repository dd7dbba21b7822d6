package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"runtests/pkg/transfer"
)

// Passed is a container whose test passed, and what is known of it.
type Passed struct {
	Container string // its ID, on the engine that runs tests
	Run       string // the ID of the run
	Suite     string
	Step      string
	Image     string // the ID of the image that it was made from
	Commit    string // of git; empty: none
	Machine   string // where it was tested
}

// Promoter promotes.
type Promoter struct {
	From     transfer.Source // the engine that runs the tests
	Say      func(text string)
	Progress func(transfer.Progress)
	Now      func() time.Time
}

// Promote brings a container that passed to production. An error says that what ran before
// runs, unless it is a *FailedError without Restored. A ctx that ends before the exchange has
// begun takes back what was prepared; the exchange itself is not given up.
func (p Promoter) Promote(ctx context.Context, s *Site, passed Passed) (Promoted, error) {
	return p.locked(ctx, s, func(ctx context.Context, w *work) error { return w.promote(ctx, passed) })
}

// work is a promotion that is going on.
type work struct {
	Promoter
	site  *Site
	hold  *hold
	found containers
	all   []Release // the images that are there, the newest first
	begun bool      // an exchange was, and it is not known how it ended: what it uses is not ours to remove
	done  Promoted
}

// locked takes the lock, mends what was cut off, clears up, and does.
func (p Promoter) locked(ctx context.Context, s *Site, do func(context.Context, *work) error) (Promoted, error) {
	started := p.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hold, err := s.lock(func() { cancel(errConnection) })
	if err != nil {
		return Promoted{}, err
	}
	defer hold.close()
	w := &work{Promoter: p, site: s, hold: hold, done: Promoted{Host: s.Host()}}
	if err := w.prepare(ctx); err != nil {
		return w.done, err
	}
	err = do(ctx, w)
	w.done.Took = p.Now().Sub(started)
	return w.done, err
}

// prepare sees to it that nothing of an earlier promotion is in the way.
func (w *work) prepare(ctx context.Context) (err error) {
	if err := w.site.look(ctx); err != nil { // again: it is ours now
		return err
	}
	if w.site.cutOff {
		if _, err := w.mend(ctx); err != nil {
			return err
		}
	}
	if w.found, err = lookAtContainers(ctx, w.site.engine, w.site.deployment, w.site.Host()); err != nil {
		return err
	}
	if left, ok := w.found[suffixNext]; ok {
		w.Say("removing " + left.Name + ", which an earlier promotion left")
		if err := w.site.engine.Remove(ctx, left.ID); err != nil {
			return err
		}
		delete(w.found, suffixNext)
		if err := w.site.look(ctx); err != nil { // it may have had ports
			return err
		}
	}
	return w.removeUnused(ctx)
}

// mend lets the script finish, or take back, an exchange that was cut off there.
func (w *work) mend(ctx context.Context) (end swapped, err error) {
	w.Say("an exchange was cut off there: mending it")
	if _, err := w.site.machine.sh(ctx, `rm -f "$1/swap/pid" "$1/swap/result"`, w.site.state); err != nil {
		return end, err
	}
	if err := w.hold.send("m"); err != nil {
		return end, err
	}
	if end, err = w.site.follow(ctx, w.Say); err != nil {
		return end, withHint(fmt.Errorf("mend the exchange that was cut off: %w", err), "the next promotion tries again; log in there: docker ps -a")
	}
	w.done.Mended = "an exchange that was cut off was finished"
	if strings.HasPrefix(end.outcome, outcomeFailed) {
		w.done.Mended = "an exchange that was cut off was taken back"
	}
	switch end.outcome {
	case outcomeFiles:
		return end, w.failed(end)
	case outcomeDown: // a new version may be the remedy
		w.done.Mended += ", and the version before it does not answer"
	}
	return end, w.site.look(ctx)
}

// promote sends the image and exchanges the containers.
func (w *work) promote(ctx context.Context, passed Passed) (err error) {
	s, d := w.site, w.site.deployment
	release := w.newRelease(passed)
	defer func() {
		if err != nil && !w.begun {
			w.takeBack(ctx, release)
		}
	}()
	if err := w.send(ctx, release); err != nil {
		return err
	}
	choice, err := choosePorts(d, s.taken, runningPorts(w.found), s.Host())
	if err != nil {
		return err
	}
	id, err := w.create(ctx, release, choice)
	if err != nil {
		return err
	}
	return w.exchange(ctx, swap{verb: outcomePromoted, new: id, release: release, choice: choice, check: choice.check(d)})
}

// newRelease has a tag of its own: each promotion has its own files.
func (w *work) newRelease(passed Passed) Release {
	r := Release{
		Tag: passed.Run, Run: passed.Run, Suite: passed.Suite, Step: passed.Step, Image: passed.Image, Commit: passed.Commit,
		Machine: passed.Machine, Container: passed.Container, Time: w.Now(),
	}
	for _, there := range w.all {
		if there.Container == r.Container {
			r.Time, r.imageID = there.Time, there.imageID // it is the same image
		}
	}
	for n := 2; slices.ContainsFunc(w.all, func(other Release) bool { return other.Tag == r.Tag }); n++ {
		r.Tag = passed.Run + "." + strconv.Itoa(n)
	}
	return r
}

// send brings the image there, unless it is.
func (w *work) send(ctx context.Context, release Release) error {
	s := w.site
	tag := Repository(s.deployment.Name) + ":" + release.Tag
	if release.imageID != "" {
		w.Say("the image is there already")
		return s.engine.Tag(ctx, release.imageID, tag)
	}
	w.Say("sending the image to " + s.Host())
	sent, err := transfer.Send(ctx, w.From, s.engine, transfer.Options{
		Container: release.Container, Tag: tag, Labels: release.labels(s.deployment.Name), Command: s.deployment.Container.Command,
		Sender: sender(release.Suite, release.Machine, s.deployment.Host), Progress: w.Progress, Now: w.Now,
	})
	w.done.Sent = sent
	if sent.Refused != nil {
		w.done.Warnings = append(w.done.Warnings, fmt.Sprintf("all layers of the image were sent, as the engine there did not take it without those that it has: %v", sent.Refused))
	}
	return err
}

// sender tells the promotions of one suite to one machine from others of the same name, which
// may share the engine that tests run on.
func sender(of ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(of, "\x00")))
	return hex.EncodeToString(sum[:6])
}

// create makes the new container, which does not run yet.
func (w *work) create(ctx context.Context, release Release, choice choice) (string, error) {
	d := w.site.deployment
	c := d.Container
	c.Name = d.Name + suffixNext
	c.Image = Repository(d.Name) + ":" + release.Tag
	c.Ports = choice.ports
	c.Restart = "" // not before it was seen to work
	c.Labels = release.labels(d.Name)
	check := choice.check(d)
	c.Labels[labelRelease], c.Labels[labelPorts], c.Labels[labelCheck], c.Labels[labelCheckCommand] = release.Tag, choice.label(), check.url, check.command
	id, err := w.site.engine.Create(ctx, c)
	if err != nil {
		return "", fmt.Errorf("make the new container: %w", err)
	}
	return id, nil
}

// exchange carries out a swap, and tells what came of it.
func (w *work) exchange(ctx context.Context, x swap) error {
	current, running := w.found[""]
	x.deployment = w.site.deployment
	x.old, x.oldRunning, x.oldCheck = current.ID, running && current.Running(), checkOf(current)
	x.oldRelease = current.Labels[labelRelease]
	if !running {
		x.oldRelease = "before"
	}
	x.previous = w.found[suffixPrevious].ID
	x.choice.handover = x.choice.handover && x.oldRunning
	if err := w.site.upload(ctx, x); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w.begun = true
	if err := w.hold.send("g"); err != nil {
		return err
	}
	end, err := w.site.follow(context.WithoutCancel(ctx), w.Say)
	if died := err; errors.Is(err, errSwapDied) {
		if end, err = w.mend(context.WithoutCancel(ctx)); err != nil {
			return errors.Join(died, err) // what it uses may be running
		}
		if end.outcome == outcomeBack {
			w.begun = false
			return died
		}
	}
	if err != nil {
		return withHint(fmt.Errorf("wait for the end of the exchange: %w", err), "runtests deploy --status "+x.deployment.Name+" tells what came of it")
	}
	w.begun = false
	if end.outcome != outcomeFiles {
		_ = w.hold.send("c") // what is left, the next promotion removes
	}
	w.done.Outage = end.outage
	if end.outcome != x.verb {
		return w.failed(end)
	}
	w.done.Now, w.done.Handover = x.release, x.choice.handover
	if running {
		w.done.Before = releaseOf(current.Labels, x.oldRelease)
	}
	w.prune(ctx)
	return nil
}
