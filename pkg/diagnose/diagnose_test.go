package diagnose

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
	"runtests/pkg/worktree"
)

// world is a Lab in which a test passes by a rule.
type world struct {
	t      *testing.T
	passes func(image, files string, n int) bool // the image's ID, what is in the test's directory, the trial's number
	broken int                                   // the number of the trial that proves nothing; 0: none
	gone   bool                                  // the old image
	ended  func()                                // called by the broken trial
	works  []string

	concluded []int
	verdicts  []report.Verdict
	steps     []suite.Step
}

var errBroken = errors.New("the engine is away")

func (w *world) Try(ctx context.Context, t runner.Trial) (report.Trial, error) {
	w.steps = append(w.steps, t.Step)
	trial := report.Trial{What: t.How, Outcome: report.Failed, Command: t.Command}
	if t.Number == w.broken {
		if w.ended != nil {
			w.ended()
			return trial, context.Cause(ctx)
		}
		return trial, errBroken
	}
	files, err := os.ReadFile(filepath.Join(t.Step.Container.Mounts[0].Source, "version"))
	if err != nil {
		w.t.Error(err)
	}
	if w.passes(t.Step.Container.Image, string(files), t.Number) {
		trial.Outcome = report.Passed
	}
	return trial, nil
}

func (w *world) Image(context.Context, string) (string, error) {
	if w.gone {
		return "", container.ErrNoImage
	}
	return "deps:2026-11-21T03-00-00", nil
}

func (w *world) Packages(_ context.Context, before, after string) ([]report.PackageChange, error) {
	if before != "sha256:old" || after != "sha256:new" {
		w.t.Errorf("compared %s with %s", before, after)
	}
	return []report.PackageChange{{Manager: "dpkg", Name: "bash", From: "1", To: "2"}, {Manager: "opam", Name: "zarith", From: "1.12", To: "1.13"}}, nil
}

func (w *world) Work() (string, error) {
	dir, err := os.MkdirTemp(w.t.TempDir(), "work")
	w.works = append(w.works, dir)
	return dir, err
}

func (w *world) Conclude(index int, verdict report.Verdict) error {
	w.concluded, w.verdicts = append(w.concluded, index), append(w.verdicts, verdict)
	return nil
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=René", "-c", "user.email=r@example.org"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// failing is a case whose image and files are not what they were.
func failing(t *testing.T) Case {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "tests", "ecs")
	git(t, root, "init", "-q")
	write(t, filepath.Join(dir, "version"), "old")
	write(t, filepath.Join(root, "lib", "l"), "old")
	write(t, filepath.Join(root, ".gitignore"), "cache\n")
	write(t, filepath.Join(root, "cache", "c"), "now")
	git(t, root, "add", ".")
	git(t, root, "commit", "-q", "-m", "first")
	then := git(t, root, "rev-parse", "HEAD")
	write(t, filepath.Join(dir, "version"), "new")
	git(t, root, "commit", "-q", "-a", "-m", "ecs: faster")
	write(t, filepath.Join(root, "elsewhere"), "x")
	git(t, root, "add", ".")
	git(t, root, "commit", "-q", "-m", "elsewhere")
	now := git(t, root, "rev-parse", "HEAD")
	mounts := []container.Mount{
		{Source: dir, Target: "/test"}, {Source: filepath.Join(root, "lib"), Target: "/lib/ours", ReadOnly: true},
		{Source: filepath.Join(root, "cache"), Target: "/cache"}, {Source: "/maple", Target: "/maple"}, {Source: "volume", Target: "/v"},
	}
	return Case{
		Index:  3,
		Step:   suite.Step{Name: "ecs@deps", Test: "ecs", Dir: dir, Container: container.Container{Image: "deps", Command: []string{"/test/test.sh"}, Mounts: mounts}},
		Failed: report.Result{ImageID: "sha256:new", Commit: now, Log: report.Log{Tail: plain.Tail{Lines: []string{"Package `zarith' not found"}}}},
		Passed: history.LastPass{Started: time.Date(2026, 11, 21, 3, 0, 0, 0, time.Local), ImageID: "sha256:old", Commit: then},
		Tree:   worktree.State{Root: root, Commit: now},
	}
}

const (
	onOld   = "on the image of 2026-11-21 03:00:00"
	withOld = "with the files"
)

