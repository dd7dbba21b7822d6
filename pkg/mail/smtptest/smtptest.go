// Package smtptest is a mail server for tests. It listens on a port of loopback, keeps
// the messages that it accepts, and misbehaves as its Options say.
//
//	s, err := smtptest.Serve(smtptest.Options{TLS: smtptest.StartTLS})
//	defer s.Close()
//	… send a message to s.URL(), with s.CAFile as authority …
//	s.Messages()
package smtptest

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// TLS is how the server encrypts.
type TLS int

// The ways to encrypt.
const (
	NoTLS       TLS = iota // STARTTLS is not offered
	StartTLS               // STARTTLS is offered
	ImplicitTLS            // TLS from the first byte
)

// Reply is a reply of the server in place of a positive one. Without an EnhancedCode the
// server derives one from the Code.
type Reply = smtp.SMTPError

// Options are the server's behaviour. The zero value accepts every message, without TLS
// and without AUTH.
type Options struct {
	TLS        TLS
	TLSVersion uint16   // the highest version; 0: Go's default
	Names      []string // in the certificate; default localhost and 127.0.0.1
	Expired    bool     // the certificate has expired

	User, Password string   // the only login; without a user AUTH is not offered
	Mechanisms     []string // default PLAIN and LOGIN
	PlainAuth      bool     // AUTH is offered on an unencrypted connection
	AuthReply      *Reply   // to every AUTH

	MaxSize int64 // of a message, offered as SIZE; 0: no limit

	RefuseSender     *Reply
	RefuseRecipients map[string]*Reply // by address
	Greylist         int               // how many RCPT get the reply 450 first
	RefuseData       *Reply            // after reading the message

	Banner      string        // a line in place of the greeting, such as "554 no service"
	Silent      bool          // accepts connections and sends nothing
	Slow        time.Duration // the delay before each reply
	StallData   bool          // reads nothing after DATA
	CloseInData bool          // closes the connection after the first bytes of a message
}

// Message is a message that the server accepted.
type Message struct {
	Hello string // the client's name in EHLO
	TLS   bool
	User  string // the user who logged in
	From  string
	To    []string
	Data  []byte
}

// Server is a running server.
type Server struct {
	Addr   string // 127.0.0.1:PORT
	CAFile string // the authority of the certificate; empty without TLS

	options  Options
	dir      string
	listener net.Listener
	smtp     *smtp.Server
	closed   chan struct{}
	once     sync.Once
	serving  sync.WaitGroup

	mu          sync.Mutex
	messages    []Message
	connections int
	recipients  int        // RCPT commands so far
	silenced    []net.Conn // connections without SMTP
}

// Start starts a server that stops when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Serve(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Serve starts a server on a free port of 127.0.0.1. The caller must close it.
func Serve(o Options) (*Server, error) {
	s := &Server{options: o, closed: make(chan struct{})}
	if err := s.start(); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("start test mail server: %w", err)
	}
	return s, nil
}

func (s *Server) start() (err error) {
	if s.dir, err = os.MkdirTemp("", "smtptest-"); err != nil {
		return err
	}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	s.Addr = s.listener.Addr().String()
	s.smtp = smtp.NewServer(smtp.BackendFunc(s.session))
	s.smtp.Domain = "localhost"
	s.smtp.MaxMessageBytes = s.options.MaxSize
	s.smtp.AllowInsecureAuth = s.options.PlainAuth
	s.smtp.ErrorLog = log.New(io.Discard, "", 0) // the faults are intended
	accept := net.Listener(&listener{s.listener, s})
	if s.options.TLS != NoTLS {
		if accept, err = s.encrypt(accept); err != nil {
			return err
		}
	}
	s.serving.Go(func() { _ = s.smtp.Serve(accept) })
	return nil
}

// encrypt returns the listener with TLS as the options ask for.
func (s *Server) encrypt(accept net.Listener) (net.Listener, error) {
	certificate, authority, err := Certificate(s.options.Names, s.options.Expired)
	if err != nil {
		return nil, err
	}
	s.CAFile = filepath.Join(s.dir, "ca.pem")
	if err := os.WriteFile(s.CAFile, authority, 0o644); err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS10, MaxVersion: s.options.TLSVersion}
	if s.options.TLS == ImplicitTLS {
		return tls.NewListener(accept, config), nil
	}
	s.smtp.TLSConfig = config
	return accept, nil
}

// URL returns the server's URL, as in a suite file.
func (s *Server) URL() string {
	scheme := map[TLS]string{NoTLS: "smtp", StartTLS: "smtp+starttls", ImplicitTLS: "smtps"}[s.options.TLS]
	return scheme + "://" + s.Addr
}

