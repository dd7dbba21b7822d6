package worktree

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"runtests/tests/needs"
)

// runGit runs git for a test, with an identity to commit with.
func runGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(path+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// newRepository makes a work tree with the directories a, b and ü/[c], committed.
func newRepository(t *testing.T) (root string) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "tree")
	for _, file := range []string{"a/test.sh", "b/test.sh", "ü/[c]/test.sh", "abc"} {
		write(t, filepath.Join(root, file))
	}
	runGit(t, root, "init", "-q")
	runGit(t, root, "add", ".")
	runGit(t, root, "commit", "-q", "-m", "first")
	return root
}

func TestStates(t *testing.T) {
	root := newRepository(t)
	commit := runGit(t, root, "rev-parse", "HEAD")
	a, b, c := filepath.Join(root, "a"), filepath.Join(root, "b"), filepath.Join(root, "ü", "[c]")
	elsewhere := t.TempDir()
	for _, test := range []struct {
		name  string
		do    func()
		dirty []string
	}{
		{"as committed", func() {}, nil},
		{"a file changed", func() { appendTo(t, filepath.Join(a, "test.sh")) }, []string{a, root}},
		{"a new directory, in a name of its own kind", func() { write(t, filepath.Join(c, "new", "file")) }, []string{a, c, root}},
		{"a file removed", func() { os.Remove(filepath.Join(b, "test.sh")) }, []string{a, b, c, root}},
	} {
		test.do()
		states, err := ours.States(context.Background(), []string{a, b, c, root, elsewhere, filepath.Join(root, "none")})
		if err != nil || len(states) != 4 {
			t.Fatalf("%s: %v, %v", test.name, states, err)
		}
		dirty := map[string]bool{}
		for _, dir := range test.dirty {
			dirty[dir] = true
		}
		for dir, state := range states {
			if state.Commit != commit || state.Dirty != dirty[dir] {
				t.Errorf("%s: %s is %+v", test.name, dir, state)
			}
		}
	}
}

func appendTo(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(data, "more\n"...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// With more directories than git is given by name it says the same.
func TestStatesOfMany(t *testing.T) {
	root := newRepository(t)
	var dirs []string
	for _, name := range strings.Fields(many(maxPaths + 20)) {
		write(t, filepath.Join(root, name, "test.sh"))
		dirs = append(dirs, filepath.Join(root, name))
	}
	runGit(t, root, "add", ".")
	runGit(t, root, "commit", "-q", "-m", "many")
	appendTo(t, filepath.Join(dirs[7], "test.sh"))
	states, err := ours.States(context.Background(), dirs)
	if err != nil || len(states) != len(dirs) {
		t.Fatalf("%d states of %d, %v", len(states), len(dirs), err)
	}
	for i, dir := range dirs {
		if states[dir].Dirty != (i == 7) {
			t.Errorf("%s: %+v", dir, states[dir])
		}
	}
}

func many(n int) string {
	var names strings.Builder
	for i := range n {
		names.WriteString(" t" + strings.Repeat("i", i/26) + string(rune('a'+i%26)))
	}
	return names.String()
}

func TestStatesWithoutACommit(t *testing.T) {
	root := t.TempDir()
	runGit(t, root, "init", "-q")
	if states, err := ours.States(context.Background(), []string{root}); err != nil || len(states) != 0 {
		t.Errorf("got %v, %v", states, err)
	}
}

func TestStatesOfWhatIsNoRepository(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, ".git"))
	states, err := ours.States(context.Background(), []string{root})
	if err == nil || len(states) != 0 || !strings.Contains(err.Error(), root) {
		t.Errorf("got %v, %v", states, err)
	}
}

// Root asks about a repository of somebody else as that user.
func TestStatesAsTheOwner(t *testing.T) {
	needs.Root(t, t.Name(), "it gives a repository to another user")
	root := newRepository(t)
	for dir := root; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chown", "-R", "65534:65534", root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	states, err := ours.States(context.Background(), []string{filepath.Join(root, "a")})
	if err != nil || len(states) != 1 {
		t.Fatalf("got %v, %v", states, err)
	}
	// What the owner cannot read, git cannot either.
	for _, name := range []string{"objects", "HEAD"} {
		name = filepath.Join(root, ".git", name)
		if err := errors.Join(os.Chown(name, 0, 0), os.Chmod(name, 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	if states, err := ours.States(context.Background(), []string{filepath.Join(root, "a")}); err == nil || len(states) != 0 {
		t.Errorf("objects of root: %v", states)
	}
}

// A changed file in the root of a work tree makes that root dirty.
func TestStateOfTheRoot(t *testing.T) {
	root := newRepository(t)
	appendTo(t, filepath.Join(root, "abc"))
	states, err := ours.States(t.Context(), []string{root})
	if err != nil || !states[root].Dirty {
		t.Errorf("%v, %v", states, err)
	}
}
