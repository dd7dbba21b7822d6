// Package tests holds the user stories: what a person, cron or another program
// sees of runtests, told as scripts and run with the compiled program against a
// real container engine (script/*.txtar, one file per subject).
package tests

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"runtests/tests/needs"
)

// baseImage is made of Debian's busybox by scripts/base-images.
const baseImage = "runtests-busybox"

// storyBound is how long the engine may take to answer the questions of a story itself.
const storyBound = 3 * time.Minute

var binDir, rootDir string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	hearSignals()
	dir, err := os.MkdirTemp("", "runtests-stories-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binDir = dir
	if rootDir, err = filepath.Abs(".."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	flag.Parse() // for testing.Short
	if !testing.Short() {
		if err := prepare(dir); err != nil {
			fmt.Fprintln(os.Stderr, "the stories cannot be told:", err)
			return 1
		}
	}
	return m.Run()
}

// prepare builds the program, and the one of the attacks, and sees that the engine and the base image are there.
func prepare(dir string) error {
	for name, args := range map[string][]string{
		"runtests":      {"build", "-race", "-o", filepath.Join(dir, "runtests"), "../cmd/runtests"},
		"runtests-fast": {"build", "-o", filepath.Join(dir, "runtests-fast"), "../cmd/runtests"},
		"swap":          {"build", "-o", filepath.Join(dir, "swap"), "./swap"},
	} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	if out, err := docker("image", "inspect", "--format", "{{.Id}}", baseImage); err != nil {
		return fmt.Errorf("look for the image %s on the engine (make test starts one and makes the image): %w\n%s", baseImage, err, out)
	}
	return nil
}

func docker(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), storyBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.WaitDelay = dumpTime
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// toldAlone are the stories of what a dead run leaves: any run on the engine clears that up.
var toldAlone = []string{"attack-sweep", "clean", "cutoff", "diagnose-cut", "killed"}

func TestStories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var alone []string
	files = slices.DeleteFunc(files, func(file string) bool {
		if !slices.Contains(toldAlone, strings.TrimSuffix(filepath.Base(file), ".txtar")) {
			return false
		}
		alone = append(alone, file)
		return true
	})
	if len(alone) != len(toldAlone) {
		t.Fatalf("of %v there are only %v", toldAlone, alone)
	}
	testscript.RunT(oneByOne{t}, stories(alone))
	testscript.Run(t, stories(files))
}

// oneByOne is a test whose stories are told one after the other.
type oneByOne struct{ *testing.T }

// Parallel does nothing.
func (oneByOne) Parallel() {}

// Run is testscript's.
func (t oneByOne) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(oneByOne{t}) })
}

// Verbose is testscript's.
func (oneByOne) Verbose() bool { return testing.Verbose() }

func stories(files []string) testscript.Params {
	return testscript.Params{
		Files:               files,
		Setup:               setup,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition:           condition,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status":     cmdStatus,
			"disk":       cmdDisk,
			"engine":     cmdEngine,
			"smtpd":      cmdSMTPD,
			"mails":      cmdMails,
			"httpd":      cmdHTTPD,
			"calls":      cmdCalls,
			"container":  cmdContainer,
			"leftovers":  cmdLeftovers,
			"eventually": cmdEventually,
			"same":       cmdSame,
			"production": cmdProduction,
			"ask":        cmdAsk,
			"converse":   cmdConverse,
		},
	}
}

// raceOptions are those of the race detector for the program. By default the detector sleeps
// for a second at the end of each program that still has goroutines, to let them race; ours
// ends at once, as the real one does.
func raceOptions() string {
	return strings.TrimSpace("atexit_sleep_ms=0 " + os.Getenv("GORACE"))
}

// needRoot are the stories that only root can tell, and why.
var needRoot = map[string]string{
	"attack-owner":    "it gives a directory to another user",
	"build-disk":      "it starts an engine of its own",
	"build-faults":    "it starts an engine of its own",
	"cron":            "it starts cron, where cron's files are its own",
	"cutoff":          "it starts an engine of its own",
	"deploy":          "it starts an engine of its own",
	"deploy-cut":      "it starts an engine of its own",
	"deploy-disk":     "it starts an engine of its own",
	"deploy-faults":   "it starts an engine of its own",
	"deploy-handover": "it starts an engine of its own",
	"diagnose-image":  "its image, debian:bookworm-slim, is made by debootstrap",
	"engine-away":     "it starts an engine of its own",
	"engine-disk":     "it starts an engine of its own",
	"engine-faults":   "it starts an engine of its own",
	"fulldisk":        "it mounts a small disk",
}

