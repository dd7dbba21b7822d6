package tests

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"runtests/pkg/history"
	"runtests/pkg/report"
	"runtests/tests/needs"
)

// killsVariable says how many times TestKilledAtAnyMoment kills a run; make soak
// asks for more than make test has the time for.
const (
	killsVariable = "RUNTESTS_KILLS"
	defaultKills  = 12
)

// killedSuite takes a second or two with two jobs: a kill can come at each moment of it.
const killedSuite = `
keep_runs: 1000
jobs: 2
defaults: { image: ` + baseImage + `, timeout: 1m }
tests:
  one:   { dir: t, mount: ro }
  two:   { dir: t, mount: ro, command: [sh, -c, "echo two; exit 2"] }
  three: { dir: t, mount: ro, command: [sh, -c, "sleep 0.3; seq 1 1000"] }
  four:  { dir: t, mount: ro }
  five:  { dir: t, mount: ro }
`

// A run that is killed at any moment leaves a record that is whole, and in it every
// step that was said to have finished; the next run removes its containers.
func TestKilledAtAnyMoment(t *testing.T) {
	kills, err := number(killsVariable, defaultKills)
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%d kills, seed %d", kills, seed)
	k := newKilledSuite(t, rand.New(rand.NewPCG(seed, 0)))
	k.runWhole()
	started := time.Now()
	k.runWhole()
	k.lasts = time.Since(started)
	for i := range kills {
		k.killOne()
		if t.Failed() {
			t.Fatalf("kill %d", i+1)
		}
	}
	k.runWhole()
	if k.late == kills {
		t.Error("every run had ended before it was killed")
	}
	t.Logf("of %d runs, %d killed too late: %d left no folder, %d no record, %d a container; %d steps had been told as finished; %d temporary files",
		kills, k.late, k.noFolder, k.noRecord, k.leftContainers, k.told, k.temporary)
}

func number(variable string, otherwise int) (int, error) {
	value := os.Getenv(variable)
	if value == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", variable, err)
	}
	return n, nil
}

// killedRuns is a suite whose runs are killed.
type killedRuns struct {
	t      *testing.T
	dir    string
	random *rand.Rand
	env    []string
	docker func(args ...string) (string, error)

	lasts  time.Duration // a run that nothing happens to
	before []string      // the runs that there were before the last one
	left   []string      // the containers that the last run left

	noFolder, noRecord, leftContainers, told, temporary, late int
}