func TestFind(t *testing.T) {
	unchanged := func(c *Case) { c.Passed.ImageID, c.Passed.Commit = c.Failed.ImageID, c.Failed.Commit }
	never := func(string, string, int) bool { return false }
	oldImage := func(image, _ string, _ int) bool { return image == "sha256:old" }
	oldFiles := func(_, files string, _ int) bool { return files == "old" }
	for _, test := range []struct {
		name     string
		change   func(c *Case, w *world, f *Finder)
		passes   func(image, files string, n int) bool
		word     report.Cause
		reason   string // is in it
		tried    []string
		packages int
		commits  int
	}{
		{name: "flaky", passes: func(_, _ string, n int) bool { return n == 1 }, word: report.Flaky, tried: []string{again}},
		{name: "dependencies", passes: oldImage, word: report.Dependencies, tried: []string{again, onOld, control}, packages: 2},
		{name: "code", passes: oldFiles, word: report.Code, tried: []string{again, onOld, withOld, control}, commits: 1},
		{
			name: "both", passes: func(image, files string, n int) bool { return oldImage(image, files, n) && oldFiles(image, files, n) },
			word: report.Code, reason: "code and dependencies together", tried: []string{again, onOld, withOld, onOld + " " + withOld, control}, packages: 2, commits: 1,
		},
		{name: "neither", passes: never, word: report.Environment, tried: []string{again, onOld, withOld, onOld + " " + withOld}},
		{
			name: "nothing changed", change: func(c *Case, _ *world, _ *Finder) { unchanged(c) }, passes: never,
			word: report.Environment, reason: "the image and the files are the ones it last passed with", tried: []string{again},
		},
		{
			name: "the same files", change: func(c *Case, _ *world, _ *Finder) { c.Passed.Commit = c.Failed.Commit }, passes: never,
			word: report.Environment, tried: []string{again, onOld},
		},
		{
			name: "the same image", change: func(c *Case, _ *world, _ *Finder) { c.Passed.ImageID = c.Failed.ImageID }, passes: oldFiles,
			word: report.Code, tried: []string{again, withOld, control}, commits: 1,
		},
		{
			name: "commits of something else", change: func(c *Case, _ *world, _ *Finder) { c.Passed.Commit = git(t, c.Tree.Root, "rev-parse", "HEAD~1") }, passes: never,
			word: report.Environment, tried: []string{again, onOld},
		},
		{
			name: "not committed", change: func(c *Case, _ *world, _ *Finder) {
				unchanged(c)
				c.Failed.Dirty = true
				write(t, filepath.Join(c.Step.Dir, "version"), "newer")
			},
			passes: func(_, files string, _ int) bool { return files == "new" },
			word:   report.Code, reason: "uncommitted changes", tried: []string{again, withOld, control},
		},
		{
			name: "by chance", passes: func(image, _ string, n int) bool { return image == "sha256:old" || n == 3 },
			word: report.Flaky, reason: "it passed " + onOld + ", and then in the control run, too", tried: []string{again, onOld, control},
		},
		{
			name: "the image is gone", change: func(_ *Case, w *world, _ *Finder) { w.gone = true }, passes: never,
			reason: "the last image it passed on is gone; it also fails with the last files it passed with", tried: []string{again, withOld},
		},
		{
			name: "the image is gone, and it is the code", change: func(_ *Case, w *world, _ *Finder) { w.gone = true }, passes: oldFiles,
			word: report.Code, tried: []string{again, withOld, control}, commits: 1,
		},
		{
			name: "an old record", change: func(c *Case, _ *world, _ *Finder) { c.Passed = history.LastPass{} }, passes: never,
			reason: "the last image it passed on is not known; the last files it passed with are not known", tried: []string{again},
		},
		{
			name: "a test can write the repository", change: func(c *Case, _ *world, _ *Finder) { c.Tree.Untrusted = true }, passes: oldFiles,
			reason: "a test can write the .git of its directory", tried: []string{again, onOld},
		},
		{
			name: "a test could write the repository", change: func(c *Case, _ *world, _ *Finder) { c.Passed.Untrusted = true }, passes: oldFiles,
			reason: "the last files it passed with are not known", tried: []string{again, onOld},
		},
		{
			name: "in no work tree", change: func(c *Case, _ *world, _ *Finder) { unchanged(c); c.Tree = worktree.State{} }, passes: never,
			reason: "the image is the one it last passed on; its files cannot be compared, its directory is in no git work tree", tried: []string{again},
		},
		{
			name: "dirty then", change: func(c *Case, _ *world, _ *Finder) { c.Passed.Dirty = true }, passes: never,
			reason: "it also fails on the last image it passed on; its files cannot be compared, its directory had uncommitted changes", tried: []string{again, onOld},
		},
		{
			name: "a commit that is gone", change: func(c *Case, _ *world, _ *Finder) { c.Passed.Commit = strings.Repeat("ab", 20) }, passes: never,
			reason: "could not get the last files it passed with", tried: []string{again, onOld},
		},
		{
			name: "a directory of another name", change: func(c *Case, _ *world, _ *Finder) {
				git(t, c.Tree.Root, "mv", "tests/ecs", "tests/moved")
				c.Step.Dir = filepath.Join(c.Tree.Root, "tests", "moved")
				c.Step.Container.Mounts[0].Source = c.Step.Dir
				c.Failed.Dirty = true
			}, passes: never,
			reason: "the commit it last passed at does not have its directory", tried: []string{again, onOld},
		},
		{
			name: "the engine is elsewhere", change: func(_ *Case, _ *world, f *Finder) { f.Remote = true }, passes: never,
			reason: "the engine is on another machine", tried: []string{again, onOld},
		},
		{
			name: "the engine goes away", change: func(_ *Case, w *world, _ *Finder) { w.broken = 2 }, passes: never,
			reason: "no cause was found: it could not be run " + onOld + ": the engine is away", tried: []string{again, onOld},
		},
		{
			name: "it cannot be confirmed", change: func(_ *Case, w *world, _ *Finder) { w.broken = 3 }, passes: oldImage,
			word: report.Dependencies, tried: []string{again, onOld, control}, packages: 2,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, w := failing(t), &world{t: t, passes: test.passes}
			f := &Finder{Lab: w, CLI: "docker"}
			if test.change != nil {
				test.change(&c, w, f)
			}
			if err := f.Find(t.Context(), []Case{c}); err != nil {
				t.Fatal(err)
			}
			if len(w.verdicts) != 1 || w.concluded[0] != c.Index {
				t.Fatalf("concluded %v", w.concluded)
			}
			v := w.verdicts[0]
			if v.Cause != test.word || !strings.Contains(v.Reason, test.reason) || test.reason == "" && v.Reason != "" {
				t.Errorf("%q, %q", v.Cause, v.Reason)
			}
			var tried []string
			for _, trial := range v.Trials {
				how, _, _ := strings.Cut(trial.What, " of "+short(c.Passed.Commit))
				tried = append(tried, how)
			}
			if diff := cmp.Diff(test.tried, tried); diff != "" {
				t.Errorf("tried (-want +got):\n%s", diff)
			}
			if len(v.Packages) != test.packages || len(v.Commits) != test.commits {
				t.Errorf("%v, %v", v.Packages, v.Commits)
			}
			if test.packages > 0 && v.Packages[0].Name != "zarith" {
				t.Errorf("first is %v", v.Packages[0])
			}
			if test.commits > 0 && v.Commits[0].Subject != "ecs: faster" {
				t.Errorf("%v", v.Commits)
			}
			for _, work := range w.works {
				if _, err := os.Stat(work); err == nil {
					t.Errorf("%s is left", work)
				}
			}
		})
	}
}

