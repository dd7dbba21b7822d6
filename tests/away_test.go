package tests

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/pkg/history"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
)

// during does something when the first line of a step's output has come.
type during struct {
	once sync.Once
	do   func()
}

func (d *during) Started(_ int, _ report.Result, log *runner.Log) {
	go func() {
		for {
			size, ended, changed := log.Watch()
			if size > 0 {
				d.once.Do(d.do)
			}
			if size > 0 || ended {
				return
			}
			<-changed
		}
	}()
}

func (d *during) Finished(int, report.Result) {}

func (*during) Trying(int, report.Result, string, *runner.Log) {}
func (*during) Diagnosed(int, report.Result)                   {}

// An engine that does not come back costs the run its patience once: the steps that
// are left are broken at once, all for the same reason.
func TestEngineStaysAway(t *testing.T) {
	t.Parallel()
	private := startEngine(t)
	for name, fault := range map[string]func() error{"frozen": private.Freeze, "killed": private.Kill} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"DOCKER_HOST": private.Host()}
			e, err := engine.Connect(t.Context(), engine.Options{
				Getenv: func(name string) string { return env[name] }, HomeDir: t.TempDir(), CallTimeout: 3 * time.Second, LifeTimeout: 3 * time.Second,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			run, took := runOn(t, e, fault)
			if took > time.Minute {
				t.Errorf("it took %s", took)
			}
			checkStayedAway(t, run)
		})
		if name == "frozen" {
			if err := private.Thaw(); err != nil {
				t.Fatal(err)
			}
		} else if err := private.Start(); err != nil {
			t.Fatal(err)
		}
	}
}

// runOn runs fifty steps, and lets the fault happen during the first.
func runOn(t *testing.T, e *engine.Engine, fault func() error) (*report.Run, time.Duration) {
	t.Helper()
	folder, err := history.Create(filepath.Join(t.TempDir(), "logs"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	steps := make([]suite.Step, 50)
	for i := range steps {
		steps[i] = suite.Step{Name: "step@" + baseImage, Test: "step", Image: baseImage, Timeout: time.Hour}
		steps[i].Container = container.Container{Image: baseImage, Command: []string{"sh", "-c", "echo started; sleep 300"}, StopGrace: time.Second}
	}
	run := &report.Run{Version: report.Version, ID: folder.ID, Folder: folder.Path, Started: time.Now()}
	r := runner.New(runner.Config{
		Executor: e, Keeper: e, Images: e, Machine: "here", Run: run, Folder: folder, CLI: "docker", Patience: 5 * time.Second,
		Observer: &during{do: func() {
			if err := fault(); err != nil {
				t.Error(err)
			}
		}},
	})
	started := time.Now()
	if err := r.Run(t.Context(), nil, steps); err != nil {
		t.Fatal(err)
	}
	return run, time.Since(started)
}

func checkStayedAway(t *testing.T, run *report.Run) {
	t.Helper()
	for i, step := range run.Steps {
		if step.Outcome != report.Broken {
			t.Fatalf("step %d is %s: %s", i, step.Outcome, step.Reason)
		}
		if i > 0 && (step.Reason != run.Steps[1].Reason || !strings.HasPrefix(step.Reason, "not started: the engine went away during step@"+baseImage+" and was not back within 5s")) {
			t.Fatalf("step %d: %s", i, step.Reason)
		}
	}
}
