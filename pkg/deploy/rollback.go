package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"runtests/pkg/hint"
)

// Rollback goes back to the version before the one that runs.
func (p Promoter) Rollback(ctx context.Context, s *Site) (Promoted, error) {
	return p.withLock(ctx, s, func(ctx context.Context, run *promotion) error { return run.rollback(ctx) })
}

// ErrNoPrevious reports that there is no previous version.
var ErrNoPrevious = errors.New("there is no previous version to roll back to")

// CheckRollback returns an error if Rollback could not go back (ErrNoPrevious). After an exchange
// that was cut off this is not known, and CheckRollback returns nil.
func (s *Site) CheckRollback(ctx context.Context) error {
	if s.cutOff {
		return nil
	}
	status, err := s.status(ctx)
	if err == nil && len(status.Previous) == 0 {
		err = ErrNoPrevious
	}
	return err
}

// rollback replaces the container by that of the previous version, or by a new one made of its
// image.
func (p *promotion) rollback(ctx context.Context) (err error) {
	d := p.site.deployment
	current, exists := p.containers[""]
	if !exists {
		return ErrNoPrevious
	}
	previous := older(p.site.past, p.releases, runningRelease(current))
	if len(previous) == 0 {
		return ErrNoPrevious
	}
	release := previous[0]
	p.Log("rolling back to " + release.String())
	running := runningPorts(p.containers)
	ports, err := assignPorts(d, p.site.taken, running, p.site.Host())
	if err != nil {
		return err
	}
	places, err := p.site.keptPlaces(ctx, release.Tag)
	if err != nil {
		return err
	}
	x := swap{verb: outcomeRolledBack, release: release, fromRelease: release.Tag, places: places, assignment: ports}
	if stopped, ok := p.containers[suffixPrevious]; ok && stopped.Labels[labelRelease] == release.Tag {
		x.new, x.assignment = stopped.ID, ports.reuse(stopped, running)
		if x.check, err = p.site.readCheck(ctx, stopped); err != nil {
			return err
		}
		return p.exchange(ctx, x)
	}
	x.check = ports.check(d)
	if x.new, err = p.create(ctx, release, ports); err != nil {
		return err
	}
	if err = p.exchange(ctx, x); err != nil && !p.swapping {
		ctx, cancel := cleanUp(ctx)
		defer cancel()
		err = errors.Join(err, p.site.removeNext(ctx))
	}
	return err
}

// keptPlaces prints facts about the places of the files that are kept for a release. Its arguments
// are the state's folder and the tag.
const keptPlaces = placeFacts + `
cd "$1" || exit
[ -e "releases/$2/places" ] || { echo "the files kept for $2 are missing: $1/releases/$2" >&2; exit 1; }
while IFS= read -r line; do place "$line"; done <"releases/$2/places"
`

// keptPlaces returns the real paths of the places of the files that are kept for a release.
func (s *Site) keptPlaces(ctx context.Context, tag string) ([]string, error) {
	output, err := s.machine.sh(ctx, keptPlaces, s.state, tag)
	if err != nil {
		return nil, err
	}
	var kept ground
	for text := range strings.Lines(output) {
		kind, fact, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
		kept.note(kind, fact)
	}
	places, err := s.ground.settle(kept.places)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("on %s: put the files of %s back: %w", s.Host(), tag, err), hint.Of(err))
	}
	return places, nil
}

// event is a line of the history on the production machine.
type event struct {
	at      time.Time
	what    string // promoted, rolled-back, failed-…
	release string // its tag
}

// eventOf reads a line of the history; a malformed one gives a zero event.
func eventOf(line string) event {
	fields := strings.Fields(line)
	if len(fields) != 3 || !tagForm.MatchString(fields[2]) {
		return event{}
	}
	at, _ := time.Parse(time.RFC3339, fields[0])
	return event{at, fields[1], fields[2]}
}

// thatRan returns the releases that have run, and so leaves out those of promotions that were
// killed before that.
func (s *Site) thatRan(all []Release) []Release {
	return slices.DeleteFunc(slices.Clone(all), func(r Release) bool { return !s.ran[r.Tag] })
}

// older returns the releases that can be rolled back to from current, the first to be tried
// first. The order is that in which they ran on the machine if its history says so, and
// otherwise that of their age.
func older(past []event, all []Release, current Release) []Release {
	var below []string
	for _, e := range past {
		switch e.what {
		case outcomePromoted:
			below = append(below, e.release)
		case outcomeRolledBack:
			for len(below) > 0 && below[len(below)-1] != e.release {
				below = below[:len(below)-1]
			}
		}
	}
	if n := len(below); n > 0 && below[n-1] == current.Tag {
		var found []Release
		for _, tag := range slices.Backward(below[:n-1]) {
			if i := slices.IndexFunc(all, func(r Release) bool { return r.Tag == tag }); i >= 0 {
				found = append(found, all[i])
			}
		}
		return found
	}
	return slices.DeleteFunc(slices.Clone(all), func(r Release) bool { return r.Tag == current.Tag || newer(r, current) <= 0 })
}