// The files in the work tree come from the old commit, all others stay where they are; the command
// makes a work tree of its own.
func TestFilesOfTheOldCommit(t *testing.T) {
	c, w := failing(t), &world{t: t, passes: func(_, files string, _ int) bool { return files == "old" }}
	before := git(t, c.Tree.Root, "status", "--porcelain", "--ignored") + git(t, c.Tree.Root, "count-objects", "-v") + git(t, c.Tree.Root, "worktree", "list")
	if err := (&Finder{Lab: w, CLI: "docker"}).Find(t.Context(), []Case{c}); err != nil {
		t.Fatal(err)
	}
	var sources []string
	for _, m := range w.steps[2].Container.Mounts {
		sources = append(sources, strings.Replace(m.Source, w.works[0], "WORK", 1))
	}
	want := []string{"WORK/tests/ecs", "WORK/lib", filepath.Join(c.Tree.Root, "cache"), "/maple", "volume"}
	if diff := cmp.Diff(want, sources); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	trial := w.verdicts[0].Trials[2]
	byHand := "/tmp/" + filepath.Base(c.Tree.Root) + "-" + short(c.Passed.Commit)
	if want := "git -C " + c.Tree.Root + " worktree add --detach " + byHand + " " + c.Passed.Commit + " && docker run --rm -v " + byHand + "/tests/ecs:/test -v " + byHand +
		"/lib:/lib/ours:ro -v " + c.Tree.Root + "/cache:/cache -v /maple:/maple -v volume:/v deps /test/test.sh"; trial.Command != want || trial.Commit != c.Passed.Commit {
		t.Errorf("at %s:\n%s\nwant\n%s", trial.Commit, trial.Command, want)
	}
	if old := w.verdicts[0].Trials[1]; !strings.Contains(old.Command, " deps:2026-11-21T03-00-00 /test") || w.steps[1].Container.Image != "sha256:old" {
		t.Errorf("on %s: %s", w.steps[1].Container.Image, old.Command)
	}
	if after := git(t, c.Tree.Root, "status", "--porcelain", "--ignored") + git(t, c.Tree.Root, "count-objects", "-v") + git(t, c.Tree.Root, "worktree", "list"); after != before {
		t.Errorf("the repository was written to:\n%s\n%s", before, after)
	}
	if m := c.Step.Container.Mounts[0].Source; m != c.Step.Dir {
		t.Errorf("the step was changed: %s", m)
	}
}

