package suite

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/hint"
)

func names(steps []Step) []string {
	var out []string
	for _, s := range steps {
		out = append(out, s.Name)
	}
	return out
}

func selectable(t *testing.T) (*Suite, string) {
	s, dir := mustLoad(t, `
images: {deps: x, ubuntu: y}
defaults: {image: deps}
tests:
  ecs: {image: [deps, ubuntu]}
  dynamow: {dir: elsewhere/d}
  ecs-slow: {image: team/app}
`, Overrides{})
	write(t, filepath.Join(dir, "tests/ecs/test.sh"), "")
	write(t, filepath.Join(dir, "other/test.sh"), "")
	write(t, filepath.Join(dir, "more/other/test.sh"), "")
	write(t, filepath.Join(dir, "bare/file"), "")
	if err := os.Symlink("ecs", filepath.Join(dir, "tests/link")); err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func TestSelect(t *testing.T) {
	s, dir := selectable(t)
	for _, c := range []struct{ targets, want string }{
		{"", "ecs@deps ecs@ubuntu dynamow@deps ecs-slow@team_app"},
		{"ecs", "ecs@deps ecs@ubuntu"},
		{"dynamow ecs", "ecs@deps ecs@ubuntu dynamow@deps"},
		{"ecs@ubuntu ecs@ubuntu", "ecs@ubuntu"},
		{"ecs-slow@team/app", "ecs-slow@team_app"},
		{"ecs*", "ecs@deps ecs@ubuntu ecs-slow@team_app"},
		{"*@deps", "ecs@deps dynamow@deps"},
		{"tests/ecs", "ecs@deps ecs@ubuntu"},
		{"./tests/ecs/", "ecs@deps ecs@ubuntu"},
		{"tests/link", "ecs@deps ecs@ubuntu"},
		{"elsewhere/d", "dynamow@deps"},
		{"other dynamow", "dynamow@deps other@deps"},
		{"other ./other", "other@deps"},
	} {
		steps, err := s.Select(strings.Fields(c.targets), dir)
		if err != nil {
			t.Errorf("%s: %v", c.targets, err)
		}
		if got := strings.Join(names(steps), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.targets, got, c.want)
		}
	}
	if steps, err := s.Select([]string{"deps"}, filepath.Join(dir, "tests")); err == nil {
		t.Error("an image's name is not a target:", names(steps))
	}
}

func TestSelectReportsAllTargetsAtOnce(t *testing.T) {
	s, dir := selectable(t)
	_, err := s.Select([]string{"ecss", "bare", "ecs", "[", "other", "more/other"}, dir)
	want := `target "ecss": no test, step or directory has that name
directory "bare": no test.sh in it
target "[": not a pattern
directory "more/other": another test is named "other"`
	var targets *TargetsError
	if !errors.As(err, &targets) || err.Error() != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	if diff := cmp.Diff("did you mean \"ecs\"?\nrun it alone, or rename it", targets.Hint()); diff != "" {
		t.Error(diff)
	}
	empty, _ := mustLoad(t, "name: x\n", Overrides{})
	if _, err := empty.Select(nil, dir); err == nil || err.Error() != "the suite has no tests" {
		t.Error("a suite without tests:", err)
	}
}

func TestFromDirs(t *testing.T) {
	_, dir := selectable(t)
	e := env(dir)
	o := Overrides{Image: "debian:12", Volumes: []string{"./data:/data"}}
	s, err := FromDirs([]string{"other", "./bare", "other/"}, e, o)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names(s.Steps), " "); got != "other@debian:12 bare@debian:12" || s.Logs != dir+"/logs" || s.Dir != dir || s.File != "" || s.Lines != 40 {
		t.Errorf("%s: %+v", got, s)
	}
	if m := s.Steps[0].Container.Mounts; m[0].Source != dir+"/other" || m[1].Source != dir+"/data" {
		t.Errorf("mounts: %v", m)
	}
	for _, c := range []struct {
		dirs []string
		o    Overrides
		want string
	}{
		{[]string{"other"}, Overrides{}, "run without a suite file: no image is given"},
		{nil, o, "run without a suite file: no test directory is given"},
		{[]string{"other", "more/other"}, o, `test directories "DIR/other" and "DIR/more/other": both are named "other"`},
		{[]string{"none", "bare/file"}, o, "test directory \"none\": there is none\ntest directory \"bare/file\": not a directory"},
		{[]string{"/"}, o, `test directory "/": the name of a test must not contain / or @`},
	} {
		_, err := FromDirs(c.dirs, e, c.o)
		if err == nil || strings.ReplaceAll(err.Error(), dir, "DIR") != c.want {
			t.Errorf("%v: %v, want %s", c.dirs, err, c.want)
		}
	}
}

