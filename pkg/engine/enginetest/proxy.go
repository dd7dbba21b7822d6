// Package enginetest provides a socket in front of an engine on which tests cause faults: lost
// requests, broken connections, an engine that is frozen or gone.
package enginetest

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Fault is what happens to a request.
type Fault int

// The faults.
const (
	None  Fault = iota
	Stall       // neither the request nor an answer passes
	Cut         // the connection is closed
	Deaf        // the request passes, the answer does not
)

// Dial opens a connection to the engine.
type Dial func(ctx context.Context) (net.Conn, error)

// Proxy is a socket with an engine behind it.
type Proxy struct {
	path     string
	dial     Dial
	listener net.Listener
	over     chan struct{} // closed at the end of the test

	mu    sync.Mutex
	fault func(request string) Fault // of a request that starts with its method and path
	away  bool
	melt  chan struct{} // closed when the proxy thaws; nil: it is not frozen
	conns map[net.Conn]bool
	work  sync.WaitGroup
}

// NewProxy listens until the end of the test.
func NewProxy(t *testing.T, dial Dial) *Proxy {
	t.Helper()
	path := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{path: path, dial: dial, listener: listener, over: make(chan struct{}), fault: func(string) Fault { return None }, conns: map[net.Conn]bool{}}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		close(p.over)
		p.listener.Close()
		p.Cut()
		p.work.Wait()
	})
	return p
}

// Host returns the address of the socket, in the form of DOCKER_HOST.
func (p *Proxy) Host() string { return "unix://" + p.path }

// Fail sets the fault of requests whose first line contains text.
func (p *Proxy) Fail(text string, fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = func(request string) Fault {
		if strings.Contains(request, text) {
			return fault
		}
		return None
	}
}

// Cut closes the open connections, like an engine that restarts.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
}

// Vanish closes the open connections, and each new one until Return.
func (p *Proxy) Vanish() {
	p.setAway(true)
	p.Cut()
}

// Return ends Vanish.
func (p *Proxy) Return() { p.setAway(false) }

func (p *Proxy) setAway(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

// Freeze stops all traffic, in both directions, until Thaw. Connections stay open, and new ones
// are accepted.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.melt == nil {
		p.melt = make(chan struct{})
	}
}

// Thaw ends Freeze. Data sent meanwhile passes, unless its connection was closed.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.melt != nil {
		close(p.melt)
		p.melt = nil
	}
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.serve(conn) })
	}
}

// track records an open connection. It reports whether the engine is there.
func (p *Proxy) track(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	return !p.away
}

// release closes a connection.
func (p *Proxy) release(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
	conn.Close()
}

// serve forwards one connection, which has one request: our clients keep no connection alive.
func (p *Proxy) serve(client net.Conn) {
	defer p.release(client)
	if !p.track(client) {
		return
	}
	buffer := make([]byte, 64<<10)
	n, err := client.Read(buffer)
	if err != nil {
		return
	}
	line, _, _ := strings.Cut(string(buffer[:n]), "\r\n")
	p.mu.Lock()
	fault := p.fault(line)
	p.mu.Unlock()
	switch fault {
	case Stall:
		<-p.over
		return
	case Cut:
		return
	}
	server, err := p.dial(context.Background())
	if err != nil {
		return
	}
	defer p.release(server)
	if !p.track(server) {
		return
	}
	p.work.Go(func() { p.forward(server, client, buffer[:n], true) })
	if fault == Deaf {
		<-p.over
		return
	}
	p.forward(client, server, nil, false)
}

// forward copies first, and then the data of one connection, to the other. It goes on reading
// while the proxy is frozen. It drops a request whose sender hangs up meanwhile.
func (p *Proxy) forward(to, from net.Conn, first []byte, request bool) {
	chunks, hungUp, written := make(chan []byte, 16), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		p.write(to, chunks, hungUp)
	}()
	if len(first) > 0 {
		chunks <- first
	}
	for {
		chunk := make([]byte, 64<<10)
		n, err := from.Read(chunk)
		if n > 0 {
			select {
			case chunks <- chunk[:n]:
			case <-written:
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				to.Close()
			}
			if request {
				close(hungUp)
			}
			close(chunks)
			<-written
			if half, ok := to.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite() // it may be closed already
			}
			return
		}
	}
}

// write writes the data, but waits while the proxy is frozen.
func (p *Proxy) write(to net.Conn, chunks <-chan []byte, hungUp <-chan struct{}) {
	for chunk := range chunks {
		p.mu.Lock()
		melt := p.melt
		p.mu.Unlock()
		if melt != nil {
			select {
			case <-melt:
			case <-hungUp:
				return
			case <-p.over:
				return
			}
		}
		if _, err := to.Write(chunk); err != nil {
			return
		}
	}
}
