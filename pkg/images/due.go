package images

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"runtests/pkg/buildcontext"
	"runtests/pkg/container"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// digestFormat is part of every digest: it grows when what goes into one changes, and then
// all images are built once more.
const digestFormat = 1

// inputs is what an image is made of, but for the images it is built on: SHA-256 sums, in
// hexadecimal.
type inputs struct {
	Format     int    `json:"format"`
	Dockerfile string `json:"dockerfile"`
	Context    string `json:"context"`
	Args       string `json:"args"`
	Settings   string `json:"settings"` // target, labels, platform
}

// inputsOf sums up what a build is made of. The sum of the arguments tells those of a secret
// no more than the engine does, which keeps build arguments in the image's history.
func inputsOf(b *suite.Build, content *buildcontext.Context) inputs {
	args := slices.Clone(b.Args)
	slices.SortStableFunc(args, func(x, y container.Variable) int { return cmp.Compare(x.Name, y.Name) })
	var pairs [][2]string
	for _, a := range args {
		pairs = append(pairs, [2]string{a.Name, a.Value})
	}
	return inputs{
		Format: digestFormat, Dockerfile: content.DockerfileDigest(), Context: content.Digest(),
		Args: sum(pairs), Settings: sum([]any{b.Target, b.Platform, b.Labels}),
	}
}

// digest is that of all an image is made of.
func (i inputs) digest(parents map[string]string) string {
	return sum([]any{i, parents})
}

// sum is the SHA-256 of a value as JSON, which has the keys of a map in order.
func sum(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("sum up %T: %v", value, err)) // strings and maps of them can be written
	}
	hash := sha256.Sum256(text)
	return hex.EncodeToString(hash[:])
}

// verdict is what is to be done about an image.
type verdict struct {
	current bool
	why     string // it is built
	noCache bool
}

// decide compares an image with what it would be built to now. before is nil when there is
// none; was is nil when it is none of ours.
func (u *Updater) decide(i Image, before *container.Image, was *record, now record) verdict {
	var reasons []string
	var fresh time.Time
	if was != nil {
		fresh = was.fresh
	}
	due := u.due(i.Build.Rebuild, fresh, was)
	switch {
	case before == nil:
		reasons = append(reasons, "there is no image of that name")
	case was == nil:
		reasons = append(reasons, "the image of that name was not built by runtests")
	}
	noCache := u.Rebuild || due != ""
	if u.Rebuild {
		reasons = append(reasons, "--rebuild")
	} else if due != "" && (was != nil || i.Build.Rebuild.Always) {
		reasons = append(reasons, due)
	}
	if was != nil && was.digest != now.digest {
		reasons = append(reasons, changes(i, *was, now)...)
	}
	return verdict{current: len(reasons) == 0, why: strings.Join(reasons, "; "), noCache: noCache}
}

// changes are in words what is not as it was.
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
	if len(changed) == 0 { // a parent is gone from a Dockerfile whose arguments name it, or a label was tampered with
		changed = append(changed, "what it is built on has changed")
	}
	return changed
}

// due says in words that it is time to build an image anew, without cache; empty: it is
// not. fresh is when it last was.
func (u *Updater) due(rebuild suite.Rebuild, fresh time.Time, was *record) string {
	if rebuild.Always {
		return "rebuild: always"
	}
	if rebuild == (suite.Rebuild{}) {
		return ""
	}
	word := interval(rebuild)
	if fresh.IsZero() {
		return fmt.Sprintf("never built without cache (rebuild: %s)", word)
	}
	built := "built"
	if was != nil && !was.built.Equal(fresh) {
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

// shownAge is an age as a person says it: from an hour on without seconds.
func shownAge(age time.Duration) report.Duration {
	unit := time.Second
	if age >= time.Hour {
		unit = time.Minute
	}
	return report.Duration(age.Round(unit))
}

// interval is a Rebuild as the suite has it.
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

// tolerance is how much earlier than asked is enough: cron does not start a run to the
// second.
func tolerance(after time.Duration) time.Duration {
	return min(after/10, 5*time.Minute)
}

// calendarDays is how many midnights, local to to, lie between two times.
func calendarDays(from, to time.Time) int {
	return int(midnight(to).Sub(midnight(from.In(to.Location()))) / (24 * time.Hour))
}

// midnight is the beginning of t's day, in UTC, where every day has 24 hours.
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
