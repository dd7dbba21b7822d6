package images

import (
	"fmt"
	"strings"
	"time"

	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// decision is whether an image is built, and how.
type decision struct {
	why     string // in words, why it is built; empty: it is current
	noCache bool
}

// decide compares the image that has the name with the inputs now.
func (w *update) decide() decision {
	var reasons []string
	switch {
	case w.before == nil:
		reasons = append(reasons, "there is no image of that name")
	case w.was == nil:
		reasons = append(reasons, "the image of that name was not built by runtests")
	}
	rebuild := w.image.Build.Rebuild
	due := w.due(rebuild, w.was)
	if w.Rebuild {
		reasons = append(reasons, "--rebuild")
	} else if due != "" && (w.was != nil || rebuild.Always) {
		reasons = append(reasons, due)
	}
	if w.was != nil && w.was.digest != w.now.digest {
		reasons = append(reasons, changes(w.image, *w.was, w.now)...)
	}
	return decision{why: strings.Join(reasons, "; "), noCache: w.Rebuild || due != ""}
}

// changes returns in words which inputs have changed.
func changes(i Image, was, now record) (changed []string) {
	if was.inputs.Format != now.inputs.Format {
		return []string{"it was built by another version of runtests"}
	}
	for _, part := range []struct{ name, was, now string }{
		{"its Dockerfile has changed", was.inputs.Dockerfile, now.inputs.Dockerfile},
		{"its context has changed", was.inputs.Context, now.inputs.Context},
		{"its build arguments have changed", was.inputs.Args, now.inputs.Args},
		{"its target, platform or labels have changed", was.inputs.Settings, now.inputs.Settings},
	} {
		if part.was != part.now {
			changed = append(changed, part.name)
		}
	}
	for _, need := range i.Needs {
		if ref := i.parents[need]; was.parents[ref] != now.parents[ref] {
			changed = append(changed, fmt.Sprintf("its parent %s has changed", need))
		}
	}
	for _, base := range i.Bases {
		if was.parents[base] != now.parents[base] {
			changed = append(changed, fmt.Sprintf("the image %s that it is built on has changed", base))
		}
	}
	if len(changed) == 0 { // a build argument named a parent that is gone, or somebody changed a label
		changed = append(changed, "what it is built on has changed")
	}
	return changed
}

// due returns in words why it is time to build an image again without cache; empty: it is not.
// was is nil if the image is not ours.
func (u *Updater) due(rebuild suite.Rebuild, was *record) string {
	if rebuild.Always {
		return "rebuild: always"
	}
	if rebuild == (suite.Rebuild{}) {
		return ""
	}
	word := interval(rebuild)
	if was == nil || was.fresh.IsZero() {
		return fmt.Sprintf("never built without cache (rebuild: %s)", word)
	}
	fresh, built := was.fresh, "built"
	if !was.built.Equal(fresh) {
		built = "last built without cache"
	}
	if days := calendarDays(fresh, u.Started); rebuild.Days > 0 && days >= rebuild.Days {
		return fmt.Sprintf("%s %s (rebuild: %s)", built, daysAgo(days), word)
	}
	age := u.Started.Sub(fresh)
	if rebuild.After > 0 && age >= rebuild.After-tolerance(rebuild.After) {
		return fmt.Sprintf("%s %s ago (rebuild: %s)", built, shownAge(age), word)
	}
	return ""
}

// shownAge rounds an age for the report: from an hour on it has no seconds.
func shownAge(age time.Duration) report.Duration {
	unit := time.Second
	if age >= time.Hour {
		unit = time.Minute
	}
	return report.Duration(age.Round(unit))
}

// interval returns a Rebuild as the suite file has it.
func interval(r suite.Rebuild) string {
	switch {
	case r.Days == 1:
		return "daily"
	case r.Days == 7:
		return "weekly"
	case r.Days > 0:
		return fmt.Sprintf("%d days", r.Days)
	}
	return report.Duration(r.After).String()
}

// tolerance returns how much earlier than asked a build is due: cron does not start a run to the
// second.
func tolerance(after time.Duration) time.Duration {
	return min(after/10, 5*time.Minute)
}

// calendarDays returns how many midnights, in the time zone of to, lie between two times.
func calendarDays(from, to time.Time) int {
	return int(midnight(to).Sub(midnight(from.In(to.Location()))) / (24 * time.Hour))
}

// midnight returns the beginning of t's day in UTC, where every day has 24 hours.
func midnight(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

func daysAgo(days int) string {
	if days == 1 {
		return "yesterday"
	}
	return fmt.Sprintf("%d days ago", days)
}
