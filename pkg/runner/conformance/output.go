package conformance

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"runtests/pkg/container"
	"runtests/pkg/runner/executortest"
)

// parallel calls do(0) to do(n-1), so many at a time.
func parallel(n, jobs int, do func(i int)) {
	var group sync.WaitGroup
	slots := make(chan struct{}, jobs)
	for i := range n {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			do(i)
		})
	}
	group.Wait()
}

// Not a byte is lost of a container that ends as soon as it has printed.
func outputOfShortRuns(t *testing.T, b *bench) {
	parallel(40, 2, func(i int) { b.checkShort(t, i) })
}

// What runs at the same time does not mix.
func sideBySide(t *testing.T, b *bench) {
	parallel(200, 200, func(i int) { b.checkShort(t, i) })
}

func (b *bench) checkShort(t *testing.T, i int) {
	t.Helper()
	want, status := fmt.Sprintf("line %d\nand more", i), i%2
	c := b.container(prints(want, status))
	c.NetworkMode = "none" // half of the time that an engine needs for a container
	exit, got, err := b.run(t.Context(), t, c)
	if err != nil || exit.Code != status || got != want {
		t.Errorf("container %d: %q, %+v, %v", i, got, exit, err)
	}
}

// Every byte arrives as it was printed, whatever it is and wherever the output ends.
func binaryOutput(t *testing.T, b *bench) {
	var all strings.Builder
	for i := range 256 {
		all.WriteByte(byte(i))
	}
	want := "\r\n\r" + strings.Repeat(all.String(), 5) + "\xff\xfe no newline"
	var octal strings.Builder
	for _, c := range []byte(want) {
		fmt.Fprintf(&octal, `\%03o`, c)
	}
	for _, stream := range []struct {
		name, redirect string
		of             func(*executortest.Process) io.Writer
	}{
		{"stdout", "", func(p *executortest.Process) io.Writer { return p.Stdout }},
		{"stderr", " >&2", func(p *executortest.Process) io.Writer { return p.Stderr }},
	} {
		p := Program{
			Script: "printf '" + octal.String() + "'" + stream.redirect,
			Func:   func(p *executortest.Process) int { _, _ = io.WriteString(stream.of(p), want); return 0 },
		}
		if exit, got, err := b.run(t.Context(), t, b.container(p)); err != nil || exit.Code != 0 || got != want {
			t.Errorf("%s: %q, %+v, %v", stream.name, got, exit, err)
		}
	}
}

// The large output: so many blocks of random bytes, each after its number. The size of a
// block is prime, so that blocks begin everywhere in what the executor sends at a time.
const (
	blocks    = 200
	blockSize = 1_000_003
)

// largeOutput checks 200 MB.
func largeOutput(t *testing.T, b *bench) {
	p := Program{
		Script: fmt.Sprintf(`head -c %d /dev/urandom >/block; md5sum </block | head -c 32
i=0; while [ $i -lt %d ]; do printf %%08d $i; cat /block; i=$((i+1)); done`, blockSize, blocks),
		Func: func(p *executortest.Process) int {
			block := make([]byte, blockSize)
			random := rand.NewChaCha8([32]byte{})
			_, _ = random.Read(block)
			fmt.Fprintf(p.Stdout, "%x", md5.Sum(block))
			for i := range blocks {
				fmt.Fprintf(p.Stdout, "%08d", i)
				_, _ = p.Stdout.Write(block)
			}
			return 0
		},
	}
	seen := &blockReader{digest: md5.New()}
	exit, err := b.Executor.Run(t.Context(), b.container(p), seen)
	b.remove(t, exit)
	if err != nil || exit.Code != 0 {
		t.Errorf("%+v, %v", exit, err)
	}
	if seen.err != nil || seen.block != blocks || seen.at != 0 {
		t.Errorf("%d blocks and %d bytes of %d blocks, %v", seen.block, seen.at, blocks, seen.err)
	}
}

// blockReader checks the large output as it comes.
type blockReader struct {
	want   string // the digest of each block; empty: it comes first
	head   []byte // what has come of the digest or of the number
	digest hash.Hash
	block  int // whole ones
	at     int // bytes of the next one
	err    error
}

func (r *blockReader) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && r.err == nil; {
		rest = rest[r.take(rest):]
	}
	return len(p), nil
}

// take takes the next bytes, and returns how many.
func (r *blockReader) take(p []byte) int {
	headSize := 8
	if r.want == "" {
		headSize = 32
	}
	if r.at == 0 && len(r.head) < headSize {
		n := min(headSize-len(r.head), len(p))
		r.head = append(r.head, p[:n]...)
		if len(r.head) == 32 {
			r.want, r.head = string(r.head), nil
		} else if len(r.head) == 8 && r.want != "" && string(r.head) != fmt.Sprintf("%08d", r.block) {
			r.err = fmt.Errorf("block %d has the number %q", r.block, r.head)
		}
		return n
	}
	n := min(blockSize-r.at, len(p))
	r.digest.Write(p[:n])
	if r.at += n; r.at == blockSize {
		if got := hex.EncodeToString(r.digest.Sum(nil)); got != r.want {
			r.err = fmt.Errorf("block %d has the digest %s instead of %s", r.block, got, r.want)
		}
		r.digest.Reset()
		r.block, r.at, r.head = r.block+1, 0, nil
	}
	return n
}

// fullDisk takes some bytes and then no more.
type fullDisk struct{ room int }

var errFull = errors.New("no space left on device")

func (w *fullDisk) Write(p []byte) (int, error) {
	if len(p) > w.room {
		return 0, errFull
	}
	w.room -= len(p)
	return len(p), nil
}

// A writer that fails does not stop the container, and its failure is reported.
func failingWriter(t *testing.T, b *bench) {
	p := Program{
		Script: "yes | head -c 3000000; exit 7",
		Func: func(p *executortest.Process) int {
			for range 30 {
				_, _ = p.Stdout.Write(make([]byte, 100_000))
			}
			return 7
		},
	}
	exit, err := b.Executor.Run(t.Context(), b.container(p), &fullDisk{1000})
	b.remove(t, exit)
	if !errors.Is(err, container.ErrOutput) || !errors.Is(err, errFull) || exit.Code != 7 {
		t.Errorf("%+v, %v", exit, err)
	}
}
