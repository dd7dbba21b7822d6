package runner

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"runtests/pkg/container"
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

// Wherever taking the name is cut off, the next run's sweep leaves one container
// under the name, whole, and nothing else: the new one or the one before.
func TestTakeNameIsNeverCutOffHalfway(t *testing.T) {
	for calls := range 8 {
		e := holding([]container.Summary{
			{ID: "old", Name: "prod", State: "exited", Labels: map[string]string{LabelRun: "/logs/1", LabelMachine: "m", LabelKeep: "prod"}},
			{ID: "new", Name: "runtests-x", State: "exited", Labels: map[string]string{LabelRun: "/logs/2", LabelMachine: "m", LabelKeep: "prod"}},
			{ID: "failed", Name: "prod-failed", State: "exited", Labels: map[string]string{LabelRun: "/logs/0", LabelMachine: "m", LabelKeep: "prod"}},
		}...)
		e.DieAfter(calls, errDead)
		err := takeName(t.Context(), e, e, "new", "prod")
		e.DieAfter(-1, nil)
		if _, errs := Sweep(t.Context(), e, e, "m", func(string) (bool, error) { return false, nil }); len(errs) > 0 {
			t.Fatal(errs)
		}
		got := names(e)
		want := "prod-failed=failed prod=old"
		if err == nil || calls >= 3 {
			want = "prod-failed=failed prod=new"
		}
		if got != want {
			t.Errorf("cut off after %d calls: %s, want %s", calls, got, want)
		}
	}
}

func TestSweep(t *testing.T) {
	labels := func(run, keep string) map[string]string {
		l := map[string]string{LabelMachine: "m", LabelRun: run}
		if keep != "" {
			l[LabelKeep] = keep
		}
		return l
	}
	e := holding([]container.Summary{
		{ID: "1", Name: "of-a-dead-run", State: "running", Labels: labels("/dead", "")},
		{ID: "2", Name: "of-a-living-run", State: "running", Labels: labels("/living", "")},
		{ID: "3", Name: "nobody-knows", State: "running", Labels: labels("/unknown", "")},
		{ID: "4", Name: "prod", State: "exited", Labels: labels("/dead", "prod")},
		{ID: "5", Name: "prod-failed", State: "exited", Labels: labels("/dead", "prod")},
		{ID: "6", Name: "prod-and-more", State: "exited", Labels: labels("/dead", "prod")},
		{ID: "7", Name: "without-our-label", State: "exited", Labels: map[string]string{LabelMachine: "m"}},
	}...)
	unknown := errors.New("permission denied")
	removed, errs := Sweep(t.Context(), e, e, "m", func(folder string) (bool, error) {
		switch folder {
		case "/living":
			return true, nil
		case "/unknown":
			return false, unknown
		}
		return false, nil
	})
	if len(removed) != 2 || removed[0].ID != "1" || removed[1].ID != "6" {
		t.Errorf("removed %v", removed)
	}
	if len(errs) != 1 || !errors.Is(errs[0], unknown) {
		t.Errorf("errors %v", errs)
	}
	if got := names(e); got != "nobody-knows=3 of-a-living-run=2 prod-failed=5 prod=4 without-our-label=7" {
		t.Errorf("left: %s", got)
	}
}

// What is promoted again is the newest container that has the name it was to have when its
// test passed: not one that failed, was never renamed, or runs.
func TestLastKept(t *testing.T) {
	labels := func(keep string) map[string]string {
		return map[string]string{LabelMachine: "m", LabelSuite: "suite", LabelStep: "step", LabelRun: "/logs/1", LabelKeep: keep}
	}
	at := func(hour int) time.Time { return time.Date(2026, 11, 22, hour, 0, 0, 0, time.UTC) }
	other := labels("elsewhere")
	other[LabelStep] = "another"
	never := []container.Summary{
		{ID: "failed", Name: "prod-failed", State: "exited", Created: at(3), Labels: labels("prod")},
		{ID: "cut off", Name: "runtests-x", State: "exited", Created: at(4), Labels: labels("prod")},
		{ID: "runs", Name: "third", State: "running", Created: at(5), Labels: labels("third")},
		{ID: "of another step", Name: "elsewhere", State: "exited", Created: at(6), Labels: other},
	}
	e := holding(append(never,
		container.Summary{ID: "older", Name: "prod", State: "exited", Created: at(1), Labels: labels("prod")},
		container.Summary{ID: "newer", Name: "other", State: "exited", Created: at(2), Labels: labels("other")})...)
	last, ok, err := LastKept(t.Context(), e, "m", "suite", "step")
	if err != nil || !ok || last.ID != "newer" {
		t.Errorf("%+v, %v, %v", last, ok, err)
	}
	e = holding(never...)
	if last, ok, err := LastKept(t.Context(), e, "m", "suite", "step"); err != nil || ok {
		t.Errorf("%+v, %v", last, err)
	}
}