// Messages returns the messages accepted so far, in order.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Connections returns how many connections were accepted so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// Close stops the server, closes its connections and removes its files.
func (s *Server) Close() error {
	s.once.Do(func() {
		close(s.closed)
		if s.smtp != nil {
			_ = s.smtp.Close()
		}
		if s.listener != nil {
			_ = s.listener.Close()
		}
		s.mu.Lock()
		for _, c := range s.silenced {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.serving.Wait()
	})
	return os.RemoveAll(s.dir)
}

// listener passes connections to the SMTP server, except those that do not get SMTP.
type listener struct {
	net.Listener
	server *Server
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		s := l.server
		s.mu.Lock()
		s.connections++
		noSMTP := s.options.Silent || s.options.Banner != ""
		if noSMTP {
			s.silenced = append(s.silenced, c)
		}
		s.mu.Unlock()
		if !noSMTP {
			return &conn{Conn: c, server: s}, nil
		}
		if s.options.Banner != "" {
			_, _ = io.WriteString(c, s.options.Banner+"\r\n")
		}
	}
}

// conn delays each write, if the options ask for it.
type conn struct {
	net.Conn
	server *Server
}

func (c *conn) Write(p []byte) (int, error) {
	if slow := c.server.options.Slow; slow > 0 {
		timer := time.NewTimer(slow)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.server.closed:
		}
	}
	return c.Conn.Write(p)
}

// session is the session of one client.
type session struct {
	server  *Server
	conn    *smtp.Conn
	message Message
}

func (s *Server) session(c *smtp.Conn) (smtp.Session, error) {
	x := &session{server: s, conn: c}
	x.Reset()
	if s.options.User != "" || s.options.AuthReply != nil {
		return &authSession{x}, nil
	}
	return x, nil
}

func (x *session) Reset() {
	_, encrypted := x.conn.TLSConnectionState()
	x.message = Message{Hello: x.conn.Hostname(), TLS: encrypted, User: x.message.User}
}

func (x *session) Logout() error { return nil }

func (x *session) Mail(from string, _ *smtp.MailOptions) error {
	x.message.Hello = x.conn.Hostname()
	x.message.From = from
	return asError(x.server.options.RefuseSender)
}

func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s := x.server
	s.mu.Lock()
	s.recipients++
	greylisted := s.recipients <= s.options.Greylist
	s.mu.Unlock()
	if greylisted {
		return &Reply{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "greylisted, come back later"}
	}
	if err := asError(s.options.RefuseRecipients[to]); err != nil {
		return err
	}
	x.message.To = append(x.message.To, to)
	return nil
}

func (x *session) Data(r io.Reader) error {
	s := x.server
	switch {
	case s.options.StallData:
		<-s.closed
		return io.ErrUnexpectedEOF
	case s.options.CloseInData:
		_, _ = io.ReadFull(r, make([]byte, 10))
		return x.conn.Conn().Close()
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := asError(s.options.RefuseData); err != nil {
		return err
	}
	x.message.Data = data
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, x.message)
	return nil
}

// authSession is a session with AUTH.
type authSession struct{ *session }

func (x *authSession) AuthMechanisms() []string {
	if x.server.options.Mechanisms != nil {
		return x.server.options.Mechanisms
	}
	return []string{sasl.Plain, sasl.Login}
}

func (x *authSession) Auth(mechanism string) (sasl.Server, error) {
	switch strings.ToUpper(mechanism) {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return x.logIn(user, password) }), nil
	case sasl.Login:
		return &loginServer{logIn: x.logIn}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (x *authSession) logIn(user, password string) error {
	if err := asError(x.server.options.AuthReply); err != nil {
		return err
	}
	if user != x.server.options.User || password != x.server.options.Password {
		return smtp.ErrAuthFailed
	}
	x.message.User = user
	return nil
}

// loginServer is the server's side of AUTH LOGIN. Its challenges are those of
// draft-murchison-sasl-login; most servers send others.
type loginServer struct {
	logIn func(user, password string) error
	user  *string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil:
		return []byte("User Name\x00"), false, nil
	case l.user == nil:
		user := string(response)
		l.user = &user
		return []byte("Password\x00"), false, nil
	}
	return nil, true, l.logIn(*l.user, string(response))
}

// asError returns r as an error, which is nil if r is.
func asError(r *Reply) error {
	if r == nil {
		return nil
	}
	return r
}
