package worktree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runtests/pkg/hint"
	"runtests/tests/needs"
)

func TestUntrusted(t *testing.T) {
	for _, test := range []struct {
		writable, parts []string
		want            bool
	}{
		{[]string{"/s/t"}, []string{"/s/.git"}, false},
		{[]string{"/s/t"}, []string{"/s/t/.git"}, true},
		{[]string{"/s/t"}, []string{"/s/t2/.git"}, false},
		{[]string{"/s/t/.git"}, []string{"/s/t/.git"}, true},
		{[]string{"/s/t/.git/refs"}, []string{"/s/t/.git"}, true},
		{[]string{"/s.git/main"}, []string{"/s.git/worktrees/main", "/s.git"}, false},
		{[]string{"/s.git/worktrees/main"}, []string{"/s.git/worktrees/main", "/s.git"}, true},
		{[]string{"/s/u", "/s"}, []string{"/s/t/.git"}, true},
		{[]string{"/"}, []string{"/s/.git"}, true},
		{[]string{"/s/t"}, []string{"/s/.git/modules/t", "/s/t/.git"}, true},
		{nil, []string{"/s/.git"}, false},
	} {
		if got := untrusted(test.writable, test.parts...); got != test.want {
			t.Errorf("untrusted(%q, %q) = %v", test.writable, test.parts, got)
		}
	}
}

// A repository that a test can write is marked, and not used for more; the one around it is not.
func TestStatesOfWritableDirectories(t *testing.T) {
	root := newRepository(t)
	planted := filepath.Join(root, "b")
	runGit(t, planted, "init", "-q")
	runGit(t, planted, "add", ".")
	runGit(t, planted, "commit", "-q", "-m", "planted")
	a := filepath.Join(root, "a")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(planted, link); err != nil {
		t.Fatal(err)
	}
	for _, writable := range []string{planted, link, filepath.Join(planted, ".git"), filepath.Join(planted, ".git", "refs")} {
		trees := Trees{Writable: []string{a, writable}}
		states, err := trees.States(t.Context(), []string{a, planted})
		if err != nil || states[a].Untrusted || !states[planted].Untrusted {
			t.Errorf("%s: %v, %v", writable, states, err)
		}
		head := states[planted].Commit
		_, err1 := trees.Between(t.Context(), planted, head, head, []string{"."}, 5)
		_, err2 := trees.Same(t.Context(), planted, head, head, []string{"."})
		err3 := trees.Files(t.Context(), planted, head, []string{"."}, t.TempDir())
		for _, err := range []error{err1, err2, err3} {
			if !errors.Is(err, ErrUntrusted) {
				t.Error(err)
			}
		}
	}
}

// A .git that a test may have written names no repository that does not name the test's directory.
func TestNoRepositoryIsDisclosed(t *testing.T) {
	for name, plant := range map[string]func(git, private string) error{
		"a file": func(git, private string) error { return os.WriteFile(git, []byte("gitdir: "+private+"\n"), 0o644) },
		"a link": func(git, private string) error { return os.Symlink(private, git) },
		"commondir": func(git, private string) error {
			return errors.Join(os.Mkdir(git, 0o755), os.WriteFile(filepath.Join(git, "HEAD"), []byte("ref: refs/heads/master"), 0o644),
				os.WriteFile(filepath.Join(git, "commondir"), []byte(private), 0o644))
		},
		"objects": func(git, private string) error {
			return errors.Join(likeThe(private, git), os.Symlink(filepath.Join(private, "objects"), filepath.Join(git, "objects")))
		},
		"packs": func(git, private string) error {
			return errors.Join(likeThe(private, git), os.Mkdir(filepath.Join(git, "objects"), 0o755),
				os.Symlink(filepath.Join(private, "objects/pack"), filepath.Join(git, "objects/pack")))
		},
		"alternates": func(git, private string) error {
			info := filepath.Join(git, "objects/info")
			return errors.Join(likeThe(private, git), os.MkdirAll(info, 0o755), os.WriteFile(filepath.Join(info, "alternates"), []byte(private+"/objects\n"), 0o644))
		},
		"a linked work tree of another one": func(git, private string) error {
			return os.WriteFile(git, []byte("gitdir: "+private+"/worktrees/linked\n"), 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			private := filepath.Join(newRepository(t), ".git")
			runGit(t, filepath.Dir(private), "worktree", "add", "-q", filepath.Join(t.TempDir(), "linked"))
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if err := plant(filepath.Join(dir, ".git"), private); err != nil {
				t.Fatal(err)
			}
			trees := Trees{Writable: []string{dir}}
			states, err := trees.States(t.Context(), []string{dir})
			if err == nil || len(states) > 0 || !strings.Contains(err.Error(), "may have been written by a test") || hint.Of(err) == "" {
				t.Errorf("%v, %v", states, err)
			}
			t.Log(err)
		})
	}
}

// likeThe makes a git dir with the branch of another one, and without objects.
func likeThe(other, git string) error {
	head, err := os.ReadFile(filepath.Join(other, "refs/heads/master"))
	return errors.Join(err, os.MkdirAll(filepath.Join(git, "refs"), 0o755), os.WriteFile(filepath.Join(git, "HEAD"), head, 0o644))
}

// A linked work tree and a submodule as test directories that are mounted writable are named by their
// repository, which no test can write.
func TestStatesOfWritableLinkedWorkTrees(t *testing.T) {
	for _, name := range []string{"linked", "linked to a bare one", "linked inside a bare one", "submodule"} {
		root := layouts[name](t)
		trees := Trees{Writable: []string{root}}
		states, err := trees.States(t.Context(), []string{root})
		if want := (State{Root: root, Commit: runGit(t, root, "rev-parse", "HEAD")}); err != nil || states[root] != want {
			t.Errorf("%s: %+v, %v", name, states, err)
		}
	}
}

// Root does not read another user's repository for the owner of a work tree that names it.
func TestStatesOfAnotherUser(t *testing.T) {
	needs.Root(t, t.Name(), "it gives a work tree to another user")
	private := filepath.Join(newRepository(t), ".git")
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, ".git"), fmt.Sprintf("gitdir: %s\n", private), 0o644)
	if err := errors.Join(os.Chown(dir, 65534, 65534), os.Chown(private, 65533, 65533)); err != nil {
		t.Fatal(err)
	}
	states, err := ours.States(t.Context(), []string{dir})
	if err == nil || len(states) > 0 || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("%v, %v", states, err)
	}
}
