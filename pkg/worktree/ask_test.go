package worktree

import (
	"path/filepath"
	"testing"
)

// ours reads work trees that no code under test can write.
var ours Trees

// askAll asks everything that can be asked about a work tree.
func askAll(t *testing.T, root, head string) {
	t.Helper()
	_, err := ours.States(t.Context(), []string{root, filepath.Join(root, "a")})
	err2 := ours.Files(t.Context(), root, head, []string{"a"}, t.TempDir())
	_, err3 := ours.Between(t.Context(), root, head, head, []string{"a"}, 5)
	_, err4 := ours.Same(t.Context(), root, head, head, []string{"a"})
	t.Log(err, err2, err3, err4)
}
