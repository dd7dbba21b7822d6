package history

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What a killed run was about to rename goes with the next one; nothing else does.
func TestPruneRemovesTemporaryFiles(t *testing.T) {
	logs := t.TempDir()
	const dead, mine = "2026-11-21T03-00-04", "1999-01-01T00-00-00"
	write := func(parts ...string) string {
		t.Helper()
		path := filepath.Join(append([]string{logs}, parts...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	going, err := Create(logs, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer going.Close()
	kept := []string{
		write(dead, "lock"), write(dead, ".run.json"), write(dead, ".run.json7.swp"), write(dead, ".notes12"),
		write(mine, ".run.json12"),
		write(going.ID, ".run.json12"),
		write(".latest12", "young"), write(".latest-x", "other"),
	}
	gone := []string{write(dead, ".run.json12"), write(dead, ".report.html7070"), write(".latest34", "old")}
	yesterday := time.Now().AddDate(0, 0, -1)
	for _, path := range []string{filepath.Join(logs, ".latest34"), filepath.Join(logs, ".latest-x")} {
		if err := os.Chtimes(path, yesterday, yesterday); err != nil {
			t.Fatal(err)
		}
	}
	if removed, err := Prune(logs, 30); err != nil || len(removed) > 0 {
		t.Errorf("got %v, %v", removed, err)
	}
	var left []string
	for _, path := range append(kept, gone...) {
		if _, err := os.Lstat(path); err == nil {
			left = append(left, path)
		}
	}
	if diff := cmp.Diff(kept, left); diff != "" {
		t.Errorf("-kept +left:\n%s", diff)
	}
}
