package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-sasl"
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
	release   func()
}

// open connects, greets, encrypts and logs in. The caller must close the session.
func (s Server) open(parent context.Context) (*session, error) {
	cause := &boundError{fmt.Sprintf("not done within %v", s.timeout()), context.DeadlineExceeded}
	ctx, cancel := context.WithTimeoutCause(parent, s.timeout(), cause)
	x := &session{server: s, ctx: ctx, release: cancel}
	for _, step := range []func() error{x.dial, x.greet, x.startTLS, x.logIn} {
		if err := step(); err != nil {
			x.release()
			return nil, err
		}
	}
	return x, nil
}

// close ends the session.
func (x *session) close() {
	x.client.CommandTimeout = quitTimeout
	_ = x.client.Quit()
	x.release()
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
	stop, cancel := context.AfterFunc(x.ctx, func() { _ = conn.Close() }), x.release
	x.release = func() {
		stop()
		cancel()
		_ = conn.Close()
	}
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

// startTLS encrypts the connection by STARTTLS, as the server's Security asks, and
// greets again. It does not use smtp.NewClientStartTLS, which greets as "localhost"
// first and cannot go on unencrypted when the server does not offer STARTTLS.
func (x *session) startTLS() error {
	offered, _ := x.client.Extension("STARTTLS")
	switch security := x.server.Security; {
	case security == ImplicitTLS || security == Opportunistic && !offered:
		return nil
	case !offered:
		return x.server.explain("start TLS", &hintError{
			text: "the server does not offer STARTTLS",
			hint: "write smtps:// in mail.server if the server speaks TLS from the first byte",
		})
	}
	if err := x.encrypt(); err != nil {
		return err
	}
	x.conn = &greetedConn{x.conn, strings.NewReader("220 TLS\r\n")}
	return x.greet()
}

// encrypt makes the TLS handshake, after STARTTLS unless TLS comes first.
func (x *session) encrypt() error {
	return x.do("start TLS", func() error {
		config, err := x.server.tlsConfig()
		if err != nil {
			return err
		}
		if err := x.conn.SetDeadline(time.Now().Add(x.server.commandTimeout())); err != nil {
			return err
		}
		if x.server.Security != ImplicitTLS {
			// What the server sent after its reply, unprotected, is dropped with this reader.
			text := textproto.NewConn(x.conn)
			if err := text.PrintfLine("STARTTLS"); err != nil {
				return err
			}
			if _, _, err := text.ReadResponse(220); err != nil {
				return err
			}
		}
		x.encrypted = tls.Client(x.conn, config)
		x.conn = x.encrypted
		return x.encrypted.HandshakeContext(x.ctx)
	})
}

// tlsConfig returns how to verify the server.
func (s Server) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}
	if s.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, &hintError{text: "read mail.ca_file: " + err.Error()}
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, &hintError{text: "read mail.ca_file: no certificate in " + s.CAFile}
	}
	return config, nil
}

// logIn authenticates by PLAIN, or else by LOGIN, if a user is configured.
func (x *session) logIn() error {
	s := x.server
	if s.User == "" {
		return nil
	}
	op := fmt.Sprintf("log in as %q", s.User)
	if x.encrypted == nil && !s.PlainAuth {
		return s.explain(op, &hintError{
			text: "the password would be sent unencrypted: the server does not offer STARTTLS",
			hint: "use a server with TLS, or set mail.allow_plain_auth to accept the risk",
		})
	}
	_, offered := x.client.Extension("AUTH")
	var auth sasl.Client
	switch {
	case x.client.SupportsAuth(sasl.Plain):
		x.mechanism, auth = sasl.Plain, sasl.NewPlainClient("", s.User, s.Password)
	case x.client.SupportsAuth(sasl.Login):
		x.mechanism, auth = sasl.Login, &loginClient{answers: []string{s.User, s.Password}}
	case offered != "":
		return s.explain(op, &hintError{text: "the server offers AUTH " + offered + ", but neither PLAIN nor LOGIN"})
	default:
		return s.explain(op, &hintError{
			text: "the server does not offer AUTH",
			hint: "remove mail.user, or use the submission port (587 or 465)",
		})
	}
	return x.do(op, func() error { return x.client.Auth(auth) })
}

// loginClient is SASL LOGIN. It answers the two challenges in their order, whatever
// they are: no standard fixes their text, and sasl.NewLoginClient accepts only
// "Password:", after a user name that some servers do not expect with the command.
type loginClient struct{ answers []string }