// When the time is over, the remaining verdicts say so, and have what was tried.
func TestFindEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &world{t: t, passes: func(string, string, int) bool { return false }, broken: 2}
	w.ended = func() { cancel(&TimeoutError{30 * time.Minute}) }
	slow, quick := failing(t), failing(t)
	slow.Index, slow.Failed.Duration = 1, report.Duration(time.Hour)
	quick.Index, quick.Failed.Duration = 2, report.Duration(time.Second)
	if err := (&Finder{Lab: w, CLI: "docker"}).Find(ctx, []Case{slow, quick}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.concluded, []int{2, 1}) {
		t.Errorf("concluded %v", w.concluded)
	}
	for i, tried := range []int{2, 0} {
		v := w.verdicts[i]
		if v.Cause != "" || !strings.Contains(v.Reason, "the time of 30m to find causes was over (diagnose_timeout)") || len(v.Trials) != tried {
			t.Errorf("%+v", v)
		}
	}
}

func TestWanted(t *testing.T) {
	one := 1
	newly := &report.Trend{Change: report.NewlyFailing, LastPassed: "2026-11-21T03-00-00"}
	for _, test := range []struct {
		name   string
		result report.Result
		want   bool
	}{
		{"failed", report.Result{Kind: report.KindTest, Outcome: report.Failed, ExitStatus: &one, Trend: newly}, true},
		{"timeout", report.Result{Kind: report.KindTest, Outcome: report.Timeout, Trend: newly}, true},
		{"out of memory", report.Result{Kind: report.KindTest, Outcome: report.Broken, ExitStatus: &one, Trend: newly}, true},
		{"no such image", report.Result{Kind: report.KindTest, Outcome: report.Broken, Trend: newly}, false},
		{"blocked", report.Result{Kind: report.KindTest, Outcome: report.Blocked, Trend: newly}, false},
		{"interrupted", report.Result{Kind: report.KindTest, Outcome: report.Interrupted, Trend: newly}, false},
		{"passed", report.Result{Kind: report.KindTest, Outcome: report.Passed, Trend: newly}, false},
		{"an image", report.Result{Kind: report.KindImage, Outcome: report.Failed, Trend: newly}, false},
		{"still failing", report.Result{Kind: report.KindTest, Outcome: report.Failed, Trend: &report.Trend{Change: report.StillFailing}}, false},
		{"new", report.Result{Kind: report.KindTest, Outcome: report.Failed, Trend: &report.Trend{Change: report.Added}}, false},
		{"no history", report.Result{Kind: report.KindTest, Outcome: report.Failed}, false},
		{"never passed", report.Result{Kind: report.KindTest, Outcome: report.Failed, Trend: &report.Trend{Change: report.NewlyFailing}}, false},
	} {
		if got := Wanted(test.result); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestNamedFirst(t *testing.T) {
	changes := []report.PackageChange{{Name: "a"}, {Name: "libgmp10"}, {Name: "m4"}, {Name: "Zarith"}, {Name: "c++"}, {Name: "python3.11"}}
	lines := []string{"configure: error: libgmp10: not found", "ocamlfind: Package `zarith' not found.", "am4 is not it", "see python3.11."}
	var names []string
	for _, c := range namedFirst(changes, lines) {
		names = append(names, c.Name)
	}
	if diff := cmp.Diff([]string{"libgmp10", "Zarith", "python3.11", "a", "m4", "c++"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
