// Command swap attacks who reads a directory: it exchanges each NAME.evil there with NAME, again and
// again, until its standard input ends or it is killed. It is built without cgo, so that it runs in any
// container.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: swap directory")
		os.Exit(2)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if err := swap(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "swap:", err)
		os.Exit(1)
	}
}

// swap exchanges names until it fails.
func swap(dir string) error {
	evil, err := filepath.Glob(filepath.Join(dir, "*.evil"))
	if err != nil || len(evil) == 0 {
		return fmt.Errorf("find *.evil in %s: %d found: %w", dir, len(evil), err)
	}
	for {
		for _, name := range evil {
			good := strings.TrimSuffix(name, ".evil")
			if err := unix.Renameat2(unix.AT_FDCWD, good, unix.AT_FDCWD, name, unix.RENAME_EXCHANGE); err != nil {
				return fmt.Errorf("exchange %s: %w", name, err)
			}
		}
	}
}
