package runner

import (
	"os"
	"slices"
)

// copyBlock is how much of a log is read at once when it is put in order, in bytes.
const copyBlock = 256 << 10

// section is a part of a file.
type section struct {
	file  *os.File
	start int64
}

// rotate moves the first n of size bytes behind the others, in place and with
// little memory: reversing both parts, and then the whole, does it.
func (s section) rotate(size, n int64) error {
	if n == 0 {
		return nil
	}
	for _, part := range []struct{ from, to int64 }{{0, n}, {n, size}, {0, size}} {
		if err := s.reverse(part.from, part.to); err != nil {
			return err
		}
	}
	return nil
}

// reverse turns the bytes in [from, to) around, a block at either end at a time.
func (s section) reverse(from, to int64) error {
	front, back := make([]byte, copyBlock), make([]byte, copyBlock)
	for from < to {
		n := min(copyBlock, max((to-from)/2, 1))
		if err := s.swap(front[:n], back[:n], from, to-n); err != nil {
			return err
		}
		from, to = from+n, to-n
	}
	return nil
}

// swap exchanges the blocks at a and b, each turned around. They may be the same.
func (s section) swap(front, back []byte, a, b int64) error {
	if _, err := s.file.ReadAt(front, s.start+a); err != nil {
		return err
	}
	if _, err := s.file.ReadAt(back, s.start+b); err != nil {
		return err
	}
	slices.Reverse(front)
	slices.Reverse(back)
	if _, err := s.file.WriteAt(back, s.start+a); err != nil {
		return err
	}
	_, err := s.file.WriteAt(front, s.start+b)
	return err
}
