package runner

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"runtests/pkg/history"
	"runtests/pkg/plain"
)

// maxLastBytes is how much of a log's end is kept in memory for a live display, in bytes.
const maxLastBytes = 512

// Log is a step's log while it is written. What a container prints goes to the disk byte for byte.
// The container never waits for a reader: whoever shows the log follows its file.
//
// The log never takes more disk space than its limit and moveBlock. The first half of the limit is
// written to the file, the rest to numbered parts beside it, each a quarter of the limit; a third
// part replaces the oldest. At the end, the parts are moved to the file. The file then holds all
// that was printed, or the head, a line that says how much is left out, and the tail. If the run is
// killed, the file followed by its parts holds the same.
type Log struct {
	folder *history.Folder
	name   string
	file   *os.File
	limit  int64 // in bytes; 0: none

	mu       sync.Mutex
	parts    []*os.File // after the head, the older first, at most two
	dropped  int64      // bytes of the parts that were replaced
	bytes    int64      // printed, also if they are not on disk any more
	newlines int64
	lastLine int64         // offset of the last line in what was printed
	last     []byte        // the last bytes printed, at most maxLastBytes
	grown    chan struct{} // closed when more is written
	ended    bool
	size     int64 // of the file, once ended
}

// newLog creates the log of that name with a limit in bytes; 0 is none.
func newLog(folder *history.Folder, name string, limit int64) (*Log, error) {
	file, err := folder.CreateLog(name)
	if err != nil {
		return nil, err
	}
	return &Log{folder: folder, name: name, file: file, limit: limit, grown: make(chan struct{})}, nil
}

const (
	// seamSize is the length in bytes of the line that says how much is left out. The line
	// replaces the beginning of the tail.
	seamSize = 160
	// moveBlock is how many bytes of a part are on disk twice while it is moved.
	moveBlock = 1 << 20
)

func (l *Log) partSize() int64 { return l.limit / 4 }
func (l *Log) headSize() int64 { return l.limit - 2*l.partSize() }

// leftOut returns how many of the printed bytes are not on disk.
func (l *Log) leftOut() int64 {
	if l.dropped == 0 {
		return 0
	}
	return l.dropped + seamSize
}

