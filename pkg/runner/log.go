package runner

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"

	"runtests/pkg/plain"
)

// endKept is how much of a log's end is kept in memory for a live display, in bytes.
const endKept = 512

// Log is a step's log while it is written. What a container prints goes to the
// file byte for byte, and nothing between the container and the file ever waits
// for a reader: whoever shows the log follows the file.
//
// The file never grows beyond its limit. What comes later is written over the
// oldest bytes of the file's second half, in circles; at the end they are put in
// order, so that the file is the head of what was printed, a line that says how
// much is left out, and the tail.
type Log struct {
	file  *os.File
	path  string
	limit int64 // bytes of the file at most; 0: none

	mu       sync.Mutex
	bytes    int64 // printed, whatever became of them
	newlines int64
	lastLine int64         // where, in what was printed, the last line begins
	last     []byte        // the last bytes printed, at most endKept
	grown    chan struct{} // closed when more was written
	ended    bool
}

// newLog keeps in file, which is new, at most limit bytes of a log; 0: all of it.
func newLog(file *os.File, path string, limit int64) *Log {
	return &Log{file: file, path: path, limit: limit, grown: make(chan struct{})}
}

// seamSize is the room between head and tail for the line that says what is left
// out there, in bytes.
const seamSize = 160

// The parts of a file that has reached its limit: the head, the seam, the ring.
func (l *Log) headSize() int64  { return l.limit / 2 }
func (l *Log) ringStart() int64 { return l.headSize() + seamSize }
func (l *Log) ringSize() int64  { return l.limit - l.ringStart() }

// overflowed says that more was printed than the file may hold.
func (l *Log) overflowed() bool { return l.limit > 0 && l.bytes > l.limit }

// leftOut is how much of what was printed is not in the file, in bytes.
func (l *Log) leftOut() int64 {
	if !l.overflowed() {
		return 0
	}
	return l.bytes - l.headSize() - l.ringSize()
}

// Write adds p to the log. It says that all of p was written also where the limit
// makes it replace what was written before.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var written int
	for written < len(p) {
		n, err := l.writeSome(p[written:])
		l.count(p[written : written+n])
		written += n
		if err != nil {
			l.tell()
			return written, err
		}
	}
	l.tell()
	return written, nil
}

// writeSome writes the beginning of p to where it belongs in the file.
func (l *Log) writeSome(p []byte) (int, error) {
	at := l.bytes
	switch {
	case l.limit <= 0:
	case at < l.limit:
		p = p[:min(int64(len(p)), l.limit-at)]
	default:
		if at == l.limit {
			if err := l.writeSeam("from here on the oldest output is written over, until the test ends"); err != nil {
				return 0, err
			}
		}
		offset := (at - l.limit) % l.ringSize()
		p = p[:min(int64(len(p)), l.ringSize()-offset)]
		at = l.ringStart() + offset
	}
	return l.file.WriteAt(p, at)
}

// count notes that p was printed.
func (l *Log) count(p []byte) {
	l.newlines += int64(bytes.Count(p, []byte{'\n'}))
	// The line feed that ends the last line begins no other.
	if n := len(p); n > 0 {
		if len(l.last) > 0 && l.last[len(l.last)-1] == '\n' {
			l.lastLine = l.bytes
		}
		if at := bytes.LastIndexByte(p[:n-1], '\n'); at >= 0 {
			l.lastLine = l.bytes + int64(at) + 1
		}
		l.last = append(l.last, p[max(0, n-endKept):]...)
		l.last = l.last[max(0, len(l.last)-endKept):]
	}
	l.bytes += int64(len(p))
}

// writeSeam writes a line that fills the room between head and tail.
func (l *Log) writeSeam(text string) error {
	seam := bytes.Repeat([]byte{' '}, seamSize)
	seam[0], seam[seamSize-1] = '\n', '\n'
	copy(seam[1:seamSize-1], "[runtests: "+text+"]")
	_, err := l.file.WriteAt(seam, l.headSize())
	return err
}

