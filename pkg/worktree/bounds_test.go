package worktree

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The bounds of Files hold before anything is written.
func TestFilesWithinBounds(t *testing.T) {
	for name, fill := range map[string]func(t *testing.T, root string) (tree string){
		// Less than 1 MB in the repository, more than 512 MiB on disk: the same blob under many names.
		"many times the same": func(t *testing.T, root string) (tree string) {
			mustWrite(t, filepath.Join(root, "big"), strings.Repeat("0", 4<<20), 0o644)
			id := runGit(t, root, "hash-object", "-w", "big")
			var list strings.Builder
			for i := range maxBytes/(4<<20) + 1 {
				fmt.Fprintf(&list, "100644 blob %s\t%d\n", id, i)
			}
			return makeTree(t, root, list.String())
		},
		"one large file": func(t *testing.T, root string) (tree string) {
			sparse(t, filepath.Join(root, "big"))
			if err := os.Truncate(filepath.Join(root, "big"), maxFile+1); err != nil {
				t.Fatal(err)
			}
			return makeTree(t, root, "100644 blob "+runGit(t, root, "-c", "core.bigFileThreshold=1m", "hash-object", "-w", "big")+"\tbig\n")
		},
		// A tree of trees of trees: 10 entries in each, 100 000 files.
		"very many files": func(t *testing.T, root string) (tree string) {
			blob := runGit(t, root, "hash-object", "-w", "abc")
			line := "100644 blob " + blob
			for range 5 {
				var list strings.Builder
				for i := range 10 {
					fmt.Fprintf(&list, "%s\t%d\n", line, i)
				}
				line = "040000 tree " + makeTree(t, root, list.String())
			}
			return strings.TrimPrefix(line, "040000 tree ")
		},
		"very deep": func(t *testing.T, root string) (tree string) {
			line := "100644 blob " + runGit(t, root, "hash-object", "-w", "abc")
			for range maxDepth + 2 {
				line = "040000 tree " + makeTree(t, root, line+"\td\n")
			}
			return strings.TrimPrefix(line, "040000 tree ")
		},
		"long names": func(t *testing.T, root string) (tree string) {
			line := "100644 blob " + runGit(t, root, "hash-object", "-w", "abc")
			for range 6 {
				line = "040000 tree " + makeTree(t, root, line+"\t"+strings.Repeat("l", 200)+"\n")
			}
			return strings.TrimPrefix(line, "040000 tree ")
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRepository(t)
			commit := runGit(t, root, "commit-tree", "-m", "large", fill(t, root))
			into := t.TempDir()
			err := ours.Files(t.Context(), root, commit, []string{"."}, into)
			if !errors.Is(err, ErrTooLarge) {
				t.Errorf("%v", err)
			}
			if found, _ := os.ReadDir(into); len(found) > 0 {
				t.Errorf("written: %v", found)
			}
			t.Log(err)
		})
	}
}

// A tree of trees that has 10 billion files ends at the bound of git's output.
func TestFilesOfABomb(t *testing.T) {
	root := newRepository(t)
	line := "100644 blob " + runGit(t, root, "hash-object", "-w", "abc")
	for range 10 {
		var list strings.Builder
		for i := range 10 {
			fmt.Fprintf(&list, "%s\t%d\n", line, i)
		}
		line = "040000 tree " + makeTree(t, root, list.String())
	}
	commit := runGit(t, root, "commit-tree", "-m", "bomb", strings.TrimPrefix(line, "040000 tree "))
	err := ours.Files(t.Context(), root, commit, []string{"."}, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "more than 64 MiB of output") {
		t.Error(err)
	}
}

// makeTree makes a tree of what git ls-tree would print, and returns its ID.
func makeTree(t *testing.T, root, list string) string {
	t.Helper()
	cmd := exec.Command("git", "mktree")
	cmd.Dir, cmd.Stdin = root, strings.NewReader(list)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
