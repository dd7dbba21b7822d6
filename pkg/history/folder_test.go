package history

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/hint"
	"runtests/pkg/plain/plaintest"
	"runtests/pkg/report"
	"runtests/pkg/report/reporttest"
)

func create(t *testing.T, logs string) *Folder {
	t.Helper()
	f, err := Create(logs, reporttest.Launch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// hint is what an error says about its remedy.
func TestCreate(t *testing.T) {
	logs := filepath.Join(t.TempDir(), "var", "ecs")
	for _, want := range []string{"2026-11-22T03-00-04", "2026-11-22T03-00-04-2", "2026-11-22T03-00-04-3"} {
		f := create(t, logs)
		if f.ID != want || f.Path != filepath.Join(logs, want) {
			t.Errorf("got %s in %s, want %s", f.ID, f.Path, want)
		}
		if target, err := os.Readlink(filepath.Join(logs, "latest")); target != want {
			t.Errorf("latest is %q (%v), want %s", target, err, want)
		}
		info, err := os.Stat(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o750 {
			t.Errorf("its mode is %v", got)
		}
	}
	if entries, _ := os.ReadDir(logs); len(entries) != 4 {
		t.Errorf("more than three runs and a link are left: %v", entries)
	}
}

func TestCreateLeavesAnotherLatestAlone(t *testing.T) {
	logs := t.TempDir()
	if err := os.WriteFile(filepath.Join(logs, "latest"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Create(logs, reporttest.Launch)
	if err == nil || hint.Of(err) == "" {
		t.Errorf("got %v, hint %q", err, hint.Of(err))
	}
	if data, _ := os.ReadFile(filepath.Join(logs, "latest")); string(data) != "mine" {
		t.Errorf("it is %q now", data)
	}
}

func TestCreateTellsFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(filepath.Join(file, "logs"), reporttest.Launch); err == nil {
		t.Error("a folder was made in a file")
	}
}

// alive is Alive without its error.
func alive(t *testing.T, folder string) bool {
	t.Helper()
	ok, err := Alive(folder)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestAlive(t *testing.T) {
	f := create(t, t.TempDir())
	for range 2 { // looking does not change it
		if !alive(t, f.Path) {
			t.Error("a run that is going on is not alive")
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if alive(t, f.Path) {
		t.Error("a run that is over is alive")
	}
	if alive(t, filepath.Join(f.Path, "gone")) || alive(t, filepath.Join(f.Path, "lock", "in-a-file")) {
		t.Error("a folder that is gone is alive")
	}
	if entries, _ := os.ReadDir(f.Path); len(entries) != 1 {
		t.Errorf("looking left something: %v", entries)
	}
}

func TestAliveWhenNobodyKnows(t *testing.T) {
	folder := t.TempDir()
	if err := os.Symlink("/dev/null", filepath.Join(folder, "lock")); err != nil {
		t.Fatal(err)
	}
	if ok, err := Alive(folder); err == nil {
		t.Errorf("got %v for a lock that is a link", ok)
	}
}

// A run that is killed is not alive: the kernel releases its lock.
func TestKilledRunIsNotAlive(t *testing.T) {
	if logs := os.Getenv("RUNTESTS_TEST_LOGS"); logs != "" {
		f, err := Create(logs, reporttest.Launch)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(f.Path)
		select {} // until killed
	}
	logs := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledRunIsNotAlive$")
	child.Env = append(os.Environ(), "RUNTESTS_TEST_LOGS="+logs)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var folder string
	if _, err := fmt.Fscanln(out, &folder); err != nil {
		t.Fatal(err)
	}
	if !alive(t, folder) {
		t.Error("it is not alive while it runs")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // its error is the kill
	if alive(t, folder) {
		t.Error("it is alive after it was killed")
	}
}

func TestLogFile(t *testing.T) {
	f := create(t, t.TempDir())
	long := strings.Repeat("é", 200)
	for _, test := range []struct{ step, want string }{
		{"ecs@specfun-debian-deps", "ecs@specfun-debian-deps.2026-11-22T03-00-04.log"},
		{"ecs@reg.example.org:5000/a/b:1.0", "ecs@reg.example.org_5000_a_b_1.0.2026-11-22T03-00-04.log"},
		{"ecs@reg.example.org_5000/a/b:1.0", "ecs@reg.example.org_5000_a_b_1.0-2.2026-11-22T03-00-04.log"},
		{"ecs@reg.example.org_5000_a_b_1.0", "ecs@reg.example.org_5000_a_b_1.0-3.2026-11-22T03-00-04.log"},
		{"../../etc/passwd", "_.._.._etc_passwd.2026-11-22T03-00-04.log"},
		{"..", "_...2026-11-22T03-00-04.log"},
		{"-rf", "_-rf.2026-11-22T03-00-04.log"},
		{"", "_.2026-11-22T03-00-04.log"},
		{"a b\n\x00\x1b[31m\u202e\xff", "a_b____31m__.2026-11-22T03-00-04.log"},
		{"été", "été.2026-11-22T03-00-04.log"},
		{"ecs@specfun-debian-deps", "ecs@specfun-debian-deps.2026-11-22T03-00-04.log"}, // again
	} {
		if got := f.LogFile(test.step); got != test.want {
			t.Errorf("LogFile(%q) = %q, want %q", test.step, got, test.want)
		}
	}
	if got, want := f.AttemptFile("ecs@x", 1), "ecs@x.2026-11-22T03-00-04.attempt-1.log"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	seen := map[string]bool{}
	for i := range 12 {
		name := f.AttemptFile(long+strings.Repeat("x", i), 1000)
		if len(name) > 255 || seen[name] || !utf8.ValidString(name) {
			t.Errorf("%q: %d bytes, or not the first of its name", name, len(name))
		}
		seen[name] = true
		file, err := f.CreateLog(name)
		if err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
}

func FuzzLogFile(f *testing.F) {
	f.Add("ecs@debian:12", "ecs@debian/12")
	f.Add("a-2", "a")
	f.Add("..", "/")
	folder := &Folder{ID: "2026-11-22T03-00-04"}
	f.Fuzz(func(t *testing.T, a, b string) {
		folder.stems = map[string]string{}
		x, y := folder.LogFile(a), folder.LogFile(b)
		if (x == y) != (a == b) {
			t.Errorf("%q and %q have the logs %q and %q", a, b, x, y)
		}
		if filepath.Base(x) != x || len(x) > 255 || x[0] == '.' || !plaintest.Safe(x, "") {
			t.Errorf("%q is no good name", x)
		}
	})
}

func TestCreateLog(t *testing.T) {
	f := create(t, t.TempDir())
	file, err := f.CreateLog(f.LogFile("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v (%v)", info.Mode(), err)
	}
	if _, err := f.CreateLog(f.LogFile("a")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a log was overwritten: %v", err)
	}
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.Symlink(victim, filepath.Join(f.Path, "link.log")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.CreateLog("link.log"); err == nil {
		t.Error("a link was followed")
	}
	for _, name := range []string{"", ".", "..", "../x.log", "/tmp/x.log", "a/b.log"} {
		if file, err := f.CreateLog(name); err == nil {
			t.Errorf("a log %q was made", file.Name())
		}
	}
	if _, err := os.Lstat(victim); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the link's target was made")
	}
}

// writeReports writes a line in place of each report.
func writeReports(f *Folder) error {
	var errs []error
	for _, name := range []string{TextFile, HTMLFile, JUnitFile} {
		errs = append(errs, f.Replace(name, func(w io.Writer) error {
			_, err := io.WriteString(w, "a report\n")
			return err
		}))
	}
	return errors.Join(errs...)
}

func TestSave(t *testing.T) {
	f := create(t, t.TempDir())
	for _, want := range []*report.Run{reporttest.Running(), reporttest.Sample()} {
		if err := f.Save(want); err != nil {
			t.Fatal(err)
		}
		got, err := Open(filepath.Dir(f.Path), "")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-saved +opened:\n%s", diff)
		}
	}
	if err := writeReports(f); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprint(entry.Name(), " ", info.Mode()))
	}
	want := []string{"junit.xml -rw-r-----", "lock -rw-r-----", "report.html -rw-r-----", "report.txt -rw-r-----", "run.json -rw-r-----"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A record that cannot be written leaves the one before, and nothing beside it.
func TestSaveFails(t *testing.T) {
	f := create(t, t.TempDir())
	if err := f.Save(reporttest.Sample()); err != nil {
		t.Fatal(err)
	}
	impossible := reporttest.Sample()
	impossible.Started = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC) // JSON has no such year
	if err := f.Save(impossible); err == nil {
		t.Error("it was saved")
	}
	if _, err := Open("", f.Path); err != nil {
		t.Errorf("the record before is gone: %v", err)
	}
	if entries, _ := os.ReadDir(f.Path); len(entries) != 2 {
		t.Errorf("something is left beside it: %v", entries)
	}
}

func TestSaveFollowsNoLink(t *testing.T) {
	f := create(t, t.TempDir())
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(f.Path, "run.json")); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(reporttest.Sample()); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(victim); string(data) != "precious" {
		t.Errorf("the link's target is now %q", data)
	}
}

func TestLockSuite(t *testing.T) {
	logs := filepath.Join(t.TempDir(), "logs")
	since := time.Date(2026, 11, 22, 3, 0, 4, 0, time.Local)
	lock, err := LockSuite(logs, Holder{PID: 123, Since: since, Command: "runtests run\n--mail"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = LockSuite(logs, Holder{PID: 7})
	var held *HeldError
	if !errors.As(err, &held) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(&HeldError{Holder: Holder{123, since, "runtests run --mail"}}, held); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got, want := err.Error(), "another run of this suite (pid 123) has been going on since 2026-11-22 03:00:04"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if hint.Of(err) == "" {
		t.Error("no hint")
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err = LockSuite(logs, Holder{PID: 7, Since: since})
	if err != nil {
		t.Fatalf("after it was released: %v", err)
	}
	if err := os.Truncate(filepath.Join(logs, "lock"), 0); err != nil { // as before the holder has said who it is
		t.Fatal(err)
	}
	if _, err := LockSuite(logs, Holder{}); err == nil || !regexp.MustCompile(`^another run of this suite is going on$`).MatchString(err.Error()) {
		t.Errorf("got %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(logs, "lock")); err != nil {
		t.Errorf("the lock file is gone: %v", err)
	}
}

func TestLockSuiteFollowsNoLink(t *testing.T) {
	logs := t.TempDir()
	victim := filepath.Join(logs, "victim")
	if err := os.Symlink(victim, filepath.Join(logs, "lock")); err != nil {
		t.Fatal(err)
	}
	if _, err := LockSuite(logs, Holder{}); err == nil {
		t.Error("a link was followed")
	}
}

// A run's folder that is replaced by a link while the run goes on: what follows is
// written where the folder went, and nothing where the link leads.
func TestReplacedFolder(t *testing.T) {
	logs, victim := t.TempDir(), t.TempDir()
	f, err := Create(logs, reporttest.Launch)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first, err := f.CreateLog(f.LogFile("a@b"))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	moved := filepath.Join(logs, "moved")
	if err := os.Rename(f.Path, moved); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, f.Path); err != nil {
		t.Fatal(err)
	}
	r := reporttest.Sample()
	second, err := func() (*os.File, error) {
		if err := f.PutAside("a@b", 1); err != nil {
			return nil, err
		}
		return f.CreateLog(f.LogFile("a@b"))
	}()
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := errors.Join(f.Save(r), writeReports(f)); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(victim); err != nil || len(entries) > 0 {
		t.Errorf("written through the link: %v, %v", entries, err)
	}
	for _, name := range []string{f.LogFile("a@b"), f.AttemptFile("a@b", 1), "run.json", "report.txt"} {
		if _, err := os.Lstat(filepath.Join(moved, name)); err != nil {
			t.Error(err)
		}
	}
}

// Whatever has become of the lock's file, who holds the lock is read within a bound and from no other file.
func TestReadHolder(t *testing.T) {
	dir := t.TempDir()
	const line = "pid: 7\n"
	whole, large, link, pipe := filepath.Join(dir, "lock"), filepath.Join(dir, "large"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	reporttest.WriteFile(t, whole, line)
	reporttest.WriteFile(t, large, line+strings.Repeat("x\n", maxHolderBytes/2)+"pid: 8\n")
	reporttest.Symlink(t, whole, link)
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{whole: 7, large: 7, link: 0, pipe: 0, filepath.Join(dir, "none"): 0} {
		if got := readHolder(path).PID; got != want {
			t.Errorf("%s: got the pid %d, want %d", filepath.Base(path), got, want)
		}
	}
}
