package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"runtests/pkg/container"
	"runtests/pkg/report"
	"runtests/pkg/runner/executortest"
	"runtests/pkg/suite"
	"runtests/tests/needs"
)

// openDir returns a directory that every user can enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != "/"; d = filepath.Dir(d) {
		if info, err := os.Stat(d); err == nil && info.Mode()&0o001 == 0 {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func program(t *testing.T, path string, mode uint32) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestFindSetuid(t *testing.T) {
	needs.Root(t, t.Name(), "it gives files to other users")
	dir := openDir(t)
	own := func(name string, uid, gid int, mode uint32) string {
		path := filepath.Join(dir, name)
		program(t, path, 0)
		if err := os.Lchown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
		if err := unix.Chmod(path, mode); err != nil { // chown clears the bits
			t.Fatal(err)
		}
		return path
	}
	if err := os.Chown(dir, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	want := []string{
		own("root", 0, 1000, 0o4755), own("deep/down/root", 0, 0, 0o4711), own("other", 33, 1000, 0o4755), own("group", 1000, 0, 0o2755),
		own("of whom root in the container made the owner", 1000, 1000, 0o6755), own("for one group", 0, 1000, 0o4750),
		own("capable", 0, 0, 0o755), filepath.Join(dir, "disk"),
	}
	setuid := []byte{1, 0, 0, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // cap_setuid+ep (linux/capability.h)
	for _, err := range []error{
		unix.Setxattr(filepath.Join(dir, "capable"), "security.capability", setuid, 0),
		unix.Mknod(filepath.Join(dir, "disk"), unix.S_IFBLK|0o666, int(unix.Mkdev(8, 0))), unix.Chmod(filepath.Join(dir, "disk"), 0o666),
		unix.Mknod(filepath.Join(dir, "closed disk"), unix.S_IFBLK|0o600, int(unix.Mkdev(8, 0))),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	own("plain", 0, 0, 0o755)
	own("not executable by others", 0, 0, 0o4700)
	own("closed/root", 0, 0, 0o4755)
	for _, err := range []error{
		os.Chmod(filepath.Join(dir, "closed"), 0o750), os.Symlink("/usr/bin", filepath.Join(dir, "link")), os.Symlink("root", filepath.Join(dir, "another")),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666), unix.Chmod(filepath.Join(dir, "deep"), 0o2755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, all := findSetuid(t.Context(), dir, maxSearched, searchTime)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || !all {
		t.Errorf("%s, all is %v", diff, all)
	}
	if _, all := findSetuid(t.Context(), dir, 3, searchTime); all {
		t.Error("three entries are not all")
	}
	if _, all := findSetuid(t.Context(), dir, maxSearched, 0); all {
		t.Error("it had no time")
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, all := findSetuid(t.Context(), dir, 1, searchTime); len(got) > 0 || !all {
		t.Errorf("nobody else can enter it: %v", got)
	}
}

// A directory of many entries costs no more than the bound.
func TestFindSetuidIsBounded(t *testing.T) {
	dir := openDir(t)
	for i := range 3000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	if _, all := findSetuid(t.Context(), dir, 500, searchTime); all || time.Since(start) > searchTime {
		t.Errorf("all is %v after %s", all, time.Since(start))
	}
}

// A run notes what a test left, and goes on.
func TestNoteSetuid(t *testing.T) {
	needs.Root(t, t.Name(), "it gives files to another user")
	dir := openDir(t)
	if err := os.Chown(dir, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	e := inMemory()
	e.Program("leave", func(*executortest.Process) int {
		for i := range 5 {
			program(t, filepath.Join(dir, fmt.Sprintf("it's %d", i)), 0o4755)
		}
		return 0
	})
	step := stepsOf("leave")[0]
	step.Dir, step.Mount, step.Container.Mounts = dir, suite.ReadWrite, []container.Mount{{Source: dir, Target: "/test"}}
	run, got := runSteps(t.Context(), t, e, []suite.Step{step}, func(c *Config) { c.Regions = regionsOf([]suite.Step{step}) })
	if got[0] != string(report.Passed) {
		t.Errorf("it %s", got[0])
	}
	first := filepath.Join(dir, "it's 0")
	if notes := run.Steps[0].Notes; len(notes) != 1 || !strings.Contains(notes[0], first) || !strings.Contains(notes[0], " and 2 more ") || !strings.Contains(notes[0], "chmod ug-s") {
		t.Errorf("notes: %q", notes)
	}
}

// TestFindSetuidKeepsFewNames: a test can leave any number of programs, in folders of any depth.
func TestFindSetuidKeepsFewNames(t *testing.T) {
	s := search{left: maxSearched}
	for range 3 * maxFound {
		s.add(strings.Repeat("x", 4096))
		if s.left == 0 {
			break
		}
	}
	if len(s.found) != maxFound || len(s.found[0]) != maxShown {
		t.Errorf("%d names of %d bytes", len(s.found), len(s.found[0]))
	}
	for range 2 * maxPending / maxPath {
		s.enter(strings.Repeat("d", maxPath))
	}
	if !s.passed || s.pending > maxPending {
		t.Errorf("%d bytes of folders", s.pending)
	}
	s.passed = false
	if s.enter(strings.Repeat("d", maxPath+1)); !s.passed {
		t.Error("it enters a folder that no program can name")
	}
}