// Write adds p to the log. If the log is at its limit, p replaces what was written before.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.wake()
	var written int
	for written < len(p) {
		n, err := l.writeSome(p[written:])
		l.count(p[written : written+n])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// writeSome writes the beginning of p to the file or to a part.
func (l *Log) writeSome(p []byte) (int, error) {
	if l.limit <= 0 {
		return l.file.WriteAt(p, l.bytes)
	}
	if room := l.headSize() - l.bytes; room > 0 {
		return l.file.WriteAt(p[:min(int64(len(p)), room)], l.bytes)
	}
	part, at, err := l.part()
	if err != nil {
		return 0, err
	}
	return part.WriteAt(p[:min(int64(len(p)), l.partSize()-at)], at)
}

// part returns the part for the next byte, and its offset there.
func (l *Log) part() (part *os.File, at int64, err error) {
	at = l.bytes - l.headSize() - l.dropped
	if at == 2*l.partSize() {
		if err := l.drop(); err != nil {
			return nil, 0, err
		}
		at = l.partSize()
	}
	if at == int64(len(l.parts))*l.partSize() {
		number := (l.dropped+at)/l.partSize() + 1
		part, err := l.folder.CreateLog(fmt.Sprintf("%s.%d", l.name, number))
		if err != nil {
			return nil, 0, err
		}
		l.parts = append(l.parts, part)
	}
	return l.parts[at/l.partSize()], at % l.partSize(), nil
}

// drop removes the older of two parts. It writes the seam first, as the run may be killed at any
// moment.
func (l *Log) drop() error {
	dropped := l.dropped + l.partSize()
	if err := l.writeSeam(l.parts[1], dropped); err != nil {
		return err
	}
	older := l.parts[0]
	l.parts, l.dropped = l.parts[1:], dropped
	return l.remove(older)
}

// remove closes and removes a part.
func (l *Log) remove(part *os.File) error {
	return errors.Join(part.Close(), l.folder.RemoveLog(filepath.Base(part.Name())))
}

// writeSeam writes how much is left out over the beginning of the older part.
func (l *Log) writeSeam(older *os.File, dropped int64) error {
	text := fmt.Sprintf("[runtests: %d of %d bytes are left out here (max_log)]", dropped+seamSize, l.bytes)
	_, err := older.WriteAt(fmt.Appendf(nil, "\n%-*s\n", seamSize-2, text), 0)
	return err
}

// count counts p as printed.
func (l *Log) count(p []byte) {
	l.newlines += int64(bytes.Count(p, []byte{'\n'}))
	// A line feed begins a new line only once a byte follows it.
	if n := len(p); n > 0 {
		if len(l.last) > 0 && l.last[len(l.last)-1] == '\n' {
			l.lastLine = l.bytes
		}
		if at := bytes.LastIndexByte(p[:n-1], '\n'); at >= 0 {
			l.lastLine = l.bytes + int64(at) + 1
		}
		l.last = append(l.last, p[max(0, n-maxLastBytes):]...)
		l.last = l.last[max(0, len(l.last)-maxLastBytes):]
	}
	l.bytes += int64(len(p))
}

// wake wakes the readers that wait for more.
func (l *Log) wake() {
	close(l.grown)
	l.grown = make(chan struct{})
}

// end completes the file after the last Write. After an error, the parts hold what could not be
// moved to the file.
func (l *Log) end() error {
	err := l.join() // without the lock, as it may take a second and nobody writes any more
	l.mu.Lock()
	defer l.mu.Unlock()
	size, errSize := l.file.Seek(0, io.SeekEnd)
	l.size, l.ended = size, true
	l.wake()
	return errors.Join(err, errSize)
}

// join moves the parts to the file.
func (l *Log) join() (err error) {
	if l.dropped > 0 {
		err = l.writeSeam(l.parts[0], l.dropped)
	}
	for i, part := range l.parts {
		if err == nil {
			err = move(part, l.file, l.headSize()+int64(i)*l.partSize())
		}
		if err == nil {
			err = l.remove(part)
		}
	}
	if err != nil {
		return fmt.Errorf("move the end of the log to its file: %w", err)
	}
	return nil
}

// move moves the content of a file to an offset in another file. It begins with the last block, and
// truncates the source after each block, so that it needs little more space.
func move(from, to *os.File, offset int64) error {
	size, err := from.Seek(0, io.SeekEnd)
	for size > 0 && err == nil {
		n := min(size, moveBlock)
		size -= n
		if _, err = io.Copy(io.NewOffsetWriter(to, offset+size), io.NewSectionReader(from, size, n)); err == nil {
			err = from.Truncate(size)
		}
	}
	return err
}

func (l *Log) close() error { return l.file.Close() }

// tail returns the last lines of the file, after end.
func (l *Log) tail(lines int) (plain.Tail, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped == 0 {
		return plain.ReadTail(l.file, l.bytes, lines)
	}
	return l.tailAfterSeam(lines)
}

// tailAfterSeam returns the last whole lines after the seam. If even the last line begins before
// the seam, its start is cut off.
func (l *Log) tailAfterSeam(lines int) (plain.Tail, error) {
	start := l.headSize() + l.leftOut() // of the tail, in what was printed
	kept := io.NewSectionReader(l.file, l.headSize()+seamSize, l.bytes-start)
	cut := start - l.lastLine
	if cut >= 0 {
		lines = min(lines, 1)
	} else {
		whole, err := firstLine(kept)
		if err != nil {
			return plain.Tail{}, err
		}
		kept = io.NewSectionReader(kept, whole, kept.Size()-whole)
	}
	tail, err := plain.ReadTail(kept, kept.Size(), lines)
	if cut > 0 && len(tail.Lines) == 1 {
		if tail.Cut == nil {
			tail.Cut = map[int]int64{}
		}
		tail.Cut[0] += cut
	}
	return tail, err
}

// firstLine returns the offset of the first whole line in r, which may begin in mid-line.
func firstLine(r io.Reader) (at int64, err error) {
	for b := bufio.NewReader(r); ; {
		piece, err := b.ReadSlice('\n')
		if at += int64(len(piece)); !errors.Is(err, bufio.ErrBufferFull) {
			return at, err
		}
	}
}

// Path returns the path of the file.
func (l *Log) Path() string { return filepath.Join(l.folder.Path, l.name) }

// Size returns how many bytes and lines were printed, and how many bytes are left out of the file.
// A last line without a newline counts.
func (l *Log) Size() (size, lines, leftOut int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines = l.newlines
	if len(l.last) > 0 && l.last[len(l.last)-1] != '\n' {
		lines++
	}
	return l.bytes, lines, l.leftOut()
}

// LastLine returns the end of the last line that is not empty, at most 512 bytes, with its control
// characters.
func (l *Log) LastLine() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := bytes.TrimRight(l.last, "\r\n \t")
	return string(end[bytes.LastIndexAny(end, "\r\n")+1:])
}

// Watch returns how many bytes are in the file, whether the log has ended, and a channel that is
// closed when either changes. What follows the head is in the file only at the end.
func (l *Log) Watch() (size int64, ended bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
		size = l.size
	case l.limit > 0:
		size = min(l.bytes, l.headSize())
	default:
		size = l.bytes
	}
	return size, l.ended, l.grown
}
