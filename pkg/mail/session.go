package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"
)

// quitTimeout bounds QUIT: the message has been delivered or refused before it.
const quitTimeout = 5 * time.Second

// maxRead is how many bytes a server may send in one attempt.
const maxRead = 1 << 20

// session is a connection to a mail server that is ready for a message.
type session struct {
	server    Server
	ctx       context.Context // of the attempt; it has a deadline, and closes conn when it ends
	conn      net.Conn
	encrypted *tls.Conn // nil: the connection is not encrypted
	client    *smtp.Client
	name      string // this machine's name in EHLO
	mechanism string // of the AUTH that succeeded; empty: no user is configured
	cancel    context.CancelFunc
}

// open connects, greets, encrypts and logs in. The caller must close the session.
func (s Server) open(parent context.Context) (*session, error) {
	cause := &boundError{fmt.Sprintf("not done within %v", s.timeout()), context.DeadlineExceeded}
	ctx, cancel := context.WithTimeoutCause(parent, s.timeout(), cause)
	x := &session{server: s, ctx: ctx, cancel: cancel}
	for _, step := range []func() error{x.dial, x.greet, x.startTLS, x.logIn} {
		if err := step(); err != nil {
			x.cancel()
			return nil, err
		}
	}
	return x, nil
}

// close ends the session.
func (x *session) close() {
	x.client.CommandTimeout = quitTimeout
	_ = x.client.Quit()
	x.cancel()
}

// do runs one step under the bound of a command and explains its error.
func (x *session) do(op string, step func() error) error {
	return x.doWithin(x.server.commandTimeout(), op, step)
}

// doWithin runs one step that keeps to bound by itself and explains its error. When
// the attempt has ended, that is the error: the mail can be sent later.
func (x *session) doWithin(bound time.Duration, op string, step func() error) error {
	err := step()
	switch cause := context.Cause(x.ctx); {
	case err == nil:
		return nil
	case cause != nil:
		err = &boundError{cause.Error(), cause}
	case timedOut(err):
		err = &boundError{fmt.Sprintf("no answer within %v", bound), err}
	}
	return x.server.explain(op, err)
}

// dial connects, and encrypts where TLS comes first. The end of the context closes the
// connection: nothing else ends a write that the server does not read.
func (x *session) dial() error {
	dialer := net.Dialer{Timeout: x.server.dialTimeout()}
	var conn net.Conn
	err := x.doWithin(dialer.Timeout, "connect", func() (err error) {
		conn, err = dialer.DialContext(x.ctx, "tcp", x.server.Address())
		return withoutAddress(err)
	})
	if err != nil {
		return err
	}
	context.AfterFunc(x.ctx, func() { _ = conn.Close() })
	x.conn = &cappedConn{Conn: conn, left: maxRead}
	x.name = x.server.helloName(x.ctx, conn.LocalAddr())
	if x.server.Security == ImplicitTLS {
		return x.encrypt()
	}
	return nil
}

// withoutAddress drops "dial tcp 192.0.2.1:25: connect: " from an error of net: Error
// names the server.
func withoutAddress(err error) error {
	var errno syscall.Errno
	var op *net.OpError
	switch {
	case errors.As(err, &errno):
		return errno
	case errors.As(err, &op):
		return op.Err
	}
	return err
}

// greet reads the server's greeting and sends EHLO.
func (x *session) greet() error {
	x.client = smtp.NewClient(x.conn)
	x.client.CommandTimeout = x.server.commandTimeout()
	x.client.SubmissionTimeout = 2 * x.server.timeout() // never reached: the attempt ends first
	return x.do("greet as "+x.name, func() error { return x.client.Hello(x.name) })
}

// cappedConn is a connection that ends after maxRead bytes, so that no reply of a
// server grows without bound.
type cappedConn struct {
	net.Conn
	left int
}

func (c *cappedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, textproto.ProtocolError("the server sent more than 1 MiB")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
