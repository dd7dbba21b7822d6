package runner

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/region"
	"runtests/pkg/report"
	"runtests/pkg/runner/executortest"
	"runtests/pkg/suite"
)

// regionsOf returns the regions of a suite of these steps.
func regionsOf(steps []suite.Step) *region.Set {
	return (&suite.Suite{Steps: steps}).Regions()
}

// swap replaces the directory by a link, or the link by a directory.
func swap(path, target string) {
	_ = os.RemoveAll(path)
	_ = os.Symlink(target, path)
}

// What a container has replaced by a link is neither mounted nor copied, in a retry, in a later step
// and in the next run. The run tells it, with the remedy.
func TestNoMountThroughALink(t *testing.T) {
	dir := t.TempDir()
	test, cache, outside := filepath.Join(dir, "t"), filepath.Join(dir, "t", "cache"), filepath.Join(dir, "outside")
	for _, d := range []string{cache, outside} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ran := map[string]int{}
	e := inMemory()
	e.Program("swap", func(*executortest.Process) int { swap(cache, outside); ran["swap"]++; return 1 })
	e.Program("use", func(*executortest.Process) int { ran["use"]++; return 0 })
	steps := stepsOf("swap", "use", "use", "use", "pass")
	rw := container.Mount{Source: test, Target: "/test"}
	steps[0].Retries = 1
	steps[0].Container.Mounts = []container.Mount{rw, {Source: cache, Target: "/cache"}}
	steps[1].Container.Mounts = []container.Mount{{Source: cache, Target: "/test", ReadOnly: true}}
	steps[2].Container.Copies = []container.Copy{{Source: filepath.Join(cache, "deep"), Target: "/test"}}
	steps[3].Container.Mounts = []container.Mount{{Source: cache, Target: "/test"}}
	steps[4].Container.Mounts = []container.Mount{rw}
	config := func(c *Config) { c.Regions = regionsOf(steps) }

	want := []string{"broken", "broken", "broken", "broken", "passed"}
	for range 2 { // runs
		run, got := runSteps(t.Context(), t, e, steps, config)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]int{"swap": 1}, ran); diff != "" {
			t.Error(diff)
		}
		for _, step := range run.Steps[:4] {
			if !strings.Contains(step.Reason, cache) || !strings.Contains(step.Reason, "link") || !strings.Contains(step.Hint, "mount: copy") {
				t.Errorf("%s: %q, %q", step.Name, step.Reason, step.Hint)
			}
		}
	}
	if _, got := runSteps(t.Context(), t, e, steps[1:2], nil); got[0] != "passed" {
		t.Errorf("a suite that is trusted: %v", got)
	}
}

// A trial has the files of another commit: a link among them is not followed either.
func TestNoTrialThroughALink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/", filepath.Join(dir, "cache")); err != nil {
		t.Fatal(err)
	}
	e := inMemory()
	step := stepsOf("pass")[0]
	r := &Runner{config: Config{Executor: e, Regions: regionsOf(nil)}}
	step.Container.Mounts = []container.Mount{{Source: dir, Target: "/test"}, {Source: filepath.Join(dir, "cache"), Target: "/cache"}}
	exit, err := r.runGuarded(t.Context(), step, step.Container, nil)
	if err == nil || hint.Of(err) == "" || exit.ID != "" || len(e.All()) > 0 {
		t.Errorf("%+v, %v", exit, err)
	}
}

// unwatched is an Observer for steps that run at the same time.
type unwatched struct{}

func (unwatched) Started(int, report.Result, *Log)        {}
func (unwatched) Finished(int, report.Result)             {}
func (unwatched) Trying(int, report.Result, string, *Log) {}
func (unwatched) Diagnosed(int, report.Result)            {}

// While a container swaps a directory and a link, as fast as it can, no other that gets the directory
// starts: it could get the link. Each step comes to its turn.
func TestNoSwapBetweenLookAndMount(t *testing.T) {
	dir := t.TempDir()
	test, cache := filepath.Join(dir, "t"), filepath.Join(dir, "t", "cache")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	var swapping atomic.Int32
	e := inMemory()
	e.Program("swap", func(*executortest.Process) int {
		swapping.Add(1)
		defer swapping.Add(-1)
		for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
			swap(cache, dir)
			_ = os.Remove(cache)
			_ = os.Mkdir(cache, 0o755)
		}
		return 0
	})
	e.Program("use", func(*executortest.Process) int {
		if swapping.Load() > 0 {
			t.Error("it runs beside a container that can replace what it gets")
		}
		return 0
	})
	var programs []string
	for range 5 {
		programs = append(programs, "swap", "use", "use", "use")
	}
	steps := stepsOf(programs...)
	for i := range steps {
		c := &steps[i].Container
		switch i % 4 {
		case 0:
			c.Mounts = []container.Mount{{Source: test, Target: "/test"}}
		case 1:
			c.Mounts = []container.Mount{{Source: cache, Target: "/test", ReadOnly: true}}
		case 2:
			c.Copies = []container.Copy{{Source: cache, Target: "/test"}}
		case 3:
			c.Mounts = []container.Mount{{Source: filepath.Join(cache, "new"), Target: "/test"}}
		}
	}
	_, got := runSteps(t.Context(), t, e, steps, func(c *Config) { c.Regions, c.Jobs, c.Observer = regionsOf(steps), 4, unwatched{} })
	for i, outcome := range got {
		if outcome != string(report.Passed) {
			t.Errorf("step %d: %s", i, outcome)
		}
	}
}
