package worktree

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// lfs makes a work tree with a file of Git LFS in a: the commit has its pointer.
func lfs(t *testing.T, pointer func(content string) string) (root, file string) {
	t.Helper()
	root = newRepository(t)
	file = filepath.Join(root, "a", "data.bin")
	content := "not what is committed"
	mustWrite(t, file, pointer(content), 0o644)
	mustWrite(t, filepath.Join(root, ".gitattributes"), "*.bin filter=lfs diff=lfs merge=lfs -text\n", 0o644)
	runGit(t, root, "add", ".")
	runGit(t, root, "commit", "-q", "-m", "lfs")
	mustWrite(t, file, content, 0o644)
	return root, file
}

func pointerTo(content string) string {
	return fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%x\nsize %d\n", sha256.Sum256([]byte(content)), len(content))
}

// A file of Git LFS is compared with what its pointer says, without the filter.
func TestStatesOfLFS(t *testing.T) {
	for _, test := range []struct {
		name    string
		pointer func(string) string
		change  func(root, file string) error
		dirty   bool
	}{
		{"as committed", pointerTo, func(string, string) error { return nil }, false},
		{"changed", pointerTo, func(_, file string) error { return os.WriteFile(file, []byte("not what is COMMITTED"), 0o644) }, true},
		{"longer", pointerTo, func(_, file string) error {
			return os.WriteFile(file, []byte("not what is committed, and more"), 0o644)
		}, true},
		{"another file changed", pointerTo, func(root, _ string) error { return os.WriteFile(filepath.Join(root, "a/test.sh"), nil, 0o644) }, true},
		{"staged", pointerTo, func(root, _ string) error { runGit(t, root, "add", "."); return nil }, true},
		{"renamed", pointerTo, func(root, file string) error {
			return os.Rename(file, filepath.Join(root, "a", "moved"))
		}, true},
		{"no pointer", func(string) string { return "x" }, func(string, string) error { return nil }, true},
		{"a long one", func(c string) string { return pointerTo(c) + fmt.Sprintf("%2000d\n", 1) }, func(string, string) error { return nil }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, file := lfs(t, test.pointer)
			if err := test.change(root, file); err != nil {
				t.Fatal(err)
			}
			states, err := ours.States(t.Context(), []string{filepath.Join(root, "a")})
			if err != nil || len(states) != 1 {
				t.Fatal(states, err)
			}
			for dir, state := range states {
				if state.Dirty != test.dirty {
					t.Errorf("%s: %+v", dir, state)
				}
			}
		})
	}
}
