package runner

import (
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/history"
	"runtests/pkg/report"
)

// The labels on every container that a run creates. All of them are always set: an empty one means
// that there is none, and covers what the image says. A container that only has our labels is not
// ours (see identify).
const (
	LabelRun     = "runtests.run"     // the run's folder, absolute
	LabelMachine = "runtests.machine" // the machine that the folder is on
	LabelSuite   = "runtests.suite"
	LabelStep    = "runtests.step"
	LabelKeep    = "runtests.keep"   // the name under which to keep it
	LabelCommit  = "runtests.commit" // of a container to keep: the git commit of the directory of the test, then -dirty if it has uncommitted changes, -untrusted if tests can write the repository
)

// Labels returns the labels of a container, which Container.Named completes.
func Labels(folder, machine, suite, step, keep, commit string) map[string]string {
	return map[string]string{
		LabelRun: folder, LabelMachine: machine, LabelSuite: suite, LabelStep: step, LabelKeep: keep, LabelCommit: commit,
	}
}

// identity is what a container is to us.
type identity int

const (
	foreign  identity = iota // not ours, or not provably: never stopped, renamed or removed
	created                  // it has the name under which a run created it
	kept                     // it has the name under which a run kept it
	putAside                 // it was kept, and a successor is taking its name
)

// recognize returns what a container is to this machine. A container that was to be kept was
// renamed, so that nothing but its ID tells it from a copy of it: it is ours if its run noted the ID.
func recognize(c container.Summary, machine string) (identity, error) {
	what := identify(c)
	if what == foreign || c.Labels[LabelMachine] != machine {
		return foreign, nil
	}
	if what == created {
		return what, nil
	}
	noted, err := isNoted(c)
	if !noted || err != nil {
		return foreign, err
	}
	return what, nil
}

// createdName is the form of the names under which runs create containers: those of steps end with
// 8 hexadecimal digits, those of inventories with 8 characters of base 32 (RFC 4648).
var createdName = regexp.MustCompile(`^runtests-(.+)-([0-9a-f]{8}|[a-z2-7]{8})$`)

// hexadecimal matches the end of the name of a step's container.
var hexadecimal = regexp.MustCompile(`^[0-9a-f]{8}$`)

// identify returns what a container says that it is, by its name and labels.
func identify(c container.Summary) identity {
	if !filepath.IsAbs(c.Labels[LabelRun]) {
		return foreign
	}
	if hasCreatedName(c) {
		return created
	}
	keep := c.Labels[LabelKeep]
	if keep == "" {
		return foreign
	}
	switch name, aside := strings.CutSuffix(c.Name, previousSuffix); {
	case c.Name == keep, c.Name == keep+failedSuffix:
		return kept
	case aside && (name == keep || name == keep+failedSuffix):
		return putAside
	}
	return foreign
}

// hasCreatedName reports whether a container has the name under which it was created. Versions that
// did not set container.LabelName named a container after its test, the first part of its step's
// name; those of inventories have no step.
func hasCreatedName(c container.Summary) bool {
	m := createdName.FindStringSubmatch(c.Name)
	if m == nil {
		return false
	}
	if name := c.Labels[container.LabelName]; name != "" {
		return name == c.Name
	}
	step := container.SafeName(c.Labels[LabelStep])
	if step == "" {
		return m[1] == "inventory"
	}
	return hexadecimal.MatchString(m[2]) && strings.HasPrefix(step+"_", m[1]+"_")
}

// isNoted reports whether the run of a container noted that it kept the container. It takes what
// another user noted, and we may not read, for nothing.
func isNoted(c container.Summary) (bool, error) {
	folder := c.Labels[LabelRun]
	note, ok, err := history.ReadKept(filepath.Dir(folder), c.ID)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return false, nil
	case err != nil:
		return false, err
	case ok:
		return note.Run == filepath.Base(folder) && note.Name == strings.TrimSuffix(c.Name, previousSuffix), nil
	case c.Labels[container.LabelName] != "":
		return false, nil
	}
	from, to := periodOf(folder)
	return within(c.Created, from, to), nil
}

// clockSlack is how far the engine's clock may be from ours.
const clockSlack = time.Minute

// within reports whether a time of the engine's clock lies between two of ours.
func within(at, from, to time.Time) bool {
	return !at.Before(from.Add(-clockSlack)) && !at.After(to.Add(clockSlack))
}

// longestRun is how long a run takes at most, if its record is gone.
const longestRun = 24 * time.Hour

// periodOf returns when the run of a folder began and ended, as exactly as its record or its name
// says. It is for the containers of versions that noted nothing: a copy of one was made later. The
// zero times mean that the folder is not that of a run.
func periodOf(folder string) (from, to time.Time) {
	if run, err := history.OpenFolder(folder); err == nil && !run.Finished.IsZero() {
		return run.Started, run.Finished
	}
	from, ok := report.LaunchTime(filepath.Base(folder))
	if !ok {
		return time.Time{}, time.Time{}
	}
	return from, from.Add(longestRun)
}
