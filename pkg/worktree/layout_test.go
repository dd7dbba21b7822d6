package worktree

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// same writes other content of the same length to a file, which git finds only by reading it.
func same(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[0] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// bare clones the repository that newRepository makes.
func bare(t *testing.T, args ...string) string {
	t.Helper()
	from, to := newRepository(t), filepath.Join(t.TempDir(), "clone")
	runGit(t, from, append(append([]string{"clone", "-q"}, args...), "file://"+from, to)...)
	return to
}

// layouts are the ways in which git keeps the repository of a work tree. Each has test.sh in a.
var layouts = map[string]func(t *testing.T) (root string){
	"plain": newRepository,
	"detached": func(t *testing.T) string {
		root := newRepository(t)
		runGit(t, root, "checkout", "-q", "--detach")
		return root
	},
	"packed": func(t *testing.T) string {
		root := newRepository(t)
		runGit(t, root, "gc", "-q")
		runGit(t, root, "pack-refs", "--all")
		return root
	},
	"a branch with folders": func(t *testing.T) string {
		root := newRepository(t)
		runGit(t, root, "checkout", "-q", "-b", "feature/x/y")
		runGit(t, root, "pack-refs", "--all")
		return root
	},
	"a symbolic branch": func(t *testing.T) string {
		root := newRepository(t)
		runGit(t, root, "checkout", "-q", "-b", "other")
		runGit(t, root, "symbolic-ref", "refs/heads/alias", "refs/heads/other")
		mustWrite(t, filepath.Join(root, ".git", "HEAD"), "ref: refs/heads/alias\n", 0o644)
		return root
	},
	"linked": func(t *testing.T) string {
		main, root := newRepository(t), filepath.Join(t.TempDir(), "linked")
		runGit(t, main, "worktree", "add", "-q", root)
		return root
	},
	"linked to a bare one": func(t *testing.T) string {
		git, root := bare(t, "--bare"), filepath.Join(t.TempDir(), "linked")
		runGit(t, git, "worktree", "add", "-q", root)
		return root
	},
	"linked inside a bare one": func(t *testing.T) string {
		git := bare(t, "--bare")
		runGit(t, git, "worktree", "add", "-q", "tree")
		return filepath.Join(git, "tree")
	},
	"submodule": func(t *testing.T) string {
		main := newRepository(t)
		runGit(t, main, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", newRepository(t), "module")
		return filepath.Join(main, "module")
	},
	"a git dir elsewhere": func(t *testing.T) string { return bare(t, "--separate-git-dir="+filepath.Join(t.TempDir(), "git")) },
	"a link": func(t *testing.T) string {
		root, elsewhere := newRepository(t), filepath.Join(t.TempDir(), "git")
		if err := errors.Join(os.Rename(filepath.Join(root, ".git"), elsewhere), os.Symlink(elsewhere, filepath.Join(root, ".git"))); err != nil {
			t.Fatal(err)
		}
		return root
	},
	"objects of another one": func(t *testing.T) string {
		root := filepath.Join(t.TempDir(), "shared")
		runGit(t, "/", "clone", "-q", "--shared", newRepository(t), root)
		return root
	},
	"shallow": func(t *testing.T) string { return bare(t, "--depth=1") },
	"partial": func(t *testing.T) string { return bare(t, "--filter=blob:none") },
	"sparse": func(t *testing.T) string {
		root := newRepository(t)
		runGit(t, root, "sparse-checkout", "set", "--cone", "a")
		return root
	},
	"a sparse index": func(t *testing.T) string {
		root := newRepository(t)
		runGit(t, root, "sparse-checkout", "set", "--cone", "--sparse-index", "a")
		return root
	},
	"version 4": func(t *testing.T) string {
		root := newRepository(t)
		runGit(t, root, "update-index", "--index-version", "4")
		return root
	},
	"split index": func(t *testing.T) string {
		root := newRepository(t)
		runGit(t, root, "update-index", "--split-index")
		return root
	},
	"untracked cache": func(t *testing.T) string {
		root := newRepository(t)
		runGit(t, root, "update-index", "--force-untracked-cache")
		runGit(t, root, "status")
		return root
	},
	"fsmonitor": func(t *testing.T) string {
		root := newRepository(t)
		hook := filepath.Join(t.TempDir(), "hook")
		mustWrite(t, hook, "#!/bin/sh\nprintf 'token\\0'\n", 0o755) // says that nothing has changed
		runGit(t, root, "config", "core.fsmonitor", hook)
		runGit(t, root, "update-index", "--fsmonitor")
		runGit(t, root, "status")
		return root
	},
	"SHA-256": func(t *testing.T) string {
		root := newRepository(t)
		if err := os.RemoveAll(filepath.Join(root, ".git")); err != nil {
			t.Fatal(err)
		}
		runGit(t, root, "init", "-q", "--object-format=sha256")
		runGit(t, root, "add", ".")
		runGit(t, root, "commit", "-q", "-m", "first")
		return root
	},
	"line ends": func(t *testing.T) string {
		root := newRepository(t)
		runGit(t, root, "config", "core.autocrlf", "true")
		mustWrite(t, filepath.Join(root, "b", "crlf"), "one\r\ntwo\r\n", 0o644)
		runGit(t, root, "add", ".")
		runGit(t, root, "commit", "-q", "-m", "crlf")
		mustWrite(t, filepath.Join(root, "b", "crlf"), "one\r\ntwo\r\n", 0o644)
		return root
	},
	"excluded files": func(t *testing.T) string {
		root := newRepository(t)
		mustWrite(t, filepath.Join(root, ".git", "info", "exclude"), "cache\n", 0o644)
		mustWrite(t, filepath.Join(root, "a", "cache"), "", 0o644)
		return root
	},
	"an empty .git further down": func(t *testing.T) string {
		root := newRepository(t)
		if err := os.Mkdir(filepath.Join(root, "a", ".git"), 0o755); err != nil {
			t.Fatal(err)
		}
		return root
	},
}

// Whatever the layout, the state is the one that git itself reports.
func TestStatesOfLayouts(t *testing.T) {
	for name, layout := range layouts {
		t.Run(name, func(t *testing.T) {
			root := layout(t)
			head := runGit(t, root, "rev-parse", "HEAD")
			a := filepath.Join(root, "a")
			states, err := ours.States(t.Context(), []string{root, a})
			if want := (State{Root: root, Commit: head}); err != nil || states[root] != want || states[a] != want {
				t.Fatalf("%v, %v, want %v", states, err, want)
			}
			same(t, filepath.Join(a, "test.sh"))
			if states, err = ours.States(t.Context(), []string{root, a}); err != nil || !states[root].Dirty || !states[a].Dirty {
				t.Errorf("changed: %v, %v", states, err)
			}
			if same, err := ours.Same(t.Context(), root, head, head, []string{"a"}); err != nil || !same {
				t.Errorf("same: %v, %v", same, err)
			}
			if err := ours.Files(t.Context(), root, head, []string{"a"}, t.TempDir()); err != nil {
				t.Error(err)
			}
			if _, err := ours.Between(t.Context(), root, head, head, []string{"."}, 5); err != nil {
				t.Error(err)
			}
		})
	}
}

// A repository inside another one is the one that counts for what is in it.
func TestStatesOfNestedWorkTrees(t *testing.T) {
	root := newRepository(t)
	inner := filepath.Join(root, "a", "inner")
	write(t, filepath.Join(inner, "file"))
	runGit(t, inner, "init", "-q")
	runGit(t, inner, "add", ".")
	runGit(t, inner, "commit", "-q", "-m", "inner")
	states, err := ours.States(t.Context(), []string{root, inner})
	if err != nil || states[inner].Commit != runGit(t, inner, "rev-parse", "HEAD") || states[inner].Dirty || !states[root].Dirty {
		t.Errorf("%v, %v", states, err)
	}
}

// A submodule at another commit makes the directory around it dirty.
func TestStatesAroundASubmodule(t *testing.T) {
	main := newRepository(t)
	runGit(t, main, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", newRepository(t), "a/module")
	runGit(t, main, "commit", "-q", "-a", "-m", "module")
	if states, err := ours.States(t.Context(), []string{main}); err != nil || states[main].Dirty {
		t.Fatalf("%v, %v", states, err)
	}
	runGit(t, filepath.Join(main, "a/module"), "commit", "-q", "--allow-empty", "-m", "more")
	if states, err := ours.States(t.Context(), []string{main}); err != nil || !states[main].Dirty {
		t.Errorf("%v, %v", states, err)
	}
}

// sparse makes a file of 10 GB that takes no space.
func sparse(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, path, "", 0o644)
	if err := os.Truncate(path, 10<<30); err != nil {
		t.Fatal(err)
	}
}

// hostile are repositories that are made to be expensive, or to lead elsewhere. There is no state, an
// error, and it is quick.
var hostile = map[string]func(t *testing.T, git string){
	"an index of 10 GB":       func(t *testing.T, git string) { sparse(t, filepath.Join(git, "index")) },
	"a HEAD of 10 GB":         func(t *testing.T, git string) { sparse(t, filepath.Join(git, "HEAD")) },
	"a config of 10 GB":       func(t *testing.T, git string) { sparse(t, filepath.Join(git, "config")) },
	"an exclude of 10 GB":     func(t *testing.T, git string) { sparse(t, filepath.Join(git, "info/exclude")) },
	"a commondir of 10 GB":    func(t *testing.T, git string) { sparse(t, filepath.Join(git, "commondir")) },
	"a shared index of 10 GB": func(t *testing.T, git string) { sparse(t, filepath.Join(git, "sharedindex.x")) },
	"a branch of 10 GB": func(t *testing.T, git string) {
		mustWrite(t, filepath.Join(git, "HEAD"), "ref: refs/heads/big", 0o644)
		sparse(t, filepath.Join(git, "refs/heads/big"))
	},
	"packed-refs of 10 GB": func(t *testing.T, git string) {
		mustWrite(t, filepath.Join(git, "HEAD"), "ref: refs/heads/none", 0o644)
		sparse(t, filepath.Join(git, "packed-refs"))
	},
	"endless symbolic references": func(t *testing.T, git string) {
		mustWrite(t, filepath.Join(git, "HEAD"), "ref: refs/heads/x", 0o644)
		mustWrite(t, filepath.Join(git, "refs/heads/x"), "ref: refs/heads/x", 0o644)
	},
	"HEAD above": func(t *testing.T, git string) {
		mustWrite(t, filepath.Join(git, "HEAD"), "ref: refs/../../../x", 0o644)
	},
	"HEAD of no words": func(t *testing.T, git string) { mustWrite(t, filepath.Join(git, "HEAD"), "", 0o644) },
	"HEAD as a link":   func(t *testing.T, git string) { replace(t, filepath.Join(git, "HEAD"), "/etc/passwd") },
	"a branch as a link": func(t *testing.T, git string) {
		mustWrite(t, filepath.Join(git, "HEAD"), "ref: refs/heads/x", 0o644)
		replace(t, filepath.Join(git, "refs/heads/x"), "/etc/passwd")
	},
	"the index as a link": func(t *testing.T, git string) { replace(t, filepath.Join(git, "index"), "/etc/passwd") },
	"HEAD as a pipe":      func(t *testing.T, git string) { pipe(t, filepath.Join(git, "HEAD")) },
	"config as a pipe":    func(t *testing.T, git string) { pipe(t, filepath.Join(git, "config")) },
	"the index as a pipe": func(t *testing.T, git string) { pipe(t, filepath.Join(git, "index")) },
	".git as a pipe":      func(t *testing.T, git string) { pipe(t, git) },
	".git as a device":    func(t *testing.T, git string) { replace(t, git, "/dev/zero") },
	".git as a loop":      func(t *testing.T, git string) { replace(t, git, ".git") },
	".git of 10 GB":       func(t *testing.T, git string) { sparse(t, git) },
	"references in tables": func(t *testing.T, git string) {
		mustWrite(t, filepath.Join(git, "config"), "[core]\nrepositoryFormatVersion = 1\n[extensions]\nrefStorage = reftable\n", 0o644)
	},
	"an unknown extension": func(t *testing.T, git string) {
		mustWrite(t, filepath.Join(git, "config"), "[core]\nrepositoryFormatVersion = 1\n[extensions]\nwhatever = 1\n", 0o644)
	},
	"a config that is none": func(t *testing.T, git string) { mustWrite(t, filepath.Join(git, "config"), "[[[\x00", 0o644) },
	"a bare one":            func(t *testing.T, git string) { mustWrite(t, filepath.Join(git, "config"), "[core]\nbare\n", 0o644) },
	"a commit that is not there": func(t *testing.T, git string) {
		mustWrite(t, filepath.Join(git, "HEAD"), strings.Repeat("0123456789", 4), 0o644)
	},
	"too many shared indexes": func(t *testing.T, git string) {
		for _, letter := range "abcdefghijkl" {
			mustWrite(t, filepath.Join(git, "sharedindex."+string(letter)), "", 0o644)
		}
	},
	"no objects": func(_ *testing.T, git string) { _ = os.RemoveAll(filepath.Join(git, "objects")) },
}

func replace(t *testing.T, path, target string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(path), os.Symlink(target, path)); err != nil {
		t.Fatal(err)
	}
}

func pipe(t *testing.T, path string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(path), syscall.Mkfifo(path, 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestStatesOfHostileRepositories(t *testing.T) {
	for name, attack := range hostile {
		t.Run(name, func(t *testing.T) {
			temporary := t.TempDir()
			t.Setenv("TMPDIR", temporary)
			root := newRepository(t)
			attack(t, filepath.Join(root, ".git"))
			began := time.Now()
			states, err := ours.States(t.Context(), []string{root})
			if took := time.Since(began); took > commandTimeout/2 {
				t.Errorf("it took %v", took)
			}
			if err == nil || len(states) > 0 || !strings.Contains(err.Error(), root) || len(err.Error()) > 1000 || strings.Contains(err.Error(), "root:x:") {
				t.Errorf("%v, %v", states, err)
			}
			if left, _ := filepath.Glob(filepath.Join(temporary, "runtests-git-*")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			t.Log(err)
		})
	}
}

// A directory that keeps git waiting hides neither the commits of the others, nor does it last for ever.
func TestStatesBesideAPipe(t *testing.T) {
	root := newRepository(t)
	a, b := filepath.Join(root, "a"), filepath.Join(root, "b")
	pipe(t, filepath.Join(a, ".gitignore"))
	began := time.Now()
	trees := Trees{patience: 3 * time.Second}
	states, err := trees.States(t.Context(), []string{a, b})
	if _, ok := states[b]; !ok || len(states) != 1 || err == nil || !strings.Contains(err.Error(), "a: git status: no answer within 3s") {
		t.Errorf("%v, %v", states, err)
	}
	if took := time.Since(began); took > commandTimeout {
		t.Errorf("it took %v", took)
	}
}

// What a dead run left is removed, and nothing else.
func TestStalePrivateDirectories(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	old := time.Now().Add(-2 * staleAfter)
	for _, name := range []string{"runtests-git-123", "runtests-git-notes", "runtests-git-456", "other-1"} {
		mustWrite(t, filepath.Join(temporary, name, "file"), "", 0o600)
		if err := os.Chtimes(filepath.Join(temporary, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(temporary, "runtests-git-456"), time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	removeStale(time.Now())
	var left []string
	entries, err := os.ReadDir(temporary)
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if got := strings.Join(left, " "); err != nil || got != "other-1 runtests-git-456 runtests-git-notes" {
		t.Error(got, err)
	}
}
