package engine

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// dialFunc opens one connection to an engine.
type dialFunc func(ctx context.Context) (net.Conn, error)

// keepAlive is how often a silent TCP connection is probed. A machine that has vanished is
// noticed within a few probes, even while a test prints nothing for an hour.
const keepAlive = 15 * time.Second

func dialSocket(path string) dialFunc {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
}

func dialTCP(address string, config *tls.Config) dialFunc {
	d := net.Dialer{KeepAlive: keepAlive}
	if config == nil {
		return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }
	}
	secure := tls.Dialer{NetDialer: &d, Config: config}
	return func(ctx context.Context) (net.Conn, error) { return secure.DialContext(ctx, "tcp", address) }
}

// open opens a connection to the engine, which ends with ctx.
func (e *Engine) open(ctx context.Context) (net.Conn, error) {
	conn, err := e.dial(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	return bind(ctx, conn), nil
}

// boundConn is a connection that is closed when its context ends.
type boundConn struct {
	net.Conn
	ctx  context.Context
	stop func() bool
}

func bind(ctx context.Context, conn net.Conn) *boundConn {
	return &boundConn{Conn: conn, ctx: ctx, stop: context.AfterFunc(ctx, func() { conn.Close() })}
}

// Read reads. After the end of the context its error is the context's cause.
func (c *boundConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.cause(err)
}

// Write writes. After the end of the context its error is the context's cause.
func (c *boundConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.cause(err)
}

func (c *boundConn) cause(err error) error {
	if err != nil && c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return err
}

// Close closes the connection.
func (c *boundConn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// lateError is the cause of a context that ended by its bound.
type lateError struct{ bound time.Duration }

func (e *lateError) Error() string { return fmt.Sprintf("no answer within %s", e.bound) }

// Timeout reports true, as for a net.Error that is a timeout.
func (e *lateError) Timeout() bool { return true }

// within returns a context that ends after bound, with a lateError as its cause.
func within(ctx context.Context, bound time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, bound, &lateError{bound})
}
