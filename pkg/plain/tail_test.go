package plain

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/plain/plaintest"
)

func readTail(t testing.TB, log string, lines int) Tail {
	t.Helper()
	tail, err := ReadTail(strings.NewReader(log), int64(len(log)), lines)
	if err != nil {
		t.Fatal(err)
	}
	return tail
}

func TestReadTail(t *testing.T) {
	long := strings.Repeat("x", MaxLineBytes)
	for _, test := range []struct {
		name  string
		log   string
		lines int
		want  Tail
	}{
		{"empty", "", 3, Tail{}},
		{"no lines wanted", "a\n", 0, Tail{}},
		{"fewer than none", "a\n", -1, Tail{}},
		{"one line", "a\n", 3, Tail{Lines: []string{"a"}}},
		{"no final line feed", "a\nb", 1, Tail{Lines: []string{"b"}}},
		{"the last ones", "a\nb\nc\n", 2, Tail{Lines: []string{"b", "c"}}},
		{"exactly all", "a\nb\nc\n", 3, Tail{Lines: []string{"a", "b", "c"}}},
		{"more than all", "a\nb\nc\n", 9, Tail{Lines: []string{"a", "b", "c"}}},
		{"one empty line", "\n", 3, Tail{Lines: []string{""}}},
		{"empty lines", "\n\n\n", 2, Tail{Lines: []string{"", ""}}},
		{"empty lines, all", "\n\na\n\n", 9, Tail{Lines: []string{"", "", "a", ""}}},
		{"CRLF", "a\r\nb\r\n", 3, Tail{Lines: []string{"a", "b"}}},
		{"progress", "get\n 10%\r 50%\r100%\ndone\n", 3, Tail{Lines: []string{"get", "100%", "done"}}},
		{"progress that goes on", " 10%\r 50%\r", 3, Tail{Lines: []string{" 50%"}}},
		{"shorter over longer", "downloading\rdone\n", 3, Tail{Lines: []string{"doneloading"}}},
		{"shorter over longer, erased", "downloading\r\x1b[Kdone\n", 3, Tail{Lines: []string{"done"}}},
		{"erased after", "downloading\rdone\x1b[K\n", 3, Tail{Lines: []string{"done"}}},
		{"erased before", "abcdef\rxx\x1b[1Ky\n", 3, Tail{Lines: []string{"  ydef"}}},
		{"erased whole", "abcdef\r\x1b[2Kyes\n", 3, Tail{Lines: []string{"yes"}}},
		{"spinner", "wait |\b/\b-\bok\n", 3, Tail{Lines: []string{"wait ok"}}},
		{"backspace at the start", "\b\ba\n", 3, Tail{Lines: []string{"a"}}},
		{"escapes", "\x1b[31mred\x1b[0m\n", 3, Tail{Lines: []string{"red"}}},
		{"an escape does not reach the next line", "a\x1b]0;\nb\n", 3, Tail{Lines: []string{"a", "b"}}},
		{"binary", "\x00\x01\xff\xfe\n", 3, Tail{Lines: []string{"\ufffd\ufffd"}}},
		{"as long as may be", long + "\n", 3, Tail{Lines: []string{long}}},
		{"too long", "ab" + long + "\n", 3, Tail{Lines: []string{long}, Cut: map[int]int64{0: 2}}},
		{"too long in the middle", "a\nabc" + long + "\nb", 3, Tail{Lines: []string{"a", long, "b"}, Cut: map[int]int64{1: 3}}},
		{"cut in a character", "a€" + long[1:] + "\n", 3, Tail{Lines: []string{long[1:]}, Cut: map[int]int64{0: 4}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, readTail(t, test.log, test.lines)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Lines and characters that lie across the borders of the blocks read.
func TestReadTailAcrossBlocks(t *testing.T) {
	for shift := range 4 {
		log := strings.Repeat("é€🐫\n", blockSize/5) + strings.Repeat("a", shift)
		want := naiveTail([]byte(log), 20_000)
		if diff := cmp.Diff(want, readTail(t, log, 20_000)); diff != "" {
			t.Errorf("shifted by %d: -want +got:\n%s", shift, diff)
		}
	}
}

func TestReadTailBounds(t *testing.T) {
	full := strings.Repeat("x", MaxLineBytes-1) + "\n"
	if got, want := len(readTail(t, strings.Repeat(full, 300), 1000).Lines), MaxTailBytes/MaxLineBytes; got != want {
		t.Errorf("of long lines %d are kept, want %d", got, want)
	}
	if got := len(readTail(t, strings.Repeat("\n", 2*MaxTailLines), 2*MaxTailLines).Lines); got != MaxTailLines {
		t.Errorf("of empty lines %d are kept, want %d", got, MaxTailLines)
	}
}

// A log of 10 GB, and one that is a single long line (64 MB here, as the race detector
// is slow; 1 GB in the benchmark): in less than 2 MB of memory.
func TestReadTailOfHugeLogs(t *testing.T) {
	const size = 10 << 30
	path := filepath.Join(t.TempDir(), "huge.log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	end := "\nbefore\nthe end\n"
	if _, err := file.WriteAt([]byte(end), size-int64(len(end))); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tail, err := ReadTail(file, size, 2)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"before", "the end"}; !slices.Equal(tail.Lines, want) {
		t.Errorf("got %q, want %q", tail.Lines, want)
	}
	const line = 64 << 20
	if err := file.Truncate(line); err != nil {
		t.Fatal(err)
	}
	tail, err = ReadTail(file, line, 40)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if diff := cmp.Diff(Tail{Lines: []string{""}, Cut: map[int]int64{0: line - MaxLineBytes}}, tail); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
		t.Errorf("%d bytes were allocated", used)
	}
}

// A log that is shortened while it is read.
func TestReadTailOfShrunkLog(t *testing.T) {
	_, err := ReadTail(strings.NewReader("a\n"), 10, 1)
	if err == nil || !strings.Contains(err.Error(), io.ErrUnexpectedEOF.Error()) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkReadTailOfOneLineOf1GB(b *testing.B) {
	file, err := os.Create(filepath.Join(b.TempDir(), "line.log"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	const size = 1 << 30
	if err := file.Truncate(size); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadTail(file, size, 40); err != nil {
			b.Fatal(err)
		}
	}
}

// naiveTail reads the log whole, from its start.
func naiveTail(log []byte, n int) Tail {
	lines := bytes.Split(log, []byte("\n"))
	if len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	lines = lines[max(0, len(lines)-max(n, 0)):]
	var tail Tail
	for i, line := range lines {
		if left := len(line) - MaxLineBytes; left > 0 {
			for left < len(line) && len(line)-left > MaxLineBytes-3 && line[left]&0xc0 == 0x80 {
				left++
			}
			if tail.Cut == nil {
				tail.Cut = map[int]int64{}
			}
			tail.Cut[i] = int64(left)
			line = line[left:]
		}
		tail.Lines = append(tail.Lines, asShown(line))
	}
	return tail
}

func FuzzReadTail(f *testing.F) {
	f.Add([]byte("a\nb\r\nc\x1b[31m\n"), uint16(2), uint16(0))
	f.Add([]byte("\n\n\r\n"), uint16(9), uint16(20_000))
	f.Add([]byte("é€\n🐫x\x80"), uint16(7), uint16(17_000))
	f.Fuzz(func(t *testing.T, piece []byte, lines, times uint16) {
		log := bytes.Repeat(piece, 1+int(times)%(1+200_000/(1+len(piece)))) // across blocks and beyond a line's bound
		n := int(lines) % 200
		got, err := ReadTail(bytes.NewReader(log), int64(len(log)), n)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(naiveTail(log, n), got); diff != "" {
			t.Errorf("the last %d lines of %d × %q: -want +got:\n%s", n, len(log)/max(1, len(piece)), piece, diff)
		}
		for _, line := range got.Lines {
			if !plaintest.Safe(line, "\t") {
				t.Errorf("%q is not safe", line)
			}
		}
	})
}

func ExampleReadTail() {
	log := "configure\ncompile 10%\rcompile 100%\n\x1b[31mError 2\x1b[0m\n"
	tail, err := ReadTail(strings.NewReader(log), int64(len(log)), 2)
	fmt.Printf("%q %v\n", tail.Lines, err)
	// Output: ["compile 100%" "Error 2"] <nil>
}
