package runner

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/history"
	"runtests/pkg/runner/executortest"
)

var errDead = errors.New("dead")

// holding returns an executor with these containers.
func holding(containers ...container.Summary) *executortest.Executor {
	e := executortest.New()
	e.Add(containers...)
	return e
}

// names returns the names and IDs of an executor's containers.
func names(e *executortest.Executor) string {
	var names []string
	for _, c := range e.All() {
		names = append(names, c.Name+"="+c.ID)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// id returns the ID of a container for a test.
func id(n int) string { return fmt.Sprintf("%064x", n) }

// launched is the launch of the runs whose containers these tests have.
var launched = time.Date(2026, 11, 22, 3, 0, 4, 0, time.Local)

// keptBy returns a container that a run in logs kept for a step under name, and notes it.
func keptBy(t *testing.T, logs string, n int, run, keep, name string) container.Summary {
	t.Helper()
	labels := Labels(filepath.Join(logs, run), "m", "suite", "step@image", keep, "")
	labels[container.LabelName] = fmt.Sprintf("runtests-step-%08x", n)
	c := container.Summary{ID: id(n), Name: name, State: "exited", Labels: labels, Created: launched.Add(time.Duration(n) * time.Second)}
	note(t, logs, c)
	return c
}

// note notes c as the run of its label does.
func note(t *testing.T, logs string, c container.Summary) {
	t.Helper()
	k := history.Kept{ID: c.ID, Name: strings.TrimSuffix(c.Name, previousSuffix), Run: filepath.Base(c.Labels[LabelRun]), Finished: c.Created.Add(time.Second), ImageID: "sha256:image"}
	if !strings.HasPrefix(c.Name, c.Labels[LabelKeep]) {
		k.Name = c.Labels[LabelKeep]
	}
	if err := history.NoteKept(logs, k); err != nil {
		t.Fatal(err)
	}
}

// Wherever taking the name is cut off, the next run's sweep leaves one container
// under the name, whole, and nothing else: the new one or the one before.
func TestTakeNameIsNeverCutOffHalfway(t *testing.T) {
	for calls := range 8 {
		logs := t.TempDir()
		old := keptBy(t, logs, 1, "2026-11-22T03-00-01", "prod", "prod")
		successor := keptBy(t, logs, 2, "2026-11-22T03-00-02", "prod", "runtests-step-00000002")
		failed := keptBy(t, logs, 3, "2026-11-22T03-00-00", "prod", "prod-failed")
		e := holding(old, successor, failed)
		e.DieAfter(calls, errDead)
		err := takeName(t.Context(), e, e, "m", successor.ID, "prod")
		e.DieAfter(-1, nil)
		if _, errs := Sweep(t.Context(), e, e, "m", func(string) (bool, error) { return false, nil }); len(errs) > 0 {
			t.Fatal(errs)
		}
		got := names(e)
		want := "prod-failed=" + failed.ID + " prod=" + old.ID
		if err == nil || calls >= 3 {
			want = "prod-failed=" + failed.ID + " prod=" + successor.ID
		}
		if got != want {
			t.Errorf("cut off after %d calls: %s, want %s", calls, got, want)
		}
		if _, ok, err := history.ReadKept(logs, old.ID); err != nil || ok != strings.Contains(got, old.ID) {
			t.Errorf("cut off after %d calls: the note of the old one is there: %v, %v", calls, ok, err)
		}
	}
}

// A container is ours by what nobody can hand on. Labels are handed on: an image's LABEL and docker
// commit give them to every container of such an image.
func TestRecognize(t *testing.T) {
	logs := t.TempDir()
	const run = "2026-11-22T03-00-04"
	labels := func(change ...string) map[string]string {
		all := Labels(filepath.Join(logs, run), "m", "suite", "step@image", "prod", "")
		all[container.LabelName] = "runtests-step-0123abcd"
		for i := 0; i < len(change); i += 2 {
			all[change[i]] = change[i+1]
		}
		return all
	}
	older := func(change ...string) map[string]string { // of a version that knew neither LabelName nor notes
		all := labels(change...)
		delete(all, container.LabelName)
		return all
	}
	noted := keptBy(t, logs, 1, run, "prod", "prod")
	inTime, later := launched.Add(time.Hour), launched.Add(48*time.Hour)
	for _, test := range []struct {
		what    string
		name    string
		id      string
		labels  map[string]string
		created time.Time
		want    identity
	}{
		{"of a step", "runtests-step-0123abcd", id(9), labels(), inTime, created},
		{"of an inventory", "runtests-inventory-abcdefg2", id(9), labels(LabelStep, "", LabelKeep, "", container.LabelName, "runtests-inventory-abcdefg2"), inTime, created},
		{"kept", "prod", noted.ID, labels(), inTime, kept},
		{"put aside", "prod-previous", noted.ID, labels(), inTime, putAside},

		{"a copy, under a name of its user", "mine", id(9), labels(), inTime, foreign},
		{"a copy, under a name of our form", "runtests-step-99999999", id(9), labels(), inTime, foreign},
		{"a copy, under the kept name", "prod", id(9), labels(), later, foreign},
		{"a copy, under the kept name, at once", "prod", id(9), labels(), inTime, foreign},
		{"a copy, as if put aside", "prod-previous", id(9), labels(), inTime, foreign},
		{"a copy, as if failed", "prod-failed", id(9), labels(), inTime, foreign},
		{"the kept one, renamed", "mine", noted.ID, labels(), inTime, foreign},
		{"the kept one, renamed as if failed", "prod-failed", noted.ID, labels(), inTime, foreign},
		{"of another machine", "runtests-step-0123abcd", id(9), labels(LabelMachine, "other"), inTime, foreign},
		{"kept by another run's label", "prod", noted.ID, labels(LabelRun, filepath.Join(logs, "2026-11-23T03-00-04")), inTime, foreign},
		{"an image that names every label", "db", id(9), map[string]string{LabelRun: "/tmp/x", LabelMachine: "m", LabelKeep: "db", container.LabelName: "db"}, inTime, foreign},
		{"a relative folder", "runtests-step-0123abcd", id(9), labels(LabelRun, "x"), inTime, foreign},
		{"no folder", "runtests-step-0123abcd", id(9), labels(LabelRun, ""), inTime, foreign},
		{"empty labels", "", id(9), labels(LabelKeep, "", container.LabelName, ""), inTime, foreign},
		{"named as its failed one, kept under no name", "-failed", id(9), labels(LabelKeep, ""), inTime, foreign},

		{"earlier version: of a step", "runtests-step-0123abcd", id(9), older(LabelKeep, ""), later, created},
		{"earlier version: a name of its user that ends in a word", "runtests-step-frontend", id(9), older(LabelKeep, ""), later, foreign},
		{"earlier version: of a test with odd characters", "runtests-a_b.c-0123abcd", id(9), older(LabelStep, "a/b.c@debian:12"), later, created},
		{"earlier version: of a step without an image", "runtests-step-0123abcd", id(9), older(LabelStep, "step"), later, created},
		{"earlier version: of an inventory", "runtests-inventory-abcdefg2", id(9), map[string]string{LabelRun: filepath.Join(logs, run), LabelMachine: "m"}, later, created},
		{"earlier version: kept", "prod", id(9), older(), inTime, kept},
		{"earlier version: put aside", "prod-failed-previous", id(9), older(), inTime, putAside},
		{"earlier version: a copy of a step's, under its user's name", "db", id(9), older(LabelKeep, ""), inTime, foreign},
		{"earlier version: a copy of a step's, under another test's name", "runtests-other-0123abcd", id(9), older(), inTime, foreign},
		{"earlier version: a copy of the kept one, later", "prod", id(9), older(), later, foreign},
		{"earlier version: kept, not by a run", "prod", id(9), older(LabelRun, "/tmp/x"), inTime, foreign},
	} {
		c := container.Summary{ID: test.id, Name: test.name, State: "running", Labels: test.labels, Created: test.created}
		if got, err := recognize(c, "m"); err != nil || got != test.want {
			t.Errorf("%s: %v, %v, want %v", test.what, got, err, test.want)
		}
	}
}

func TestSweep(t *testing.T) {
	logs := t.TempDir()
	of := func(n int, run, keep, name string) container.Summary {
		labels := Labels(run, "m", "suite", "step@image", keep, "")
		labels[container.LabelName] = fmt.Sprintf("runtests-step-%08x", n)
		if name == "" {
			name = labels[container.LabelName]
		}
		return container.Summary{ID: id(n), Name: name, State: "running", Labels: labels}
	}
	e := holding(
		of(1, "/dead/run", "", ""),
		of(2, "/living/run", "", ""),
		of(3, "/unknown/run", "", ""),
		keptBy(t, logs, 4, "2026-11-22T03-00-04", "prod", "prod"),
		keptBy(t, logs, 5, "2026-11-22T03-00-04", "prod", "prod-failed"),
		of(6, "/dead/run", "prod", "prod-and-more"),
		of(7, "/dead/run", "copied", "copied"),
		of(8, "/dead/run", "", "a-copy"),
		container.Summary{ID: id(9), Name: "without-our-label", State: "exited", Labels: map[string]string{LabelMachine: "m"}},
	)
	before := names(e)
	unknown := errors.New("permission denied")
	alive := func(folder string) (bool, error) {
		switch folder {
		case "/living/run":
			return true, nil
		case "/unknown/run":
			return false, unknown
		}
		return false, nil
	}
	left, _ := Leftovers(t.Context(), e, "m", alive)
	removed, errs := Sweep(t.Context(), e, e, "m", alive)
	for _, found := range [][]container.Summary{left, removed} {
		if len(found) != 1 || found[0].ID != id(1) {
			t.Errorf("removed %v", found)
		}
	}
	if len(errs) != 1 || !errors.Is(errs[0], unknown) {
		t.Errorf("errors %v", errs)
	}
	if got, want := names(e), strings.Replace(before, "runtests-step-00000001="+id(1)+" ", "", 1); got != want {
		t.Errorf("left: %s, want %s", got, want)
	}
}

// What is not provably ours, or runs, is not replaced, and the error says which of the two.
func TestReplaceable(t *testing.T) {
	logs := t.TempDir()
	ours := keptBy(t, logs, 1, "2026-11-22T03-00-04", "prod", "prod")
	running := keptBy(t, logs, 2, "2026-11-22T03-00-04", "again", "again")
	running.State = "running"
	copied := ours
	copied.ID, copied.Name = id(3), "prod-failed"
	e := holding(ours, running, copied, container.Summary{ID: id(4), Name: "theirs", State: "exited"})
	for name, want := range map[string]string{
		"prod": "", "free": "", "again": "it is running", "theirs": "it was not created by runtests",
		"prod-failed": "it is not one that a run here kept, though it has the labels of one",
	} {
		_, _, err := replaceable(t.Context(), e, "m", name)
		if (err == nil) != (want == "") || err != nil && (!strings.HasSuffix(err.Error(), want) || hint.Of(err) == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := replaceable(t.Context(), e, "another", "prod"); err == nil {
		t.Error("replaceable by another machine, which cannot know")
	}
}
