package runner

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/report"
)

// testLog is a log in a file of its own.
func testLog(t testing.TB, limit int64) *Log {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return newLog(file, path, limit)
}

// Whatever is printed, in whatever pieces: the file is its head, a line and its tail,
// and the report's tail is the tail of all that was printed.
func TestLogKeepsHeadAndTail(t *testing.T) {
	const limit = 1000
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, limit - 1, limit, limit + 1, limit + 339, limit + 340, limit + 341, 2 * limit, 5000, 12345} {
		for _, lineLength := range []int{1, 10, 200, 20000} {
			t.Run(fmt.Sprintf("%d bytes in lines of %d", size, lineLength), func(t *testing.T) {
				printed := randomLines(random, size, lineLength)
				log := testLog(t, limit)
				for rest := printed; len(rest) > 0; {
					n := min(1+random.IntN(700), len(rest))
					if written, err := log.Write(rest[:n]); written != n || err != nil {
						t.Fatalf("wrote %d of %d: %v", written, n, err)
					}
					rest = rest[n:]
				}
				if err := log.end(); err != nil {
					t.Fatal(err)
				}
				checkLog(t, log, printed)
			})
		}
	}
}

func randomLines(random *rand.Rand, size, length int) []byte {
	printed := make([]byte, size)
	for i := range printed {
		printed[i] = byte('a' + random.IntN(26))
		if random.IntN(length) == 0 {
			printed[i] = '\n'
		}
	}
	return printed
}

func checkLog(t *testing.T, log *Log, printed []byte) {
	t.Helper()
	data, err := os.ReadFile(log.path)
	if err != nil {
		t.Fatal(err)
	}
	want := printed
	size, lines, leftOut := log.Size()
	if wantLines := int64(bytes.Count(printed, []byte{'\n'})); lines != wantLines && (lines != wantLines+1 || bytes.HasSuffix(printed, []byte{'\n'})) {
		t.Errorf("%d lines", lines)
	}
	if int64(len(printed)) > log.limit {
		tail := printed[int64(len(printed))-log.ringSize():]
		seam := fmt.Sprintf("[runtests: %d of %d bytes are left out here (max_log)]", leftOut, size)
		seam = "\n" + seam + strings.Repeat(" ", seamSize-2-len(seam)) + "\n"
		want = bytes.Join([][]byte{printed[:log.headSize()], []byte(seam), tail}, nil)
	}
	if diff := cmp.Diff(string(want), string(data)); diff != "" {
		t.Errorf("-want +on disk:\n%s", diff)
	}
	if kept := size - leftOut; size != int64(len(printed)) || leftOut > 0 && kept != log.limit-seamSize {
		t.Errorf("%d bytes, %d left out", size, leftOut)
	}
	for _, n := range []int{1, 3} {
		checkTail(t, log, printed, n)
	}
}

// checkTail compares with the tail of all that was printed, as far as that is on disk.
func checkTail(t *testing.T, log *Log, printed []byte, n int) {
	t.Helper()
	got, err := log.tail(n)
	if err != nil {
		t.Fatal(err)
	}
	want, err := report.ReadTail(bytes.NewReader(printed), int64(len(printed)), n)
	if err != nil {
		t.Fatal(err)
	}
	if !log.overflowed() {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tail of %d lines, -want +got:\n%s", n, diff)
		}
		return
	}
	if len(got.Lines) == 0 || len(got.Lines) > len(want.Lines) {
		t.Fatalf("%d lines, want %d", len(got.Lines), len(want.Lines))
	}
	skip := len(want.Lines) - len(got.Lines)
	for i, line := range got.Lines {
		if whole := want.Lines[skip+i]; !strings.HasSuffix(whole, line) || int64(len(whole)-len(line)) != got.Cut[i]-want.Cut[skip+i] {
			t.Errorf("line %d of %d is %q with %d cut, want the end of %q", i, n, line, got.Cut[i], whole)
		}
	}
}

// A follower is shown nothing that may be written over.
func TestWatchPastTheLimit(t *testing.T) {
	log := testLog(t, 1000)
	for _, step := range []struct{ print, shown int }{{400, 400}, {200, 500}, {5000, 500}} {
		if _, err := log.Write(bytes.Repeat([]byte{'x'}, step.print)); err != nil {
			t.Fatal(err)
		}
		if size, ended, _ := log.Watch(); size != int64(step.shown) || ended {
			t.Errorf("after %d more: %d, %v", step.print, size, ended)
		}
	}
	if err := log.end(); err != nil {
		t.Fatal(err)
	}
	if size, ended, _ := log.Watch(); size != 1000 || !ended {
		t.Errorf("at the end: %d, %v", size, ended)
	}
}