func newKilledSuite(t *testing.T, random *rand.Rand) *killedRuns {
	t.Helper()
	needs.Engine(t, t.Name())
	dir := t.TempDir()
	script := filepath.Join(dir, "t", "test.sh")
	for path, text := range map[string]string{filepath.Join(dir, "runtests.yaml"): killedSuite, script: "#!/bin/sh\nseq 1 100\n"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	k := &killedRuns{t: t, dir: dir, random: random, env: append(os.Environ(), "HOME="+dir), docker: docker}
	t.Cleanup(func() {
		if ids, err := containersOn(k.docker, k.dir); err == nil && len(ids) > 0 { // an engine of the test's own has gone with them
			_, _ = k.docker(append([]string{"rm", "-fv"}, ids...)...)
		}
		forgetPassed(k.docker, k.dir)
	})
	return k
}

// containers are those of the suite's runs.
func (k *killedRuns) containers() []string {
	ids, err := containersOn(k.docker, k.dir)
	if err != nil {
		k.t.Error(err)
	}
	return ids
}

// command is a run of the suite that says on the file err what has finished.
func (k *killedRuns) command(flags ...string) (cmd *exec.Cmd, stderr string) {
	cmd = limited(k.t, commandLimit, filepath.Join(binDir, "runtests-fast"), append([]string{"run"}, flags...)...)
	cmd.Dir, cmd.Env = k.dir, k.env
	stderr = filepath.Join(k.dir, "stderr")
	file, err := os.Create(stderr)
	if err != nil {
		k.t.Fatal(err)
	}
	cmd.Stderr = file
	return cmd, stderr
}

// killOne starts a run, kills it, and looks at what it left.
func (k *killedRuns) killOne() {
	k.before = k.runs()
	cmd, stderr := k.command()
	if killAfter(cmd, started(k.t, cmd), time.Duration(k.random.Int64N(int64(k.lasts)))) {
		k.late++
	}
	k.look(k.finished(stderr))
}

// started starts a command, and returns what is closed when it has ended.
func started(t testing.TB, cmd *exec.Cmd) <-chan struct{} {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return ended
}

// killAfter kills a command after some time, and returns when it has ended. Late says that it
// had before.
func killAfter(cmd *exec.Cmd, ended <-chan struct{}, after time.Duration) (late bool) {
	moment := time.NewTimer(after)
	defer moment.Stop()
	select {
	case <-moment.C:
	case <-ended:
		late = true
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	<-ended
	return late
}

// runs returns the IDs of the runs that there are, the newest first.
func (k *killedRuns) runs() []string {
	ids, err := history.List(filepath.Join(k.dir, "logs"))
	if err != nil {
		k.t.Fatal(err)
	}
	return ids
}

// finishLine is what is said when a step has finished: "[1/5] passed   one@busybox   0.3s".
var finishLine = regexp.MustCompile(`(?m)^\[\d+/\d+\] (\w+) +(\S+)`)

// finished returns the outcomes that were told before the kill, by step.
func (k *killedRuns) finished(stderr string) map[string]report.Outcome {
	said, err := os.ReadFile(stderr)
	if err != nil {
		k.t.Fatal(err)
	}
	outcomes := map[string]report.Outcome{}
	for _, m := range finishLine.FindAllSubmatch(said, -1) {
		outcomes[string(m[2])] = report.Outcome(m[1])
	}
	k.told += len(outcomes)
	return outcomes
}

// look checks what a run left of which these steps were told as finished.
func (k *killedRuns) look(finished map[string]report.Outcome) {
	ids := slices.DeleteFunc(k.runs(), func(id string) bool { return slices.Contains(k.before, id) })
	if len(ids) == 0 {
		k.noFolder++
		if len(finished) > 0 {
			k.t.Errorf("steps have finished, and there is no folder: %v", finished)
		}
		return
	}
	left := k.left
	if k.left = k.containers(); len(k.left) > 0 {
		k.leftContainers++
	}
	k.temporary += len(k.temporaryFiles())
	run, err := history.Open(filepath.Join(k.dir, "logs"), ids[0])
	switch {
	case errors.Is(err, history.ErrNoRun):
		k.noRecord++
		if len(finished) > 0 {
			k.t.Errorf("steps have finished, and there is no record: %v", finished)
		}
		return
	case err != nil:
		k.t.Errorf("the record: %v", err)
		return
	case run.Running:
		k.t.Errorf("the run %s is said to be going on", run.ID)
	}
	// A run makes its record when it has removed what others left, or could not and says so.
	told := slices.ContainsFunc(run.Notes, func(note string) bool { return strings.Contains(note, "earlier run") })
	for _, id := range left {
		if slices.Contains(k.left, id) && !told {
			k.t.Errorf("container %s of the run before is still there, and nothing is said of it: %q", id, run.Notes)
		}
	}
	for _, step := range run.Steps {
		if want, ok := finished[step.Name]; ok && step.Outcome != want {
			k.t.Errorf("%s was told as %s and is recorded as %q", step.Name, want, step.Outcome)
		}
	}
}

// runWhole lets a run come to its end: after it nothing of the killed ones is left.
func (k *killedRuns) runWhole() {
	logs := filepath.Join(k.dir, "logs")
	k.ageTemporaryLinks(logs)
	cmd, stderr := k.command()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.HasPrefix(string(out), "Subject: 4 success, 1 failures\n") {
		said, _ := os.ReadFile(stderr)
		k.t.Fatalf("the run after: %v\n%s%s", err, out, said)
	}
	if ids := k.containers(); len(ids) > 0 {
		k.t.Errorf("containers are left: %v", ids)
	}
	if files := k.temporaryFiles(); len(files) > 0 {
		k.t.Errorf("temporary files are left: %v", files)
	}
	ids := k.runs()
	if latest, err := os.Readlink(filepath.Join(logs, "latest")); err != nil || latest != ids[0] {
		k.t.Errorf("latest is %s, want %s: %v", latest, ids[0], err)
	}
	lock, err := history.LockSuite(logs, history.Holder{PID: os.Getpid(), Since: time.Now()})
	if err != nil {
		k.t.Errorf("the lock: %v", err)
		return
	}
	if err := lock.Close(); err != nil {
		k.t.Error(err)
	}
}

// temporaryFiles are those that a replacement had not yet renamed.
func (k *killedRuns) temporaryFiles() (files []string) {
	err := filepath.WalkDir(filepath.Join(k.dir, "logs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), ".") && d.Name() != ".lock" { // the spool's, which stays
			files = append(files, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.t.Fatal(err)
	}
	return files
}

// ageTemporaryLinks makes what is there seem of yesterday: what is young might be
// another run's, which is just about to rename it.
func (k *killedRuns) ageTemporaryLinks(logs string) {
	yesterday := time.Now().AddDate(0, 0, -1)
	entries, err := filepath.Glob(filepath.Join(logs, ".*"))
	if err != nil {
		k.t.Fatal(err)
	}
	for _, path := range entries {
		if err := os.Chtimes(path, yesterday, yesterday); err != nil {
			k.t.Error(err)
		}
	}
}
