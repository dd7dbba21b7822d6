package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
	"runtests/pkg/history"
	"runtests/pkg/report"
	"runtests/pkg/runner/executortest"
	"runtests/pkg/suite"
)

// inMemory returns an executor with programs that pass, fail, hang and print without end.
func inMemory() *executortest.Executor {
	e := executortest.New("image")
	say := func(p *executortest.Process) { _, _ = io.WriteString(p.Stdout, "it runs\n") }
	e.Program("pass", func(p *executortest.Process) int { say(p); return 0 })
	e.Program("fail", func(p *executortest.Process) int { say(p); return 1 })
	e.Program("hang", func(p *executortest.Process) int {
		say(p)
		select {
		case <-p.Term:
			return 143
		case <-p.Dead:
			return 0
		}
	})
	return e
}

// stepsOf returns a step for each of the programs.
func stepsOf(programs ...string) []suite.Step {
	var steps []suite.Step
	for i, program := range programs {
		steps = append(steps, suite.Step{
			Name: fmt.Sprintf("%d-%s@image", i, program), Test: program, Image: "image", Timeout: time.Minute, PullPolicy: suite.PullMissing,
			Container: container.Container{Image: "image", Command: []string{program}, StopGrace: time.Second},
		})
	}
	return steps
}

// runSteps runs steps one at a time, as change has it, and returns what came of each.
func runSteps(ctx context.Context, t *testing.T, e *executortest.Executor, steps []suite.Step, change func(*Config)) (*report.Run, []string) {
	t.Helper()
	folder, err := history.Create(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	run := &report.Run{Version: report.Version, ID: folder.ID, Folder: folder.Path, Lines: 5}
	config := Config{Executor: e, Keeper: e, Images: e, Machine: "m", Run: run, Folder: folder, Observer: &watched{}, Patience: time.Second}
	if change != nil {
		change(&config)
	}
	if err := New(config).Run(ctx, nil, steps); err != nil {
		t.Fatal(err)
	}
	var outcomes []string
	for _, step := range run.Steps {
		outcomes = append(outcomes, string(step.Outcome))
	}
	return run, outcomes
}

func TestRunLeavesNothing(t *testing.T) {
	e := inMemory()
	steps := stepsOf("pass", "fail", "hang", "nothing", "pass")
	steps[2].Timeout = 100 * time.Millisecond
	steps[4].Container.Image = "no such image"
	_, got := runSteps(t.Context(), t, e, steps, nil)
	if diff := cmp.Diff([]string{"passed", "failed", "timeout", "broken", "broken"}, got); diff != "" {
		t.Error(diff)
	}
	if left := e.All(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

// An executor that goes away costs the step that runs on it, and not the next one when it is
// back in time. What the step left is removed by then.
func TestRunOverAnOutage(t *testing.T) {
	for _, back := range []bool{true, false} {
		t.Run(fmt.Sprintf("back in time %v", back), func(t *testing.T) {
			e := inMemory()
			e.Program("cut", func(p *executortest.Process) int {
				e.Vanish()
				if back {
					time.AfterFunc(100*time.Millisecond, e.Return)
				}
				<-p.Dead
				return 0
			})
			e.Program("count", func(*executortest.Process) int {
				if all := e.All(); len(all) != 1 {
					t.Errorf("beside what was left: %+v", all)
				}
				return 0
			})
			run, got := runSteps(t.Context(), t, e, stepsOf("pass", "cut", "count"), nil)
			want := []string{"passed", "broken", "passed"}
			if !back {
				want[2] = "broken"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if reason := run.Steps[2].Reason; !back && !strings.HasPrefix(reason, "not started: the engine went away during 1-cut@image") {
				t.Errorf("the reason is %q", reason)
			}
			if left := e.All(); back && len(left) > 0 {
				t.Errorf("left: %+v", left)
			}
		})
	}
}

// An output that was cut off is no test that passed.
func TestRunWhoseConnectionIsCut(t *testing.T) {
	e := inMemory()
	e.Program("cut", func(p *executortest.Process) int {
		e.Cut()
		<-p.Dead
		return 0
	})
	run, got := runSteps(t.Context(), t, e, stepsOf("cut", "pass"), nil)
	if diff := cmp.Diff([]string{"broken", "passed"}, got); diff != "" || !strings.Contains(run.Steps[0].Reason, container.ErrTruncated.Error()) {
		t.Errorf("%s\n%s", diff, run.Steps[0].Reason)
	}
}

func TestInterruptedRun(t *testing.T) {
	e := inMemory()
	ctx, cancel := context.WithCancelCause(t.Context())
	e.Program("interrupt", func(p *executortest.Process) int {
		cancel(errors.New("interrupted by SIGINT"))
		<-p.Term
		return 143
	})
	_, got := runSteps(ctx, t, e, stepsOf("pass", "interrupt", "pass"), nil)
	if diff := cmp.Diff([]string{"passed", "interrupted", "interrupted"}, got); diff != "" {
		t.Error(diff)
	}
	if left := e.All(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

// A kept container has its name, whichever way the test ended; what cannot keep any breaks
// the test that passed.
func TestKeptContainer(t *testing.T) {
	for _, test := range []struct {
		program string
		keeper  bool
		outcome string
		names   []string
	}{
		{"pass", true, "passed", []string{"prod"}},
		{"fail", true, "failed", []string{"prod-failed"}},
		{"pass", false, "broken", nil},
		{"fail", false, "failed", nil},
	} {
		e := inMemory()
		_, got := runSteps(t.Context(), t, e, stepsOf(test.program), func(c *Config) {
			c.Keep = "prod"
			if !test.keeper {
				c.Keeper = nil
			}
		})
		var names []string
		for _, c := range e.All() {
			names = append(names, c.Name)
		}
		if diff := cmp.Diff(test.names, names); diff != "" || got[0] != test.outcome {
			t.Errorf("%+v: %v\n%s", test, got, diff)
		}
	}
}

// When an image is pulled.
func TestPullPolicies(t *testing.T) {
	for _, test := range []struct {
		policy           suite.PullPolicy
		here, registry   bool
		outcome, imageID string
	}{
		{suite.PullMissing, true, true, "passed", "old"},
		{suite.PullMissing, false, true, "passed", "new"},
		{suite.PullMissing, false, false, "broken", ""},
		{suite.PullAlways, true, true, "passed", "new"},
		{suite.PullAlways, true, false, "broken", ""},
		{suite.PullNever, true, true, "passed", "old"},
		{suite.PullNever, false, true, "broken", ""},
	} {
		e := inMemory()
		steps := stepsOf("pass")
		steps[0].PullPolicy, steps[0].Container.Image = test.policy, "app"
		if test.here {
			e.Publish("app", container.Image{ID: "old"})
			if err := e.Pull(t.Context(), "app", "", nil); err != nil {
				t.Fatal(err)
			}
			e.Unpublish("app")
		}
		if test.registry {
			e.Publish("app", container.Image{ID: "new"})
		}
		run, got := runSteps(t.Context(), t, e, steps, nil)
		if got[0] != test.outcome || run.Steps[0].ImageID != test.imageID {
			t.Errorf("%+v: %s on %q: %s", test, got[0], run.Steps[0].ImageID, run.Steps[0].Reason)
		}
	}
}

// An executor that sees to its images itself is not asked for any.
func TestRunWithoutAnImageStore(t *testing.T) {
	_, got := runSteps(t.Context(), t, inMemory(), stepsOf("pass"), func(c *Config) { c.Images = nil })
	if diff := cmp.Diff([]string{"passed"}, got); diff != "" {
		t.Error(diff)
	}
}

// A Config without one of its required fields makes no Runner.
func TestNewNeeds(t *testing.T) {
	whole := func() Config {
		return Config{Executor: executortest.New(), Machine: "m", Run: &report.Run{}, Folder: &history.Folder{}, Observer: &watched{}}
	}
	for name, forget := range map[string]func(*Config){
		"nothing":  func(*Config) {},
		"Executor": func(c *Config) { c.Executor = nil },
		"Machine":  func(c *Config) { c.Machine = "" },
		"Run":      func(c *Config) { c.Run = nil },
		"Folder":   func(c *Config) { c.Folder = nil },
		"Observer": func(c *Config) { c.Observer = nil },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if panicked := recover() != nil; panicked != (name != "nothing") {
					t.Errorf("panicked: %v", panicked)
				}
			}()
			c := whole()
			forget(&c)
			if r := New(c); r.config.Now == nil || r.config.Jobs != 1 || r.config.Patience != defaultPatience {
				t.Errorf("without defaults: %+v", r.config)
			}
		})
	}
}