func (c *loginClient) Start() (mechanism string, response []byte, err error) {
	return sasl.Login, nil, nil
}

func (c *loginClient) Next([]byte) ([]byte, error) {
	if len(c.answers) == 0 {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	answer := c.answers[0]
	c.answers = c.answers[1:]
	return []byte(answer), nil
}

// send delivers e. The Delivery has every recipient; the error is set when none was
// accepted.
func (x *session) send(e Envelope) (Delivery, error) {
	if err := x.sender(e); err != nil {
		return refuse(e.To, err), err
	}
	accepted, refused, err := x.recipients(e.To)
	if err != nil {
		return refuse(e.To, err), err
	}
	d := Delivery{Refused: refused}
	if len(accepted) == 0 {
		return d, refusal(refused)
	}
	reply, err := x.data(e.Data)
	if err != nil {
		d.Refused = append(d.Refused, refuse(accepted, err).Refused...)
		return d, err
	}
	d.Accepted, d.Reply = accepted, reply
	return d, nil
}

// sender announces the sender and the size of the message.
func (x *session) sender(e Envelope) error {
	size := len(e.Data)
	if limit, _ := x.client.MaxMessageSize(); limit > 0 && size > limit {
		return x.server.explain("send the message", &hintError{
			text: fmt.Sprintf("its size is %d bytes, and the server accepts at most %d", size, limit),
			hint: fmt.Sprintf("set mail.max_size to %d or less", limit),
		})
	}
	return x.do("announce sender <"+e.From+">", func() error {
		return x.client.Mail(e.From, &smtp.MailOptions{Size: int64(size)})
	})
}

// recipients announces each recipient. A reply that refuses one recipient is no error;
// 421 and a broken connection, which end the session, are.
func (x *session) recipients(to []string) (accepted []string, refused []Refusal, err error) {
	for _, address := range to {
		err := x.do("announce recipient <"+address+">", func() error { return x.client.Rcpt(address, nil) })
		var reply *Error
		switch {
		case err == nil:
			accepted = append(accepted, address)
		case errors.As(err, &reply) && reply.Code != 0 && reply.Code != 421:
			refused = append(refused, Refusal{address, reply})
		default:
			return nil, nil, err
		}
	}
	return accepted, refused, nil
}

// data sends the message and returns the reply by which the server accepted it.
// Writing has no bound but that of the attempt.
func (x *session) data(message []byte) (reply string, err error) {
	err = x.do("send the message", func() error {
		w, err := x.client.Data()
		if err != nil {
			return err
		}
		if _, err := w.Write(message); err != nil {
			return err
		}
		response, err := w.CloseWithResponse()
		if err != nil {
			return err
		}
		reply = response.StatusText
		return nil
	})
	return headerText(x.server.redact(reply), maxReason), err
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

// greetedConn is a connection on which the server has sent its greeting already. It
// supplies the one that an smtp.Client waits for.
type greetedConn struct {
	net.Conn
	greeting *strings.Reader
}

func (c *greetedConn) Read(p []byte) (int, error) {
	if c.greeting.Len() > 0 {
		return c.greeting.Read(p)
	}
	return c.Conn.Read(p)
}

// helloName returns this machine's name for EHLO: the configured one, its full name, or
// else its address on the connection.
func (s Server) helloName(ctx context.Context, local net.Addr) string {
	if isHostName(s.Hello) || isAddressLiteral(s.Hello) {
		return s.Hello
	}
	if name := fullName(ctx); s.Hello == "" && name != "" {
		return name
	}
	return literal(local)
}

// literal returns addr as an address literal.
func literal(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return "[127.0.0.1]"
	}
	if four := tcp.IP.To4(); four != nil {
		return "[" + four.String() + "]"
	}
	return "[IPv6:" + tcp.IP.String() + "]"
}

// fullName returns this machine's name with its domain, or the empty string: servers
// refuse a name without a domain.
func fullName(ctx context.Context) string {
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	if isHostName(host) && strings.Contains(host, ".") {
		return host
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return ""
	}
	for _, address := range addresses {
		names, _ := net.DefaultResolver.LookupAddr(ctx, address)
		for _, name := range names {
			name = strings.TrimSuffix(name, ".")
			if strings.HasPrefix(name, host+".") && isHostName(name) {
				return name
			}
		}
	}
	return ""
}
