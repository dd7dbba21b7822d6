package executortest

import (
	"fmt"
	"io"
	"sync"
	"time"

	"runtests/pkg/container"
)

// Program is what a container runs. It returns the exit status.
type Program func(p *Process) (status int)

// Process is a container as its program sees it.
type Process struct {
	Container      container.Container
	Stdout, Stderr io.Writer
	Term           <-chan struct{} // closed when the process gets TERM
	Dead           <-chan struct{} // closed when the container has ended: the program must return
	use            func(bytes int64)
}

// Use takes that many bytes of memory. It does not return where the container may not have them.
func (p *Process) Use(bytes int64) { p.use(bytes) }

// ending is how a container ended.
type ending struct {
	status    int
	oomKilled bool
	removed   bool
}

// outOfMemory is what Use panics with.
type outOfMemory struct{}

// process is a container that was started.
type process struct {
	term, dead chan struct{}
	terminate  func() // closes term, once
	ended      func() // called by end, before dead is closed

	once     sync.Once
	ending   ending // set before dead is closed
	started  time.Time
	finished time.Time
}

func newProcess(ended func()) *process {
	p := &process{term: make(chan struct{}), dead: make(chan struct{}), ended: ended, started: time.Now()}
	p.terminate = sync.OnceFunc(func() { close(p.term) })
	return p
}

// run runs the program to its end.
func (p *process) run(c container.Container, program Program, output io.Writer) {
	defer func() {
		if fault := recover(); fault != nil {
			if _, ok := fault.(outOfMemory); !ok {
				panic(fault)
			}
			p.end(ending{status: 128 + 9, oomKilled: true})
		}
	}()
	used := int64(0)
	status := program(&Process{
		Container: c, Stdout: output, Stderr: output, Term: p.term, Dead: p.dead,
		use: func(bytes int64) {
			if used += bytes; c.Memory > 0 && used > c.Memory {
				panic(outOfMemory{})
			}
		},
	})
	p.end(ending{status: status})
}

// end ends the container; only the first ending counts.
func (p *process) end(as ending) {
	p.once.Do(func() {
		p.ending, p.finished = as, time.Now()
		p.ended()
		close(p.dead)
	})
}

// over reports whether the container has ended.
func (p *process) over() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// output carries what a container prints over a connection to a writer.
type output struct {
	executor *Executor
	process  *process
	cut      <-chan struct{} // the connection's

	mu     sync.Mutex
	w      io.Writer // nil: the reader has hung up
	err    error     // of w
	broken bool      // something did not arrive
}

// Write writes p. A container does not learn what becomes of its output.
func (o *output) Write(p []byte) (int, error) {
	if melted := o.executor.current().melted; melted != nil {
		select {
		case <-melted:
		case <-o.cut:
		case <-o.process.dead:
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-o.cut:
		o.broken = true
	default:
	}
	if o.w == nil || o.broken || o.err != nil || o.process.over() {
		return len(p), nil
	}
	n, err := o.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	o.err = err
	return len(p), nil
}

// hangUp waits for what is being written. Nothing is written afterwards.
func (o *output) hangUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.w = nil
}

// failure returns why some of the output did not arrive.
func (o *output) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.broken:
		return container.ErrTruncated
	case o.err != nil:
		return fmt.Errorf("%w: %w", container.ErrOutput, o.err)
	}
	return nil
}
