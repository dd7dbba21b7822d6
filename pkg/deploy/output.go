package deploy

import (
	"bytes"
	"fmt"
)

// Bounds of what is taken from the production machine, which may print for ever. A command that prints more is ended.
const (
	maxOutput = 4 << 20  // bytes of a script's stdout
	maxStderr = 64 << 10 // bytes of its stderr
	maxAnswer = 500      // bytes of the answer to a lock
	maxNotes  = 10       // warnings of a swap
	maxShown  = 1000     // lines of a swap that are logged, and of the log of a new version (swap.sh sends as many)
)

// bounded keeps what a command prints, up to limit bytes. At the limit it calls over once, which ends the command.
type bounded struct {
	text  bytes.Buffer
	limit int
	what  string // stdout or stderr
	over  func(error)
}

// Write fails when the limit is passed; the command then gets SIGPIPE.
func (b *bounded) Write(p []byte) (int, error) {
	if len(p) > b.limit-b.text.Len() {
		err := fmt.Errorf("it printed more than %d KiB on %s", b.limit>>10, b.what)
		b.over(err)
		return 0, err
	}
	return b.text.Write(p)
}

// String returns what was printed.
func (b *bounded) String() string { return b.text.String() }
