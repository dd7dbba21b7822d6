package runner

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/history"
	"runtests/pkg/plain"
)

// testLog is a log in a run's folder of its own.
func testLog(t testing.TB, limit int64) *Log {
	t.Helper()
	folder, err := history.Create(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	log, err := newLog(folder, folder.LogFile("a@b"), limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		log.close()
		folder.Close()
	})
	return log
}

// onDisk returns the sizes of a log's files in their folder.
func onDisk(t testing.TB, log *Log) (sizes []int64, sum int64) {
	t.Helper()
	entries, err := os.ReadDir(log.folder.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if entry.Name() != "lock" {
			sizes, sum = append(sizes, info.Size()), sum+info.Size()
		}
	}
	return sizes, sum
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
					if sizes, sum := onDisk(t, log); sum > limit {
						t.Errorf("%d bytes are on disk, in files of %d", sum, sizes)
					}
				}
				if err := log.end(); err != nil {
					t.Fatal(err)
				}
				if sizes, sum := onDisk(t, log); len(sizes) != 1 || sum > limit || size > limit && sum <= 3*limit/4 {
					t.Errorf("at the end %d bytes are on disk, in files of %d", sum, sizes)
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
	data, err := os.ReadFile(log.Path())
	if err != nil {
		t.Fatal(err)
	}
	size, lines, leftOut := log.Size()
	if wantLines := int64(bytes.Count(printed, []byte{'\n'})); lines != wantLines && (lines != wantLines+1 || bytes.HasSuffix(printed, []byte{'\n'})) {
		t.Errorf("%d lines", lines)
	}
	if size != int64(len(printed)) || (leftOut > 0) != (size > log.limit) {
		t.Errorf("%d bytes, %d left out", size, leftOut)
	}
	if diff := cmp.Diff(wantOnDisk(log, printed, leftOut), string(data)); diff != "" {
		t.Errorf("-want +on disk:\n%s", diff)
	}
	if shown, ended, _ := log.Watch(); shown != int64(len(data)) || !ended {
		t.Errorf("a follower is shown %d of %d bytes, ended: %v", shown, len(data), ended)
	}
	for _, n := range []int{1, 3} {
		checkTail(t, log, printed, n)
	}
}

// wantOnDisk is what is kept of what was printed.
func wantOnDisk(log *Log, printed []byte, leftOut int64) string {
	if leftOut == 0 {
		return string(printed)
	}
	text := fmt.Sprintf("[runtests: %d of %d bytes are left out here (max_log)]", leftOut, len(printed))
	seam := "\n" + text + strings.Repeat(" ", seamSize-2-len(text)) + "\n"
	return string(printed[:log.headSize()]) + seam + string(printed[log.headSize()+leftOut:])
}

// checkTail compares with the tail of all that was printed, as far as that is on disk.
func checkTail(t *testing.T, log *Log, printed []byte, n int) {
	t.Helper()
	got, err := log.tail(n)
	if err != nil {
		t.Fatal(err)
	}
	want, err := plain.ReadTail(bytes.NewReader(printed), int64(len(printed)), n)
	if err != nil {
		t.Fatal(err)
	}
	if log.leftOut() == 0 {
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

// Of a run that is killed, at any moment, the file and the parts after it are the log.
func TestLogOfAKilledRun(t *testing.T) {
	const limit = 1000
	for _, size := range []int{0, 1, 499, 500, 501, 749, 750, 751, 999, 1000, 1001, 1250, 1251, 3250, 3251, 5000} {
		log := testLog(t, limit)
		printed := randomLines(rand.New(rand.NewPCG(1, 2)), size, 20)
		for piece := range slices.Chunk(printed, 7) {
			if _, err := log.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		files, err := filepath.Glob(log.Path() + "*")
		if err != nil {
			t.Fatal(err)
		}
		slices.SortStableFunc(files, func(a, b string) int { return len(a) - len(b) }) // by their numbers
		var got []byte
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, data...)
		}
		// How much was printed in all was not known yet when the seam was written.
		want := wantOnDisk(log, printed, log.leftOut())
		if all := regexp.MustCompile(` of \d+ bytes are left out here \(max_log\)\] +`); all.ReplaceAllString(want, "") != all.ReplaceAllString(string(got), "") {
			t.Errorf("%d bytes were printed, in %v: %s", size, files, cmp.Diff(want, string(got)))
		}
	}
}

// A log whose end cannot be moved to its place is reported, and ends for a follower all the same.
func TestLogWithoutItsEnd(t *testing.T) {
	log := testLog(t, 1000)
	if _, err := log.Write(bytes.Repeat([]byte{'x'}, 2000)); err != nil {
		t.Fatal(err)
	}
	if err := log.parts[0].Close(); err != nil {
		t.Fatal(err)
	}
	if err := log.end(); err == nil {
		t.Error("no error")
	}
	if size, ended, _ := log.Watch(); size != 500 || !ended {
		t.Errorf("at the end: %d, %v", size, ended)
	}
	if tail, err := log.tail(3); err == nil {
		t.Errorf("got %v for the end", tail)
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
	if size, ended, _ := log.Watch(); size != 850 || !ended {
		t.Errorf("at the end: %d, %v", size, ended)
	}
}

func TestLog(t *testing.T) {
	for _, test := range []struct {
		name, text, last string
		lines            int64
	}{
		{"empty", "", "", 0},
		{"one line", "compiling\n", "compiling", 1},
		{"no newline at the end", "one\ntwo", "two", 2},
		{"only newlines", "\n\n\n", "", 3},
		{"blank lines at the end", "ready\n\n  \n", "ready", 3},
		{"a progress bar", "10%\r50%\r90%", "90%", 1},
		{"lines of Windows", "one\r\ntwo\r\n", "two", 2},
		{"longer than what is kept", "start\n" + strings.Repeat("x", 3*maxLastBytes), strings.Repeat("x", maxLastBytes), 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := testLog(t, 0)
			for _, piece := range strings.SplitAfter(test.text, "o") {
				if n, err := log.Write([]byte(piece)); n != len(piece) || err != nil {
					t.Fatal(n, err)
				}
			}
			size, lines, leftOut := log.Size()
			if size != int64(len(test.text)) || lines != test.lines || leftOut != 0 {
				t.Errorf("%d bytes, %d lines, want %d and %d", size, lines, len(test.text), test.lines)
			}
			if got := log.LastLine(); got != test.last {
				t.Errorf("the last line is %q, want %q", got, test.last)
			}
			if data, err := os.ReadFile(log.Path()); err != nil || string(data) != test.text {
				t.Errorf("the file holds %q, %v", data, err)
			}
		})
	}
}

// Whoever follows a log learns of every byte, and of the end.
func TestLogWatch(t *testing.T) {
	log := testLog(t, 0)
	var follower sync.WaitGroup
	follower.Go(func() {
		for {
			size, ended, changed := log.Watch()
			if ended {
				if size != 1000 {
					t.Errorf("ended at %d bytes, want 1000", size)
				}
				return
			}
			<-changed
		}
	})
	for range 1000 {
		if _, err := log.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.end(); err != nil {
		t.Fatal(err)
	}
	follower.Wait()
}
