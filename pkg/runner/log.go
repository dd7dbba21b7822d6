package runner

import (
	"bytes"
	"os"
	"sync"

	"runtests/pkg/report"
)

// endKept is how much of a log's end is kept in memory for a live display, in bytes.
const endKept = 512

// Log is a step's log while it is written. What a container prints goes to the
// file byte for byte, and nothing between the container and the file ever waits
// for a reader: whoever shows the log follows the file.
type Log struct {
	file *os.File
	path string

	mu       sync.Mutex
	bytes    int64
	newlines int64
	last     []byte        // the last bytes written, at most endKept
	grown    chan struct{} // closed when more was written
	ended    bool
}

func newLog(file *os.File, path string) *Log {
	return &Log{file: file, path: path, grown: make(chan struct{})}
}

// Write appends p to the file.
func (l *Log) Write(p []byte) (int, error) {
	n, err := l.file.Write(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += int64(n)
	l.newlines += int64(bytes.Count(p[:n], []byte{'\n'}))
	l.last = append(l.last, p[max(0, n-endKept):n]...)
	l.last = l.last[max(0, len(l.last)-endKept):]
	l.tell()
	return n, err
}

// tell wakes those who wait for more.
func (l *Log) tell() {
	close(l.grown)
	l.grown = make(chan struct{})
}

// end says that nothing more will be written.
func (l *Log) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.tell()
}

func (l *Log) close() error { return l.file.Close() }

// tail reads the last lines back from the file.
func (l *Log) tail(lines int) (report.Tail, error) {
	file, err := os.Open(l.path)
	if err != nil {
		return report.Tail{}, err
	}
	defer file.Close()
	size, _ := l.Size()
	return report.ReadTail(file, size, lines)
}

// Path is where the file is.
func (l *Log) Path() string { return l.path }

// Size returns how many bytes and lines were written. A last line without a
// newline counts.
func (l *Log) Size() (size, lines int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.last) > 0 && l.last[len(l.last)-1] != '\n' {
		return l.bytes, l.newlines + 1
	}
	return l.bytes, l.newlines
}

// LastLine returns the end of the last line that is not empty, as it was written:
// at most 512 bytes, with whatever control characters it holds.
func (l *Log) LastLine() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := bytes.TrimRight(l.last, "\r\n \t")
	return string(end[bytes.LastIndexAny(end, "\r\n")+1:])
}

// Watch returns how many bytes there are, whether there will be no more, and a
// channel that is closed when either changes.
func (l *Log) Watch() (size int64, ended bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes, l.ended, l.grown
}
