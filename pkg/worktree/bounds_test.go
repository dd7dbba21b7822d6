package worktree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The bounds of Files hold before anything is written.
func TestFilesWithinBounds(t *testing.T) {
	for name, fill := range map[string]func(t *testing.T, root string){
		// 3 MB in the repository, more than 512 MiB on disk: the same blob under many names.
		"many times the same": func(t *testing.T, root string) {
			mustWrite(t, filepath.Join(root, "big"), strings.Repeat("0", 64<<20), 0o644)
			id := runGit(t, root, "hash-object", "-w", "big")
			for i := range 9 {
				runGit(t, root, "update-index", "--add", "--cacheinfo", fmt.Sprintf("100644,%s,big%d", id, i))
			}
			_ = os.Remove(filepath.Join(root, "big"))
		},
		"one large file": func(t *testing.T, root string) {
			sparse(t, filepath.Join(root, "big"))
			if err := os.Truncate(filepath.Join(root, "big"), maxFile+1); err != nil {
				t.Fatal(err)
			}
			runGit(t, root, "-c", "core.bigFileThreshold=1m", "add", "big")
		},
		// A tree of trees of trees: 10 entries in each, 100 000 files.
		"very many files": func(t *testing.T, root string) {
			blob := runGit(t, root, "hash-object", "-w", "abc")
			line := "100644 blob " + blob
			for range 5 {
				var list strings.Builder
				for i := range 10 {
					fmt.Fprintf(&list, "%s\t%d\n", line, i)
				}
				mustWrite(t, filepath.Join(root, "list"), list.String(), 0o644)
				line = "040000 tree " + runShell(t, root, "git mktree <list")
			}
			runGit(t, root, "read-tree", "--prefix=many/", strings.TrimPrefix(line, "040000 tree "))
		},
		"very deep": func(t *testing.T, root string) {
			line := "100644 blob " + runGit(t, root, "hash-object", "-w", "abc")
			for range maxDepth + 2 {
				mustWrite(t, filepath.Join(root, "list"), line+"\td\n", 0o644)
				line = "040000 tree " + runShell(t, root, "git mktree <list")
			}
			runGit(t, root, "read-tree", "--prefix=deep/", strings.TrimPrefix(line, "040000 tree "))
		},
		"long names": func(t *testing.T, root string) {
			id := runGit(t, root, "hash-object", "-w", "abc")
			runGit(t, root, "update-index", "--add", "--cacheinfo", "100644,"+id+","+strings.Repeat("long/", maxPath/5)+"file")
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRepository(t)
			fill(t, root)
			runGit(t, root, "commit", "-q", "-m", "large")
			into := t.TempDir()
			err := ours.Files(t.Context(), root, runGit(t, root, "rev-parse", "HEAD"), []string{"."}, into)
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
		mustWrite(t, filepath.Join(root, "list"), list.String(), 0o644)
		line = "040000 tree " + runShell(t, root, "git mktree <list")
	}
	commit := runGit(t, root, "commit-tree", "-m", "bomb", strings.TrimPrefix(line, "040000 tree "))
	err := ours.Files(t.Context(), root, commit, []string{"."}, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "more than 64 MiB of output") {
		t.Error(err)
	}
}