// tell wakes those who wait for more.
func (l *Log) tell() {
	close(l.grown)
	l.grown = make(chan struct{})
}

// end says that nothing more will be written. A log that has passed its limit is
// put in order first; the error says that it could not be.
func (l *Log) end() (err error) {
	if l.overflowed() {
		err = l.order() // which may take seconds: no lock, as nobody writes any more
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.tell()
	return err
}

// order makes the file readable from its beginning to its end.
func (l *Log) order() error {
	ring := section{l.file, l.ringStart()}
	if err := ring.rotate(l.ringSize(), (l.bytes-l.limit)%l.ringSize()); err != nil {
		return fmt.Errorf("put the end of the log in order: %w", err)
	}
	if err := l.writeSeam(fmt.Sprintf("%d of %d bytes are left out here (max_log)", l.leftOut(), l.bytes)); err != nil {
		return fmt.Errorf("say in the log what is left out: %w", err)
	}
	return nil
}

func (l *Log) close() error { return l.file.Close() }

// tail reads the last lines back from the file, after end.
func (l *Log) tail(lines int) (plain.Tail, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	file, err := os.Open(l.path)
	if err != nil {
		return plain.Tail{}, err
	}
	defer file.Close()
	if !l.overflowed() {
		return plain.ReadTail(file, l.bytes, lines)
	}
	return l.tailOfRing(file, lines)
}

// tailOfRing reads the last lines of those that are whole in the file's tail. A last
// line that is longer than the tail is cut at its start.
func (l *Log) tailOfRing(file io.ReaderAt, lines int) (plain.Tail, error) {
	begins := l.bytes - l.ringSize() // the tail, in what was printed
	from := int64(0)
	if l.lastLine > begins {
		whole, err := firstLine(io.NewSectionReader(file, l.ringStart(), l.ringSize()))
		if err != nil {
			return plain.Tail{}, err
		}
		from = whole
	} else {
		lines = min(lines, 1)
	}
	size := l.ringSize() - from
	tail, err := plain.ReadTail(io.NewSectionReader(file, l.ringStart()+from, size), size, lines)
	if before := begins - l.lastLine; before > 0 && len(tail.Lines) == 1 {
		if tail.Cut == nil {
			tail.Cut = map[int]int64{}
		}
		tail.Cut[0] += before
	}
	return tail, err
}

// firstLine returns where the first line begins that is whole in r, of which some line is.
func firstLine(r io.Reader) (at int64, err error) {
	block := make([]byte, copyBlock)
	for {
		n, err := r.Read(block)
		if end := bytes.IndexByte(block[:n], '\n'); end >= 0 {
			return at + int64(end) + 1, nil
		}
		if at += int64(n); err != nil {
			return at, err
		}
	}
}

// Path is where the file is.
func (l *Log) Path() string { return l.path }

// Size returns how many bytes and lines were printed, and how many of the bytes are
// left out of the file. A last line without a newline counts.
func (l *Log) Size() (size, lines, leftOut int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines = l.newlines
	if len(l.last) > 0 && l.last[len(l.last)-1] != '\n' {
		lines++
	}
	return l.bytes, lines, l.leftOut()
}

// LastLine returns the end of the last line that is not empty, as it was written:
// at most 512 bytes, with whatever control characters it holds.
func (l *Log) LastLine() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := bytes.TrimRight(l.last, "\r\n \t")
	return string(end[bytes.LastIndexAny(end, "\r\n")+1:])
}

// Watch returns how many bytes of the file stay as they are, whether there will be
// no more, and a channel that is closed when either changes. What may be written
// over is not among them until the end.
func (l *Log) Watch() (size int64, ended bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size = l.bytes
	if l.limit > 0 {
		size = min(size, l.limit)
		if !l.ended {
			size = min(size, l.headSize())
		}
	}
	return size, l.ended, l.grown
}