// condition knows [root]: what only root is told.
func condition(name string) (bool, error) {
	if name == "root" {
		return os.Geteuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// setup gives a story its own home and names that no other story uses.
func setup(env *testscript.Env) error {
	name := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")
	needs.Engine(env.T(), "the story "+name)
	if why, ok := needRoot[name]; ok {
		needs.Root(env.T(), "the story "+name, why)
	}
	home := filepath.Join(env.WorkDir, ".home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	id := make([]byte, 4)
	rand.Read(id)
	env.Setenv("HOME", home)
	env.Setenv("PATH", binDir+string(os.PathListSeparator)+os.Getenv("PATH"))
	env.Setenv("IMAGE", baseImage)
	env.Setenv("ROOT", rootDir)
	env.Setenv("ID", "story-"+hex.EncodeToString(id))
	env.Setenv("TZ", "Europe/Paris")
	env.Setenv("LC_ALL", "C.UTF-8")
	env.Setenv("GORACE", raceOptions())
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		env.Setenv("DOCKER_HOST", host)
	}
	env.Values[storyKey{}] = &story{}
	env.Defer(func() { removeAll(env.WorkDir, env.Getenv("ID")) })
	limitStory(env)
	return nil
}

// removeAll removes what a story made: the containers of its runs, and the containers
// and images that bear its name.
func removeAll(workDir, id string) {
	out, err := docker("ps", "-aq", "--filter", "name="+id)
	if err != nil {
		return
	}
	ids := strings.Fields(out)
	if ours, err := containersOf(workDir); err == nil {
		ids = append(ids, ours...)
	}
	if len(ids) > 0 {
		_, _ = docker(append([]string{"rm", "-fv"}, ids...)...)
	}
	out, err = docker("images", "--filter", "reference="+id+"*", "--format", "{{.Repository}}:{{.Tag}}")
	if tags := strings.Fields(out); err == nil && len(tags) > 0 {
		_, _ = docker(append([]string{"rmi", "-f"}, tags...)...)
	}
	forgetPassed(docker, workDir)
}

// containersOf returns the containers of the runs whose folders are below workDir.
func containersOf(workDir string) ([]string, error) { return containersOn(docker, workDir) }

// containersOn is containersOf on the engine that this docker command talks to.
func containersOn(docker func(args ...string) (string, error), workDir string) (ids []string, err error) {
	out, err := docker("ps", "-a", "--filter", "label=runtests.run", "--format", `{{.ID}} {{.Label "runtests.run"}}`)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w\n%s", err, out)
	}
	for line := range strings.Lines(out) {
		if id, folder, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(folder, workDir+"/") { // not those of another story whose name only begins alike
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// status N PROGRAM [ARG...]: run it; its exit status must be N.
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N program [arg...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// container NAME [STATE]: the engine has a container of exactly that name, in
// that state; with !, it has none.
func cmdContainer(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: [!] container name [state]")
	}
	out, err := docker("container", "ls", "-a", "--filter", "name=^/?"+args[0]+"$", "--format", "{{.State}}")
	if err != nil {
		ts.Fatalf("list containers: %v\n%s", err, out)
	}
	switch {
	case neg && out != "":
		ts.Fatalf("container %s is there (%s)", args[0], out)
	case !neg && out == "":
		ts.Fatalf("no container %s", args[0])
	case len(args) == 2 && out != args[1]:
		ts.Fatalf("container %s is %s, want %s", args[0], out, args[1])
	}
}

// leftovers N: the runs of this story have left N containers.
func cmdLeftovers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: leftovers n")
	}
	ids, err := containersOf(ts.Getenv("WORK"))
	ts.Check(err)
	if strconv.Itoa(len(ids)) != args[0] {
		ts.Fatalf("%d containers are left, want %s", len(ids), args[0])
	}
}

// eventually PROGRAM [ARG...]: run it again and again until it succeeds, within a minute.
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: eventually program [arg...]")
	}
	deadline := time.NewTimer(storyBound)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			ts.Fatalf("not within %v: %v", storyBound, err)
		case <-again.C:
		}
	}
}

// same FILE FILE: the two files have the same bytes.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] same file file")
	}
	a, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	if bytes.Equal(a, b) == neg {
		ts.Fatalf("%s (%d bytes) and %s (%d bytes): same is %v", args[0], len(a), args[1], len(b), !neg)
	}
}
