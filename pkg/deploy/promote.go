package deploy

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"runtests/pkg/engine"
	"runtests/pkg/report"
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

// Promoted is what a promotion did.
type Promoted struct {
	Host   string
	Now    Release // what runs
	Before Release // what ran before, kept for going back; zero: nothing did
	Sent   Sent    // of the image; zero when it was there
	// Handover says that the new version answered before the old one was stopped.
	Handover bool
	Outage   time.Duration // how long neither answered; 0 with a handover, or when nothing ran before
	Took     time.Duration
	Mended   string // what became of a promotion before that was cut off; empty: none was
	Warnings []string
}

// A FailedError says that a new version did not work, or did not get that far.
type FailedError struct {
	Name, Host string
	Why        string
	Restored   bool          // the version before answers again, or nothing ran before
	FilesLost  string        // the folder there in which the files of the version before are, which could not be put back; empty: they were
	Nothing    bool          // nothing ran before
	Stopped    bool          // the version before did not run, and does not now
	Outage     time.Duration // until the version before answered again
	Log        []string      // of the new version, its last lines
}

func (e *FailedError) Error() string {
	switch {
	case e.FilesLost != "":
		return fmt.Sprintf("the new version of %s does not work: %s, AND ARE NOT IN THEIR PLACES at %s", e.Name, e.Why, e.Host)
	case e.Nothing:
		return fmt.Sprintf("the new version of %s does not work: %s; nothing runs at %s, as before", e.Name, e.Why, e.Host)
	case e.Stopped:
		return fmt.Sprintf("the new version of %s does not work: %s; the old one did not run before, and does not run now at %s", e.Name, e.Why, e.Host)
	case !e.Restored:
		return fmt.Sprintf("the new version of %s does not work: %s; AND THE OLD ONE DOES NOT ANSWER ANY MORE at %s", e.Name, e.Why, e.Host)
	}
	text := fmt.Sprintf("the new version of %s does not work: %s; the old one answers at %s, with its files", e.Name, e.Why, e.Host)
	if e.Outage > 0 {
		text += ", after an outage of " + report.Duration(e.Outage).String()
	}
	return text
}

// Hint is what a person can do about it.
func (e *FailedError) Hint() string {
	switch {
	case e.FilesLost != "":
		return "they are in " + e.FilesLost + " there; see why they cannot go back (df, ls -ld), and promote again: that puts them back first"
	case !e.Restored && !e.Nothing:
		return "log in there: docker ps -a, docker logs " + e.Name
	case strings.Contains(e.Why, "port is already allocated"), strings.Contains(e.Why, "address already in use"):
		return "see there who has the port (ss -lptun; docker ps), or choose another one"
	case strings.Contains(e.Why, "health check"):
		return "the end of its log follows; was it to answer there, and that soon? (healthcheck: http, timeout)"
	}
	return "the end of its log follows"
}

// Promoter promotes.
type Promoter struct {
	From     Source // the engine that runs the tests
	Say      func(text string)
	Progress func(Progress)
	Now      func() time.Time
}

// cleanUpBound is how long taking back what was prepared may take.
const cleanUpBound = 2 * time.Minute

// Promote brings a container that passed to production. An error says that what ran before
// runs, unless it is a *FailedError without Restored. A ctx that ends before the exchange has
// begun takes back what was prepared; the exchange itself is not given up.
func (p Promoter) Promote(ctx context.Context, s *Site, passed Passed) (Promoted, error) {
	return p.locked(ctx, s, func(ctx context.Context, w *work) error { return w.promote(ctx, passed) })
}

// Rollback goes back to the version before the one that runs.
func (p Promoter) Rollback(ctx context.Context, s *Site) (Promoted, error) {
	return p.locked(ctx, s, func(ctx context.Context, w *work) error { return w.rollback(ctx) })
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
		if err != nil && !errors.Is(err, engine.ErrInUse) { // somebody has made a container of it
			return err
		}
	}
	return nil
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

// The outcomes of a swap.
const (
	outcomePromoted   = "promoted"
	outcomeRolledBack = "rolled-back"
	outcomeFailed     = "failed-"
	outcomeBack       = "failed-back"
	outcomeNone       = "failed-none"
	outcomeDown       = "failed-down"
	outcomeStopped    = "failed-stopped"
	outcomeFiles      = "failed-files"
)

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
	sent, err := Transfer{Progress: w.Progress, Now: w.Now}.Send(ctx, w.From, s.engine, Cargo{
		Container: release.Container, Tag: tag, Labels: release.labels(s.deployment.Name), Command: s.deployment.Container.Command,
		Sender: sender(release.Suite, release.Machine, s.deployment.Host),
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

func (w *work) failed(end swapped) error {
	failed := &FailedError{
		Name: w.site.deployment.Name, Host: w.site.Host(), Why: end.why, Outage: end.outage, Log: end.log,
		Restored: end.outcome == outcomeBack || end.outcome == outcomeNone, Nothing: end.outcome == outcomeNone, Stopped: end.outcome == outcomeStopped,
	}
	if end.outcome == outcomeFiles {
		failed.FilesLost = w.site.state + "/swap/saved"
	}
	return failed
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

// ErrNothingBefore says that there is no version to go back to.
var ErrNothingBefore = errors.New("there is no version before the one that runs")

// before is the release before that of the container which runs.
func before(past []event, all []Release, current engine.Summary) (Release, error) {
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
func (c choice) as(old engine.Summary, running []publishedPort) choice {
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

// lineReader reads lines of up to a megabyte.
func lineReader(r io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	return lines
}