func TestCheckScript(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, text     string
		mode           os.FileMode
		reason, remedy string
		interpreter    string
	}{
		{"good", "#!/bin/sh\necho\n", 0o755, "", "", "/bin/sh"},
		{"env", "#! /usr/bin/env python3\n", 0o755, "", "", "/usr/bin/env"},
		{"elf", "\x7fELF\x02", 0o755, "", "", ""},
		{"plain", "#!/bin/sh\n", 0o644, "is not executable", "chmod +x DIR/plain/test.sh", "/bin/sh"},
		{"it's", "#!/bin/sh\n", 0o644, "is not executable", `chmod +x 'DIR/it'"'"'s/test.sh'`, "/bin/sh"},
		{"crlf", "#!/bin/sh\r\necho\r\n", 0o755, "has Windows line ends (CRLF), which become part of its interpreter's name", `sed -i 's/\r$//' DIR/crlf/test.sh`, "/bin/sh"},
		{"none", "echo\n", 0o755, "has no #! line", `sed -i '1i #!/bin/sh' DIR/none/test.sh`, ""},
		{"bom", "\ufeff#!/bin/sh\n", 0o755, "starts with a byte order mark, which hides its #! line", `sed -i '1s/^\xEF\xBB\xBF//' DIR/bom/test.sh`, ""},
		{"empty", "", 0o755, "is empty", "its first line names the interpreter: #!/bin/sh", ""},
		{"nobody", "#! \n", 0o755, "has a #! line without an interpreter", "its first line names the interpreter: #!/bin/sh", ""},
	} {
		file := filepath.Join(dir, c.name, "test.sh")
		write(t, file, c.text)
		if err := os.Chmod(file, c.mode); err != nil {
			t.Fatal(err)
		}
		step := Step{Dir: filepath.Dir(file), Script: true}
		checkReason(t, step, dir, c.reason, c.remedy)
		if got := step.Interpreter(); got != c.interpreter {
			t.Errorf("%s: interpreter %q, want %q", c.name, got, c.interpreter)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "dir/test.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	checkReason(t, Step{Dir: dir + "/dir", Script: true}, dir, "is a directory", "it must be an executable script")
	if err := os.Mkdir(filepath.Join(dir, "link"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("gone", filepath.Join(dir, "link/test.sh")); err != nil {
		t.Fatal(err)
	}
	checkReason(t, Step{Dir: dir + "/link", Script: true}, dir, "is a link to gone, which does not exist", "the link must lead to an executable script in the test's directory")
	checkReason(t, Step{Dir: dir, Script: true}, dir, "does not exist", "a test is a directory with an executable test.sh in it")
	checkReason(t, Step{Dir: dir}, dir, "", "")
	checkReason(t, Step{Dir: dir + "/nowhere"}, dir, "does not exist", "make the directory, with a test.sh in it, or correct dir")
	checkReason(t, Step{Dir: dir + "/good/test.sh"}, dir, "is not a directory", "a test is a directory with a test.sh in it")
}

func checkReason(t *testing.T, step Step, dir, reason, remedy string) {
	t.Helper()
	err := step.CheckScript()
	var script *ScriptError
	if reason == "" && err == nil {
		return
	}
	if !errors.As(err, &script) || script.Reason != reason || strings.ReplaceAll(script.Hint(), dir, "DIR") != remedy {
		t.Errorf("%s: %v (%s), want %s (%s)", step.Dir, err, hint.Of(err), reason, remedy)
	}
}

// fuzzedVisits bounds the values of a fuzzed file: a bomb of aliases that goes on to
// maxVisits takes so long that minimizing what is found in it leaves time for nothing else.
const fuzzedVisits = 1000

// shelf is a machine on which every file is there and says the same, so that what is
// fuzzed neither reads nor waits for files of this one.
type shelf struct{}

func (shelf) read(string, int64) ([]byte, error) { return []byte("A=1\nTOKEN='x$y'\n"), nil }
func (shelf) mode(string) (fs.FileMode, error)   { return 0o644, nil }
func (shelf) resolve(file string) string         { return file }
func (shelf) readlink(string) (string, error)    { return "", syscall.EINVAL }
func (shelf) directories(pattern string) ([]string, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, err
	}
	return []string{"/srv/a", "/srv/b"}, nil
}

// Load never panics; what it refuses is at a place inside of the file; what it takes has
// names that are files' names, and each of them selects its step.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add(sample)
	dir := f.TempDir() // empty: a step's name is no directory there
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(dir, "runtests.yaml")
		d := &decoder{file: file, path: file, env: env(dir), from: env(dir).place(dir), files: shelf{}, visits: maxVisits - fuzzedVisits}
		s, err := d.load(text, overrides{})
		if err != nil {
			checkPlaces(t, err, newSource(text), file)
			return
		}
		seen := map[string]bool{}
		for _, step := range s.Steps {
			if path.Base(step.Name) != step.Name || step.Name == ".." || step.Name == "." || len(step.Name) > maxStepName || strings.ContainsRune(step.Name, 0) || seen[step.Name] {
				t.Errorf("not the name of a file, or not the only one: %q", step.Name)
			}
			seen[step.Name] = true
			if !filepath.IsAbs(step.Dir) || step.Timeout <= 0 || step.Container.Image == "" || len(step.Container.Command) == 0 {
				t.Errorf("not complete: %+v", step)
			}
			if got, err := s.Select([]string{step.Name}, dir); err != nil || !slices.Contains(names(got), step.Name) {
				t.Errorf("%q does not select its step: %v, %v", step.Name, names(got), err)
			}
		}
	})
}

