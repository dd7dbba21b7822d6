package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// goodbye bounds the QUIT: nothing depends on its answer any more.
const goodbye = 5 * time.Second

// maxRead is how many bytes a server may send in one attempt.
const maxRead = 1 << 20

// session is a connection to a mail server that is ready for a message.
type session struct {
	server    Server
	ctx       context.Context // of the attempt: it has a deadline
	conn      net.Conn        // its deadlines hold for the TLS above it, too
	client    *smtp.Client
	name      string // what we called ourselves
	mechanism string // of the AUTH that succeeded; empty: none
	release   func()
}

// open connects, greets, encrypts and logs in. The session must be closed.
func (s Server) open(parent context.Context) (*session, error) {
	cause := &boundError{fmt.Sprintf("not done within %v", s.timeout()), context.DeadlineExceeded}
	ctx, cancel := context.WithTimeoutCause(parent, s.timeout(), cause)
	x := &session{server: s, ctx: ctx, release: cancel}
	for _, step := range []func() error{x.dial, x.hello, x.encrypt, x.login} {
		if err := step(); err != nil {
			x.release()
			return nil, err
		}
	}
	return x, nil
}

// close ends the session; the message, if any, is delivered or not by now.
func (x *session) close() {
	if x.conn.SetDeadline(time.Now().Add(goodbye)) == nil {
		_ = x.client.Quit()
	}
	x.release()
}

// do runs one step under the bound of a command.
func (x *session) do(op string, f func() error) error {
	return x.until(time.Now().Add(x.server.commandTimeout()), op, f)
}

// until runs one step; without a deadline its bound is the attempt's.
func (x *session) until(deadline time.Time, op string, f func() error) error {
	err := x.conn.SetDeadline(deadline)
	if err == nil {
		err = f()
	}
	if err == nil {
		return nil
	}
	switch {
	case x.ctx.Err() != nil:
		err = x.ended()
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &boundError{fmt.Sprintf("no answer within %v", x.server.commandTimeout()), err}
	}
	return x.server.explain(op, err)
}

// ended is why the attempt's context has ended: its bound, or somebody above, for
// whatever reason. The mail is none the worse for it.
func (x *session) ended() error {
	cause := context.Cause(x.ctx)
	return &boundError{cause.Error(), cause}
}

// command sends a line and returns the reply, which must begin with the digits of expect.
func (x *session) command(expect int, format string, args ...any) (string, error) {
	id, err := x.client.Text.Cmd(format, args...)
	if err != nil {
		return "", err
	}
	x.client.Text.StartResponse(id)
	defer x.client.Text.EndResponse(id)
	_, reply, err := x.client.Text.ReadResponse(expect)
	return reply, err
}

// dial connects. From here on the end of the context closes the connection, which
// is what ends a write that the server does not read.
func (x *session) dial() error {
	dialer := net.Dialer{Timeout: x.server.dialTimeout()}
	conn, err := dialer.DialContext(x.ctx, "tcp", x.server.Address())
	if err != nil {
		var timeout net.Error
		if x.ctx.Err() != nil {
			err = x.ended()
		} else if errors.As(err, &timeout) && timeout.Timeout() {
			err = &boundError{fmt.Sprintf("no answer within %v", x.server.dialTimeout()), err}
		}
		return x.server.explain("connect", withoutAddress(err))
	}
	x.conn = &cappedConn{Conn: conn, left: maxRead}
	stop, cancel := context.AfterFunc(x.ctx, func() { _ = conn.Close() }), x.release
	x.release = func() {
		stop()
		cancel()
		_ = conn.Close()
	}
	if x.server.Security != ImplicitTLS {
		return nil
	}
	config, err := x.server.tlsConfig()
	if err != nil {
		return x.server.explain("start TLS", err)
	}
	raw := x.conn
	return x.do("start TLS", func() error {
		encrypted := tls.Client(raw, config)
		x.conn = encrypted
		return encrypted.HandshakeContext(x.ctx)
	})
}

// withoutAddress drops "dial tcp 192.0.2.1:25: " from what net says: the Error names the server.
func withoutAddress(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return op.Err
	}
	return err
}

// hello reads the greeting and introduces us.
func (x *session) hello() error {
	err := x.do("read its greeting", func() (err error) {
		x.client, err = smtp.NewClient(x.conn, x.server.Host)
		return err
	})
	if err != nil {
		return err
	}
	x.name = x.server.helloName(x.ctx, x.conn.LocalAddr())
	return x.do("say hello as "+x.name, func() error { return x.client.Hello(x.name) })
}

// encrypt starts TLS as the server's Security asks.
func (x *session) encrypt() error {
	if x.server.Security == ImplicitTLS {
		return nil
	}
	if offered, _ := x.client.Extension("STARTTLS"); !offered {
		if x.server.Security == Opportunistic {
			return nil
		}
		return x.server.explain("start TLS", &configError{
			text: "the server does not offer STARTTLS",
			hint: "for a server with TLS from the start write smtps:// in mail.server",
		})
	}
	config, err := x.server.tlsConfig()
	if err != nil {
		return x.server.explain("start TLS", err)
	}
	return x.do("start TLS", func() error { return x.client.StartTLS(config) })
}

func (s Server) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}
	if s.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, &configError{text: "read mail.ca_file: " + err.Error()}
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, &configError{text: "read mail.ca_file: no certificate in " + s.CAFile}
	}
	return config, nil
}

