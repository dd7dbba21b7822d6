package engine

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"runtests/pkg/tree/treetest"
)

func TestCopyOfADirectoryUnderAttack(t *testing.T) {
	treetest.Attack(t, func(dir string, to io.Writer) error { return pack(t.Context(), to, dir, "/test") })
}

// BenchmarkPack packs 20,000 files of 4 KiB in 400 directories.
func BenchmarkPack(b *testing.B) {
	dir := b.TempDir()
	content := bytes.Repeat([]byte("0123456789abcdef"), 256)
	for d := range 400 {
		folder := filepath.Join(dir, fmt.Sprintf("d%d/src", d))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		for f := range 50 {
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("file%d.c", f)), content, 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	for b.Loop() {
		if err := pack(b.Context(), io.Discard, dir, "/test"); err != nil {
			b.Fatal(err)
		}
	}
}