func checkPlaces(t *testing.T, err error, src source, file string) {
	t.Helper()
	var all *Errors
	if !errors.As(err, &all) {
		return
	}
	for _, p := range all.Problems {
		if p.File != file {
			continue
		}
		if p.Line < 1 || p.Line > len(src.lines) || p.Column < 1 || p.Column > len([]rune(src.line(p.Line)))+1 || p.Message == "" {
			t.Errorf("not in the file: %d:%d %s", p.Line, p.Column, p.Message)
		}
	}
	if strings.ContainsAny(all.Error(), "\x1b\x00") {
		t.Errorf("an escape is printed: %q", all.Error())
	}
}

// A name is taken for itself by Select, whatever it looks like; a pattern selects what
// path.Match says, and nothing else.
func FuzzSelect(f *testing.F) {
	for _, target := range []string{"ecs", "*", "e?s", "[a-z]*@*", "x/../..", "\\*", "ecs@deps", "["} {
		f.Add(target)
	}
	dir := f.TempDir()
	s := &Suite{}
	for _, name := range []string{"ecs@deps", "a[b]@deps", "*@deps", "dynamow@a_b"} {
		test, image, _ := strings.Cut(name, "@")
		s.Steps = append(s.Steps, Step{Name: name, Test: test, Image: image, Dir: filepath.Join(dir, "none", test)})
	}
	f.Fuzz(func(t *testing.T, target string) {
		if _, err := os.Lstat(absolute(dir, target)); err == nil || strings.Contains(target, "none/") {
			t.Skip("a directory")
		}
		var want []string
		for _, step := range s.Steps {
			byTest, _ := path.Match(target, step.Test)
			byName, _ := path.Match(target, step.Name)
			if byTest || byName || target == step.Test || target == step.Name {
				want = append(want, step.Name)
			}
		}
		got, err := s.Select([]string{target}, dir)
		if (err == nil) != (len(want) > 0) || !slices.Equal(names(got), want) {
			t.Errorf("%q: %v, %v, want %v", target, names(got), err, want)
		}
	})
}
