package worktree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runtests/tests/needs"
)

// tree is what is below a folder: paths with their modes and contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		}
		info, err := entry.Info()
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if entry.Type() == fs.ModeSymlink {
			var target string
			target, err = os.Readlink(path)
			content = []byte(target)
		}
		name, _ := filepath.Rel(dir, path)
		found[name] = fmt.Sprintf("%v %s", info.Mode(), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The files of a commit are what git itself would check out.
func TestFiles(t *testing.T) {
	root := newRepository(t)
	big := filepath.Join(root, "a", "big")
	if err := os.WriteFile(big, []byte(strings.Repeat("0123456789abcde\n", 1<<16)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(filepath.Join(root, "a", "test.sh"), 0o755), os.Symlink("../abc", filepath.Join(root, "a", "link")),
		os.WriteFile(filepath.Join(root, "a", "empty"), nil, 0o644), os.WriteFile(filepath.Join(root, "a", "a name\nof two lines"), []byte("x"), 0o644),
		os.WriteFile(filepath.Join(root, ".gitattributes"), []byte("a export-ignore\n*.sh text\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	runGit(t, root, "add", ".")
	runGit(t, root, "commit", "-q", "-m", "second")
	then := runGit(t, root, "rev-parse", "HEAD")
	want := tree(t, root)
	runGit(t, root, "rm", "-q", "-r", "a")
	runGit(t, root, "commit", "-q", "-m", "third")

	before := runGit(t, root, "count-objects", "-v") + runGit(t, root, "status", "--porcelain")
	into := t.TempDir()
	if err := ours.Files(t.Context(), root, then, []string{"."}, into); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, tree(t, into)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	into = t.TempDir()
	if err := ours.Files(t.Context(), root, then, []string{"ü/[c]", "abc", "none"}, into); err != nil {
		t.Fatal(err)
	}
	some := map[string]string{}
	for name, content := range want {
		if name == "abc" || strings.HasPrefix(name, "ü/[c]/") {
			some[name] = content
		}
	}
	if diff := cmp.Diff(some, tree(t, into)); diff != "" {
		t.Errorf("some (-want +got):\n%s", diff)
	}
	if after := runGit(t, root, "count-objects", "-v") + runGit(t, root, "status", "--porcelain"); after != before {
		t.Errorf("the repository was written to:\n%s\n%s", before, after)
	}
}

func TestFilesThatNeedGit(t *testing.T) {
	root := newRepository(t)
	mark := filepath.Join(t.TempDir(), "mark")
	runGit(t, root, "config", "filter.touch.smudge", "touch "+mark+"; cat")
	if err := os.WriteFile(filepath.Join(root, ".gitattributes"), []byte("b/** filter=touch\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	head := runGit(t, root, "rev-parse", "HEAD")
	if err := ours.Files(t.Context(), root, head, []string{"b"}, t.TempDir()); !errors.Is(err, ErrNeedsGit) || !strings.Contains(err.Error(), "filter=touch") {
		t.Errorf("a filter: %v", err)
	}
	if err := ours.Files(t.Context(), root, head, []string{"a"}, t.TempDir()); err != nil {
		t.Errorf("beside it: %v", err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the filter was executed")
	}
	runGit(t, root, "update-index", "--add", "--cacheinfo", "160000,"+head+",a/module")
	runGit(t, root, "commit", "-q", "-m", "module")
	if err := ours.Files(t.Context(), root, runGit(t, root, "rev-parse", "HEAD"), []string{"a"}, t.TempDir()); !errors.Is(err, ErrNeedsGit) || !strings.Contains(err.Error(), "a/module") {
		t.Errorf("a submodule: %v", err)
	}
}

// A commit that is not there, and what is none.
func TestFilesOfNoCommit(t *testing.T) {
	root := newRepository(t)
	for _, commit := range []string{strings.Repeat("0123456789", 4), "HEAD", "--output=x", ""} {
		if err := ours.Files(t.Context(), root, commit, []string{"a"}, t.TempDir()); err == nil {
			t.Errorf("%q: no error", commit)
		}
		if _, err := ours.Between(t.Context(), root, commit, commit, []string{"a"}, 9); err == nil {
			t.Errorf("between %q: no error", commit)
		}
	}
}

// A tree that was made to get out of its folder stays inside.
func TestFilesStayInside(t *testing.T) {
	outside := t.TempDir()
	write := func(e entry, content, into string) error {
		root, err := os.OpenRoot(into)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		w := writer{Root: root, made: map[string]bool{".": true}}
		return errors.Join(w.write(entry{modeLink, "", "out"}, strings.NewReader(outside)), w.write(e, strings.NewReader(content)))
	}
	for _, name := range []string{"../escaped", "out/escaped", outside + "/escaped"} {
		if err := write(entry{"100644", "", name}, "x", t.TempDir()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if found, _ := os.ReadDir(outside); len(found) > 0 {
		t.Errorf("outside: %v", found)
	}
}

// The files of somebody else's repository are that user's, and so is git.
func TestFilesOfTheOwner(t *testing.T) {
	needs.Root(t, t.Name(), "it gives a repository to another user")
	root := newRepository(t)
	for dir := root; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	head := runGit(t, root, "rev-parse", "HEAD")
	if out, err := exec.Command("chown", "-R", "65534:65534", root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	into := t.TempDir()
	if err := ours.Files(t.Context(), root, head, []string{"a"}, into); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "a/test.sh"} {
		if owner, err := ownerOf(filepath.Join(into, name)); err != nil || owner.Uid != 65534 {
			t.Errorf("%s belongs to %+v, %v", name, owner, err)
		}
	}
}

func TestBetween(t *testing.T) {
	root := newRepository(t)
	commit := func(file, subject string) string {
		appendTo(t, filepath.Join(root, file))
		runGit(t, root, "commit", "-q", "-a", "-m", subject, "-m", "a body\nof lines")
		return runGit(t, root, "rev-parse", "HEAD")
	}
	first := runGit(t, root, "rev-parse", "HEAD")
	commit("a/test.sh", "a: one")
	commit("b/test.sh", "b: one")
	commit("ü/[c]/test.sh", "c: red")
	last := commit("a/test.sh", "a: two")
	subjects := func(from, to string, most int, paths ...string) (all []string) {
		commits, err := ours.Between(context.Background(), root, from, to, paths, most)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range commits {
			if len(c.ID) != 40 || c.Author != "t" || c.Date.IsZero() {
				t.Errorf("%+v", c)
			}
			all = append(all, c.Subject)
		}
		return all
	}
	for _, test := range []struct {
		got, want []string
	}{
		{subjects(first, last, 9, "."), []string{"a: two", "c: red", "b: one", "a: one"}},
		{subjects(first, last, 9, "a"), []string{"a: two", "a: one"}},
		{subjects(first, last, 1, "a"), []string{"a: two"}},
		{subjects(first, last, 9, "ü/[c]", "b"), []string{"c: red", "b: one"}},
		{subjects(last, first, 9, "."), nil},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestInside(t *testing.T) {
	root := newRepository(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(root, "a"), link); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path, inside string
		ok           bool
	}{
		{root, ".", true}, {filepath.Join(root, "a"), "a", true}, {link, "a", true}, {filepath.Join(root, "ü", "[c]"), "ü/[c]", true},
		{filepath.Dir(root), "", false}, {filepath.Join(root, "none"), "", false}, {root + "-beside", "", false},
	} {
		if inside, ok := Inside(root, test.path); inside != test.inside || ok != test.ok {
			t.Errorf("%s: %q, %v", test.path, inside, ok)
		}
	}
}
