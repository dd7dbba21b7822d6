package runner

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"runtests/pkg/container"
)

// cutOff is an engine in memory whose caller dies after a number of calls: what a
// real engine cannot be made to show between any two of them.
type cutOff struct {
	containers []container.Summary
	calls      int // that are answered; then every call fails and does nothing
}

var errDead = errors.New("dead")

func (e *cutOff) call() error {
	if e.calls == 0 {
		return errDead
	}
	e.calls--
	return nil
}

func (e *cutOff) Containers(context.Context, map[string]string) ([]container.Summary, error) {
	return slices.Clone(e.containers), e.call()
}

func (e *cutOff) ContainerNamed(_ context.Context, name string) (container.Summary, bool, error) {
	i := slices.IndexFunc(e.containers, func(c container.Summary) bool { return c.Name == name })
	if err := e.call(); err != nil || i < 0 {
		return container.Summary{}, false, err
	}
	return e.containers[i], true, nil
}

func (e *cutOff) Rename(_ context.Context, id, name string) error {
	if err := e.call(); err != nil {
		return err
	}
	if slices.ContainsFunc(e.containers, func(c container.Summary) bool { return c.Name == name }) {
		return container.ErrNameTaken
	}
	i := slices.IndexFunc(e.containers, func(c container.Summary) bool { return c.ID == id })
	e.containers[i].Name = name
	return nil
}

func (e *cutOff) Remove(_ context.Context, id string) error {
	if err := e.call(); err != nil {
		return err
	}
	e.containers = slices.DeleteFunc(e.containers, func(c container.Summary) bool { return c.ID == id })
	return nil
}

func (*cutOff) Run(context.Context, container.Container, io.Writer) (container.Exit, error) {
	return container.Exit{}, errDead
}
func (*cutOff) Image(context.Context, string) (container.Image, error) {
	return container.Image{}, errDead
}
func (*cutOff) Pull(context.Context, string, string, io.Writer) error { return errDead }
func (*cutOff) Ping(context.Context) error                            { return errDead }
func (e *cutOff) names() []string {
	var names []string
	for _, c := range e.containers {
		names = append(names, c.Name+"="+c.ID)
	}
	slices.Sort(names)
	return names
}

// Wherever taking the name is cut off, the next run's sweep leaves one container
// under the name, whole, and nothing else: the new one or the one before.
func TestTakeIsNeverCutOffHalfway(t *testing.T) {
	for calls := range 8 {
		e := &cutOff{calls: calls, containers: []container.Summary{
			{ID: "old", Name: "prod", State: "exited", Labels: map[string]string{LabelRun: "/logs/1", LabelMachine: "m", LabelKeep: "prod"}},
			{ID: "new", Name: "runtests-x", State: "exited", Labels: map[string]string{LabelRun: "/logs/2", LabelMachine: "m", LabelKeep: "prod"}},
			{ID: "failed", Name: "prod-failed", State: "exited", Labels: map[string]string{LabelRun: "/logs/0", LabelMachine: "m", LabelKeep: "prod"}},
		}}
		err := take(t.Context(), e, "new", "prod")
		e.calls = 100
		if _, errs := Sweep(t.Context(), e, "m", func(string) (bool, error) { return false, nil }); len(errs) > 0 {
			t.Fatal(errs)
		}
		got := strings.Join(e.names(), " ")
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
	e := &cutOff{calls: 100, containers: []container.Summary{
		{ID: "1", Name: "of-a-dead-run", State: "running", Labels: labels("/dead", "")},
		{ID: "2", Name: "of-a-living-run", State: "running", Labels: labels("/living", "")},
		{ID: "3", Name: "nobody-knows", State: "running", Labels: labels("/unknown", "")},
		{ID: "4", Name: "prod", State: "exited", Labels: labels("/dead", "prod")},
		{ID: "5", Name: "prod-failed", State: "exited", Labels: labels("/dead", "prod")},
		{ID: "6", Name: "prod-and-more", State: "exited", Labels: labels("/dead", "prod")},
		{ID: "7", Name: "without-our-label", State: "exited", Labels: map[string]string{LabelMachine: "m"}},
	}}
	unknown := errors.New("permission denied")
	removed, errs := Sweep(t.Context(), e, "m", func(folder string) (bool, error) {
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
	if got := strings.Join(e.names(), " "); got != "nobody-knows=3 of-a-living-run=2 prod-failed=5 prod=4 without-our-label=7" {
		t.Errorf("left: %s", got)
	}
}

// What is promoted again is the newest container that has the name it was to have when its
// test passed: not one that failed, was never renamed, or runs.
func TestLastKept(t *testing.T) {
	labels := map[string]string{LabelMachine: "m", LabelRun: "/logs/1", LabelKeep: "prod"}
	at := func(hour int) time.Time { return time.Date(2026, 11, 22, hour, 0, 0, 0, time.UTC) }
	e := &cutOff{calls: 100, containers: []container.Summary{
		{ID: "older", Name: "prod", State: "exited", Created: at(1), Labels: labels},
		{ID: "newer", Name: "other", State: "exited", Created: at(2), Labels: map[string]string{LabelKeep: "other"}},
		{ID: "failed", Name: "prod-failed", State: "exited", Created: at(3), Labels: labels},
		{ID: "cut off", Name: "runtests-x", State: "exited", Created: at(4), Labels: labels},
		{ID: "runs", Name: "third", State: "running", Created: at(5), Labels: map[string]string{LabelKeep: "third"}},
	}}
	last, ok, err := LastKept(t.Context(), e, "m", "suite", "step")
	if err != nil || !ok || last.ID != "newer" {
		t.Errorf("%+v, %v, %v", last, ok, err)
	}
	e.containers = e.containers[2:]
	if last, ok, err := LastKept(t.Context(), e, "m", "suite", "step"); err != nil || ok {
		t.Errorf("%+v, %v", last, err)
	}
}