// login authenticates by PLAIN, else LOGIN, if there is a user.
func (x *session) login() error {
	s := x.server
	if s.User == "" {
		return nil
	}
	op := fmt.Sprintf("log in as %q", s.User)
	if _, encrypted := x.client.TLSConnectionState(); !encrypted && !s.PlainAuth {
		return s.explain(op, &configError{
			text: "the password would travel unencrypted, for the server offers no STARTTLS",
			hint: "use a server with TLS, or set mail.allow_plain_auth to accept that",
		})
	}
	_, offered := x.client.Extension("AUTH")
	var auth smtp.Auth
	switch mechanisms := strings.Fields(strings.ToUpper(offered)); {
	case slices.Contains(mechanisms, "PLAIN"):
		x.mechanism, auth = "PLAIN", plainAuth{s.User, s.Password}
	case slices.Contains(mechanisms, "LOGIN"):
		x.mechanism, auth = "LOGIN", &loginAuth{answers: []string{s.User, s.Password}}
	case len(mechanisms) > 0:
		return s.explain(op, &configError{text: "the server offers AUTH only by " + strings.Join(mechanisms, ", ") + ", neither PLAIN nor LOGIN"})
	default:
		return s.explain(op, &configError{
			text: "the server does not offer AUTH",
			hint: "remove mail.user, or use the port for submission (587 or 465)",
		})
	}
	return x.do(op, func() error { return x.client.Auth(auth) })
}

// plainAuth is SASL PLAIN (RFC 4616). net/smtp's own refuses an unencrypted
// connection, which is decided in login.
type plainAuth struct{ user, password string }

func (a plainAuth) Start(*smtp.ServerInfo) (string, []byte, error) {
	return "PLAIN", plainResponse(a.user, a.password), nil
}

func (a plainAuth) Next(_ []byte, more bool) ([]byte, error) {
	if more {
		return nil, errors.New("unexpected challenge")
	}
	return nil, nil
}

func plainResponse(user, password string) []byte { return []byte("\x00" + user + "\x00" + password) }

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// loginAuth is SASL LOGIN, which no standard fixed: servers word their two
// challenges as they like, so they are answered by their order.
type loginAuth struct{ answers []string }

func (a *loginAuth) Start(*smtp.ServerInfo) (string, []byte, error) { return "LOGIN", nil, nil }

func (a *loginAuth) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	if len(a.answers) == 0 {
		return nil, errors.New("unexpected challenge")
	}
	answer := a.answers[0]
	a.answers = a.answers[1:]
	return []byte(answer), nil
}

// maxSize is the largest message that the server takes, in bytes; 0 when it does not say.
func (x *session) maxSize() int64 {
	_, value := x.client.Extension("SIZE")
	size, err := strconv.ParseInt(value, 10, 64)
	if err != nil || size < 0 {
		return 0
	}
	return size
}

// send delivers e. Every recipient is in the Delivery; the error is set when none
// was accepted.
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

// sender announces who sends how much. All that is sent is 7-bit ASCII, so there
// is nothing to ask of 8BITMIME or SMTPUTF8.
func (x *session) sender(e Envelope) error {
	size := int64(len(e.Data))
	if limit := x.maxSize(); limit > 0 && size > limit {
		return x.server.explain("send the message", &configError{
			text: fmt.Sprintf("it has %d bytes, and the server takes no more than %d", size, limit),
			hint: fmt.Sprintf("set mail.max_size to %d or less", limit),
		})
	}
	line := "MAIL FROM:<" + e.From + ">"
	if offered, _ := x.client.Extension("SIZE"); offered {
		line += " SIZE=" + strconv.FormatInt(size, 10)
	}
	return x.do("announce sender <"+e.From+">", func() error {
		_, err := x.command(250, "%s", line)
		return err
	})
}

// recipients announces each recipient. A reply that refuses one is no error; 421
// and a broken connection, which end the session, are.
func (x *session) recipients(to []string) (accepted []string, refused []Refusal, err error) {
	for _, address := range to {
		err := x.do("announce recipient <"+address+">", func() error {
			_, err := x.command(25, "RCPT TO:<%s>", address)
			return err
		})
		var told *Error
		switch {
		case err == nil:
			accepted = append(accepted, address)
		case errors.As(err, &told) && told.Code != 0 && told.Code != 421:
			refused = append(refused, Refusal{address, told})
		default:
			return nil, nil, err
		}
	}
	return accepted, refused, nil
}

// data sends the message and returns what the server said when it took it. Writing
// has the bound of the attempt.
func (x *session) data(message []byte) (reply string, err error) {
	err = x.do("send the message", func() error {
		_, err := x.command(354, "DATA")
		return err
	})
	if err != nil {
		return "", err
	}
	err = x.until(time.Time{}, "send the message", func() error {
		w := x.client.Text.DotWriter()
		if _, err := w.Write(message); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		_, reply, err = x.client.Text.ReadResponse(250)
		return err
	})
	return headerText(x.server.redact(reply), maxReason), err
}

// cappedConn ends a server that would talk for ever into a growing reply.
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

// helloName is what EHLO calls this machine: what the configuration says, its full
// name, or else the address that it has on the connection.
func (s Server) helloName(ctx context.Context, local net.Addr) string {
	if hostName(s.Hello) || addressLiteral(s.Hello) {
		return s.Hello
	}
	if name := fullName(ctx); s.Hello == "" && name != "" {
		return name
	}
	return literal(local)
}

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

// fullName is this machine's name with its domain; empty when there is none, for a
// name without a dot is one that servers refuse.
func fullName(ctx context.Context) string {
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	if hostName(host) && strings.Contains(host, ".") {
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
			if strings.HasPrefix(name, host+".") && hostName(name) {
				return name
			}
		}
	}
	return ""
}
