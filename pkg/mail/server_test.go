package mail

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/mail/smtptest"
)

// serverFor returns the configuration for s, with bounds that suit a test.
func serverFor(t *testing.T, s *smtptest.Server) Server {
	t.Helper()
	server, err := ParseServer(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	server.CAFile = s.CAFile
	server.Hello = "ci.example.org"
	server.CommandTimeout = 5 * time.Second
	server.Timeout = 20 * time.Second
	return server
}

func envelope(t *testing.T, to ...string) Envelope {
	t.Helper()
	m := report()
	if to != nil {
		m.To = to
	}
	e, err := m.Compose()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestParseServer(t *testing.T) {
	for url, want := range map[string]string{
		"smtp://smtp.example.org:25":               "smtp://smtp.example.org:25",
		"smtp+starttls://smtp.example.org:587":     "smtp+starttls://smtp.example.org:587",
		"smtps://[::1]:465":                        "smtps://[::1]:465",
		"http://smtp.example.org:80":               `error: parse mail server URL: unknown scheme "http"`,
		"smtp://smtp.example.org":                  "error: parse mail server URL: not of the form SCHEME://HOST:PORT",
		"smtp.example.org:25":                      "error: parse mail server URL: not of the form SCHEME://HOST:PORT",
		"smtp://bob:secret@smtp.example.org:25":    "error: parse mail server URL: not of the form SCHEME://HOST:PORT",
		"smtp://bob:sec%ret@smtp.example.org:25":   "error: parse mail server URL: not of the form SCHEME://HOST:PORT",
		"smtp://smtp.example.org:25\r\nMAIL FROM:": "error: parse mail server URL: not of the form SCHEME://HOST:PORT",
	} {
		s, err := ParseServer(url)
		got := s.String()
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
	}
}

func TestPasswordIsNotPrinted(t *testing.T) {
	s := Server{Security: StartTLS, Host: "h", Port: "25", User: "bob", Password: "hunter2"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, s); strings.Contains(got, "hunter2") {
			t.Errorf("%s: %s", format, got)
		}
	}
}

func TestSend(t *testing.T) {
	account := smtptest.Options{User: "bob", Password: "p ss\\wörd"}
	with := func(change func(*smtptest.Options)) smtptest.Options {
		o := account
		change(&o)
		return o
	}
	for name, test := range map[string]struct {
		options smtptest.Options
		scheme  Security // in place of the one in the server's URL
		tls     bool
	}{
		"no TLS, no AUTH":              {options: smtptest.Options{}},
		"STARTTLS required":            {options: with(func(o *smtptest.Options) { o.TLS = smtptest.StartTLS }), tls: true},
		"STARTTLS offered":             {options: with(func(o *smtptest.Options) { o.TLS = smtptest.StartTLS }), scheme: Opportunistic, tls: true},
		"TLS from the start":           {options: with(func(o *smtptest.Options) { o.TLS = smtptest.ImplicitTLS }), tls: true},
		"LOGIN alone":                  {options: with(func(o *smtptest.Options) { o.TLS, o.Mechanisms = smtptest.StartTLS, []string{"LOGIN"} }), tls: true},
		"LOGIN among others":           {options: with(func(o *smtptest.Options) { o.TLS, o.Mechanisms = smtptest.StartTLS, []string{"NTLM", "LOGIN"} }), tls: true},
		"password allowed unencrypted": {options: with(func(o *smtptest.Options) { o.PlainAuth = true })},
		"SIZE offered":                 {options: smtptest.Options{TLS: smtptest.ImplicitTLS, MaxSize: 1 << 20}, tls: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, test.options)
			server := serverFor(t, s)
			server.User, server.Password = test.options.User, test.options.Password
			server.PlainAuth = test.options.PlainAuth
			if test.scheme != "" {
				server.Security = test.scheme
			}
			e := envelope(t, "a@example.org", "b@example.org")
			d, err := server.Send(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(e.To, d.Accepted); diff != "" || d.Refused != nil || d.Reply == "" {
				t.Errorf("%+v %s", d, diff)
			}
			want := []smtptest.Message{{
				Hello: "ci.example.org", TLS: test.tls, User: test.options.User, From: e.From, To: e.To, Data: e.Data,
			}}
			if diff := cmp.Diff(want, s.Messages()); diff != "" {
				t.Errorf("the server has (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSendFails covers each way in which a server may misbehave: the error, its hint, and
// whether it is temporary. No failure may take longer than its bound.
func TestSendFails(t *testing.T) {
	const bound = 300 * time.Millisecond
	account := smtptest.Options{TLS: smtptest.StartTLS, User: "bob", Password: "hunter2"}
	no := &smtptest.Reply{Code: 550, EnhancedCode: [3]int{5, 7, 1}, Message: "go\x1b[31m away"}
	for name, test := range map[string]struct {
		options   smtptest.Options
		change    func(*Server)
		size      int // of the message, about
		want      string
		hint      string
		temporary bool
	}{
		"banner": {
			options: smtptest.Options{Banner: "554 5.3.2 no service\tfor you"},
			want:    "greet as ci.example.org: 554 5.3.2 no service for you",
		},
		"busy banner": {
			options: smtptest.Options{Banner: "421 4.3.2 too many connections"},
			want:    "greet as ci.example.org: 421 4.3.2 too many connections", temporary: true,
		},
		"not SMTP": {
			options: smtptest.Options{Banner: "HTTP/1.1 400 Bad Request"},
			want:    `greet as ci.example.org: short response: "HTTP/1.1 400 Bad Request"`,
		},
		"endless banner": {
			options: smtptest.Options{Banner: strings.Repeat("220-"+strings.Repeat("x", 996)+"\r\n", 1100)},
			want:    "greet as ci.example.org: the server sent more than 1 MiB",
		},
		"silent": {
			options: smtptest.Options{Silent: true},
			want:    "greet as ci.example.org: no answer within 300ms", temporary: true,
		},
		"slow": {
			options: smtptest.Options{Slow: bound - 50*time.Millisecond},
			change:  func(s *Server) { s.CommandTimeout, s.Timeout = 10*bound, 2*bound },
			want:    "not done within 600ms", temporary: true,
		},
		"reads no data": {
			options: smtptest.Options{StallData: true}, size: 16 << 20,
			change: func(s *Server) { s.Timeout = 2 * bound },
			want:   "send the message: not done within 600ms", temporary: true,
		},
		"no reply to the data": {
			options: smtptest.Options{StallData: true},
			change:  func(s *Server) { s.Timeout = 2 * bound },
			want:    "send the message: not done within 600ms", temporary: true,
		},
		"closes in the data": {
			options: smtptest.Options{CloseInData: true}, size: 1 << 20,
			want: "send the message: ", temporary: true,
		},
		"greylisting": {
			options: smtptest.Options{Greylist: 1},
			want:    "announce recipient <team@example.org>: 450 4.2.0 greylisted, come back later", temporary: true,
		},
		"refuses the sender": {
			options: smtptest.Options{RefuseSender: no},
			want:    "announce sender <runtests@ci.example.org>: 550 5.7.1 go away",
		},
		"wants a login": {
			options: smtptest.Options{RefuseSender: &smtptest.Reply{Code: 530, EnhancedCode: [3]int{5, 7, 0}, Message: "Authentication required"}},
			want:    "announce sender <runtests@ci.example.org>: 530 5.7.0 Authentication required",
			hint:    "set mail.user and its password: the server requires a login",
		},
		"too big, without SIZE": {
			options: smtptest.Options{RefuseData: &smtptest.Reply{Code: 552, EnhancedCode: [3]int{5, 3, 4}, Message: "too big"}},
			want:    "send the message: 552 5.3.4 too big",
			hint:    "lower mail.max_size, unless the recipient's mailbox is full",
		},
		"refuses the recipient": {
			options: smtptest.Options{RefuseRecipients: map[string]*smtptest.Reply{"team@example.org": no}},
			want:    "announce recipient <team@example.org>: 550 5.7.1 go away",
		},
		"refuses the content": {
			options: smtptest.Options{RefuseData: &smtptest.Reply{Code: 554, Message: "spam"}},
			want:    "send the message: 554 5.0.0 spam",
		},
		"disk full": {
			options: smtptest.Options{RefuseData: &smtptest.Reply{Code: 452, Message: "disk full"}},
			want:    "send the message: 452 4.0.0 disk full", temporary: true,
		},
		"size": {
			options: smtptest.Options{MaxSize: 5000}, size: 10000,
			want: "send the message: its size is N bytes, and the server accepts at most 5000",
			hint: "set mail.max_size to 5000 or less",
		},
		"name": {
			options: smtptest.Options{TLS: smtptest.StartTLS, Names: []string{"mail.example.org", "mx.example.org"}},
			change:  func(s *Server) { s.Host = "localhost" },
			want:    "start TLS: tls: failed to verify certificate: x509: certificate is valid for mail.example.org, mx.example.org, not localhost",
			hint:    "write the host in mail.server as its certificate names it: mail.example.org, mx.example.org",
		},
		"expired": {
			options: smtptest.Options{TLS: smtptest.ImplicitTLS, Expired: true},
			want:    "start TLS: tls: failed to verify certificate: x509: certificate has expired or is not yet valid: ",
			hint:    "renew the mail server's certificate, or set this machine's clock",
		},
		"unknown authority": {
			options: smtptest.Options{TLS: smtptest.ImplicitTLS},
			change:  func(s *Server) { s.CAFile = "" },
			want:    "start TLS: tls: failed to verify certificate: x509: certificate signed by unknown authority",
			hint:    "set mail.ca_file to the certificate of the authority that signed the server's certificate",
		},
		"unknown authority when TLS is only offered": {
			options: smtptest.Options{TLS: smtptest.StartTLS},
			change:  func(s *Server) { s.CAFile, s.Security = "", Opportunistic },
			want:    "start TLS: tls: failed to verify certificate: x509: certificate signed by unknown authority",
			hint:    "set mail.ca_file to the certificate of the authority that signed the server's certificate",
		},
		"old TLS": {
			options: smtptest.Options{TLS: smtptest.ImplicitTLS, TLSVersion: tls.VersionTLS11},
			want:    "start TLS: remote error: tls: protocol version not supported",
		},
		"no TLS at all": {
			options: smtptest.Options{},
			change:  func(s *Server) { s.Security = ImplicitTLS },
			want:    "start TLS: tls: first record does not look like a TLS handshake",
			hint:    "write smtp+starttls:// or smtp:// in mail.server: the server does not start with TLS",
		},
		"TLS where none is expected": {
			options: smtptest.Options{TLS: smtptest.ImplicitTLS},
			change:  func(s *Server) { s.Security = Opportunistic },
			want:    "greet as ci.example.org: no answer within 300ms", temporary: true,
		},
		"STARTTLS not offered": {
			options: smtptest.Options{},
			change:  func(s *Server) { s.Security = StartTLS },
			want:    "start TLS: the server does not offer STARTTLS",
			hint:    "write smtps:// in mail.server if the server speaks TLS from the first byte",
		},
		"CA file missing": {
			options: account,
			change:  func(s *Server) { s.CAFile = "/nowhere/ca.pem" },
			want:    "start TLS: read mail.ca_file: open /nowhere/ca.pem: no such file or directory",
		},
		"CA file without a certificate": {
			options: account,
			change:  func(s *Server) { s.CAFile = "/dev/null" },
			want:    "start TLS: read mail.ca_file: no certificate in /dev/null",
		},
		"AUTH wrong": {
			options: account,
			change:  func(s *Server) { s.User, s.Password = "bob", "secret-word" },
			want:    `log in as "bob": 535 5.7.8 Authentication failed`,
			hint:    "check mail.user and its password",
		},
		"AUTH wrong by LOGIN": {
			options: smtptest.Options{TLS: smtptest.StartTLS, User: "bob", Mechanisms: []string{"LOGIN"}},
			change:  func(s *Server) { s.User, s.Password = "bob", "secret-word" },
			want:    `log in as "bob": 535 5.7.8 Authentication failed`,
			hint:    "check mail.user and its password",
		},
		"AUTH is down": {
			options: smtptest.Options{TLS: smtptest.StartTLS, AuthReply: &smtptest.Reply{Code: 454, EnhancedCode: [3]int{4, 7, 0}, Message: "later"}},
			change:  func(s *Server) { s.User, s.Password = "bob", "secret-word" },
			want:    `log in as "bob": 454 4.7.0 later`, temporary: true,
		},
		"AUTH repeats the password": {
			options: smtptest.Options{TLS: smtptest.StartTLS, AuthReply: &smtptest.Reply{Code: 535, EnhancedCode: [3]int{5, 7, 8},
				Message: "not secret-word nor " + inBase64("secret-word") + " nor " + inBase64("\x00bob\x00secret-word")}},
			change: func(s *Server) { s.User, s.Password = "bob", "secret-word" },
			want:   `log in as "bob": 535 5.7.8 not *** nor *** nor ***`,
			hint:   "check mail.user and its password",
		},
		"AUTH not offered": {
			options: smtptest.Options{TLS: smtptest.StartTLS},
			change:  func(s *Server) { s.User, s.Password = "bob", "secret-word" },
			want:    `log in as "bob": the server does not offer AUTH`,
			hint:    "remove mail.user, or use the submission port (587 or 465)",
		},
		"AUTH by other mechanisms": {
			options: smtptest.Options{TLS: smtptest.StartTLS, User: "bob", Mechanisms: []string{"NTLM", "GSSAPI"}},
			change:  func(s *Server) { s.User, s.Password = "bob", "secret-word" },
			want:    `log in as "bob": the server offers AUTH NTLM GSSAPI, but neither PLAIN nor LOGIN`,
		},
		"AUTH unencrypted": {
			options: smtptest.Options{User: "bob", Password: "secret-word", PlainAuth: true},
			change:  func(s *Server) { s.User, s.Password = "bob", "secret-word" },
			want:    `log in as "bob": the password would be sent unencrypted: the server does not offer STARTTLS`,
			hint:    "use a server with TLS, or set mail.allow_plain_auth to accept the risk",
		},
		"nothing listens": {
			options: smtptest.Options{},
			change:  func(s *Server) { s.Port = closedPort(t) },
			want:    "connect: connection refused",
			hint:    "check the host and the port in mail.server: nothing listens there", temporary: true,
		},
		"no such host": {
			options: smtptest.Options{},
			change:  func(s *Server) { s.Host = "nobody.invalid" },
			want:    "connect: lookup nobody.invalid",
			hint:    "check the host in mail.server, and this machine's name resolution", temporary: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, test.options)
			server := serverFor(t, s)
			server.CommandTimeout, server.DialTimeout = 30*time.Second, 30*time.Second
			if strings.Contains(test.want, " within ") {
				server.CommandTimeout = bound // these tests wait for it; the others may be slow on a busy machine
			}
			if test.change != nil {
				test.change(&server)
			}
			e := envelope(t)
			e.Data = append(e.Data, strings.Repeat("xxxxxx\r\n", test.size/8)...)
			began := time.Now()
			d, err := server.Send(t.Context(), e)
			if took := time.Since(began); took > time.Minute {
				t.Errorf("took %v", took)
			}
			checkError(t, err, "mail server "+server.Address()+": ", test.want, test.hint)
			if Temporary(err) != test.temporary {
				t.Errorf("temporary: %v", Temporary(err))
			}
			if len(d.Accepted) != 0 || len(d.Refused) != 1 || len(d.Pending()) == 1 != test.temporary {
				t.Errorf("%+v", d)
			}
			if len(s.Messages()) != 0 {
				t.Error("a message arrived")
			}
		})
	}
}

func inBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// checkError checks the text of err after prefix, and its hint; N stands for a number.
func checkError(t *testing.T, err error, prefix, want, hint string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	got := regexp.MustCompile(`its size is \d+ bytes`).ReplaceAllString(err.Error(), "its size is N bytes")
	_, rest, _ := strings.Cut(got, prefix)
	if !strings.HasPrefix(rest, want) && !strings.HasSuffix(rest, want) {
		t.Errorf("got  %s\nwant %s%s", got, prefix, want)
	}
	if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) || strings.Contains(got, "secret-word") {
		t.Errorf("not fit for a log: %q", got)
	}
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) {
		t.Fatalf("no Hint in %T", err)
	}
	if hinted.Hint() != hint {
		t.Errorf("hint %q, want %q", hinted.Hint(), hint)
	}
}

// closedPort returns a port on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestSendToTheOtherRecipientsWhenOneIsRefused(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{RefuseRecipients: map[string]*smtptest.Reply{
		"gone@example.org": {Code: 550, EnhancedCode: [3]int{5, 1, 1}, Message: "no such user"},
		"full@example.org": {Code: 452, EnhancedCode: [3]int{4, 2, 2}, Message: "mailbox full"},
	}})
	server := serverFor(t, s)
	d, err := server.Send(t.Context(), envelope(t, "gone@example.org", "a@example.org", "full@example.org", "b@example.org"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a@example.org", "b@example.org"}, d.Accepted); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"full@example.org"}, d.Pending()); diff != "" {
		t.Error(diff)
	}
	var reply *Error
	if len(d.Refused) != 2 || !errors.As(d.Refused[0].Err, &reply) || reply.reason != "550 5.1.1 no such user" {
		t.Errorf("%+v", d.Refused)
	}
	if diff := cmp.Diff(d.Accepted, s.Messages()[0].To); diff != "" {
		t.Error(diff)
	}
	_, err = server.Send(t.Context(), envelope(t, "gone@example.org", "full@example.org"))
	if want := "announce 2 recipients: all refused, first <gone@example.org>: 550 5.1.1 no such user"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want …%s", err, want)
	}
	if !Temporary(err) {
		t.Error("not temporary, though one refusal is")
	}
}

func TestSendIsCancelled(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{StallData: true})
	ctx, cancel := context.WithCancel(t.Context())
	server := serverFor(t, s)
	timer := time.AfterFunc(100*time.Millisecond, cancel)
	defer timer.Stop()
	d, err := server.Send(ctx, envelope(t))
	if !errors.Is(err, context.Canceled) || !Temporary(err) || len(d.Pending()) != 1 {
		t.Errorf("%v %+v", err, d)
	}
}

// TestSendIsInterrupted checks that the mail can be sent later, whatever ended the context.
func TestSendIsInterrupted(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{Silent: true})
	why := errors.New("interrupted by SIGTERM")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	d, err := serverFor(t, s).Send(ctx, envelope(t))
	if !errors.Is(err, why) || !Temporary(err) || len(d.Pending()) != 1 {
		t.Errorf("%v %+v", err, d)
	}
}

func TestSendRefusesCommandsInAnEnvelope(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{})
	for name, change := range map[string]func(*Envelope){
		"sender":       func(e *Envelope) { e.From = "a@example.org>\r\nRSET" },
		"recipient":    func(e *Envelope) { e.To = []string{"a@example.org>\r\nDATA"} },
		"display name": func(e *Envelope) { e.To = []string{"Jane <a@example.org>"} },
		"parameter":    func(e *Envelope) { e.To = []string{"a@example.org> NOTIFY=NEVER"} },
		"none":         func(e *Envelope) { e.To = nil },
		"ID":           func(e *Envelope) { e.ID = "x" },
	} {
		e := envelope(t)
		change(&e)
		if _, err := serverFor(t, s).Send(t.Context(), e); err == nil || Temporary(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.Connections() != 0 {
		t.Error("connected")
	}
}

// TestHello checks that the name in EHLO is one that every server accepts.
func TestHello(t *testing.T) {
	valid := regexp.MustCompile(`^(\[127\.0\.0\.1\]|[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)+)$`)
	for configured, want := range map[string]string{
		"": "", "ci.example.org": "ci.example.org", "ci": "ci", "[192.0.2.7]": "[192.0.2.7]",
		"bad name\r\nQUIT": "[127.0.0.1]", "under_score": "[127.0.0.1]",
	} {
		s := smtptest.Start(t, smtptest.Options{})
		server := serverFor(t, s)
		server.Hello = configured
		if _, err := server.Send(t.Context(), envelope(t)); err != nil {
			t.Fatal(err)
		}
		got := s.Messages()[0].Hello
		if want != "" && got != want || want == "" && !valid.MatchString(got) {
			t.Errorf("%q: EHLO %q", configured, got)
		}
	}
	if got := literal(&net.TCPAddr{IP: net.ParseIP("2001:db8::1")}); got != "[IPv6:2001:db8::1]" {
		t.Error(got)
	}
}

// TestStartTLSInjection checks that a reply which somebody on the way adds after the one
// to STARTTLS is not taken for a reply inside TLS.
func TestStartTLSInjection(t *testing.T) {
	certificate, authority, err := smtptest.Certificate(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buffer := make([]byte, 1000)
		_, _ = io.WriteString(c, "220 hello\r\n")
		_, _ = c.Read(buffer)
		_, _ = io.WriteString(c, "250-hello\r\n250 STARTTLS\r\n")
		_, _ = c.Read(buffer)
		_, _ = io.WriteString(c, "220 go ahead\r\n250-hello\r\n250 AUTH PLAIN\r\n")
		encrypted := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}})
		_, _ = encrypted.Read(buffer) // EHLO
		_, _ = io.WriteString(encrypted, "250 hello\r\n")
		_, _ = encrypted.Read(buffer)
	}()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := ParseServer("smtp+starttls://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server.CAFile, server.User, server.Password = ca, "bob", "secret-word"
	_, err = server.Send(t.Context(), envelope(t))
	if err == nil || !strings.HasSuffix(err.Error(), "the server does not offer AUTH") {
		t.Errorf("got %v", err)
	}
}

// TestStartTLSIsRefused checks that nothing follows on the unencrypted connection, even
// when TLS is only opportunistic.
func TestStartTLSIsRefused(t *testing.T) {
	for name, test := range map[string]struct{ reply, want string }{
		"for now": {"454 4.7.0 TLS not available", "start TLS: 454 4.7.0 TLS not available"},
		"silent":  {"", "start TLS: no answer within 300ms"},
	} {
		t.Run(name, func(t *testing.T) {
			address, commands := scripted(t, "220 hello", "250-hello\r\n250 STARTTLS", test.reply)
			server, err := ParseServer("smtp://" + address)
			if err != nil {
				t.Fatal(err)
			}
			server.Hello, server.CommandTimeout = "ci.example.org", 300*time.Millisecond
			_, err = server.Send(t.Context(), envelope(t))
			checkError(t, err, "mail server "+address+": ", test.want, "")
			if !Temporary(err) {
				t.Error("not temporary")
			}
			if diff := cmp.Diff("EHLO ci.example.org\r\nSTARTTLS\r\n", commands()); diff != "" {
				t.Errorf("the server read (-want +got):\n%s", diff)
			}
		})
	}
}

// scripted starts a server that sends the replies, one per line that it reads, to its
// one client. Commands waits for the client to close the connection and returns what
// it sent.
func scripted(t *testing.T, replies ...string) (address string, commands func() string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	sent := make(chan string, 1)
	go func() {
		var lines strings.Builder
		defer func() { sent <- lines.String() }()
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for i := 0; ; i++ {
			if i < len(replies) && replies[i] != "" {
				_, _ = io.WriteString(c, replies[i]+"\r\n")
			}
			line, err := r.ReadString('\n')
			lines.WriteString(line)
			if err != nil {
				return
			}
		}
	}()
	return l.Addr().String(), func() string { return <-sent }
}

func TestCheck(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{TLS: smtptest.StartTLS, User: "bob", Password: "p", MaxSize: 10 << 20})
	server := serverFor(t, s)
	server.User, server.Password = "bob", "p"
	f, err := server.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().AddDate(1, 0, 0).UTC().Format(time.DateOnly)
	want := []string{
		"smtp+starttls://" + s.Addr + " answers, this machine greets as ci.example.org",
		"TLS 1.3, the certificate is valid until " + until,
		`logged in as "bob" (AUTH PLAIN)`,
		"accepts messages of up to 10MiB",
	}
	if diff := cmp.Diff(want, f.Describe(time.Now())); diff != "" {
		t.Error(diff)
	}
	if got := f.Describe(time.Now().AddDate(1, 0, -3))[1]; got != "TLS 1.3, the certificate expires SOON, on "+until {
		t.Error(got)
	}
	plain := serverFor(t, smtptest.Start(t, smtptest.Options{}))
	if f, err = plain.Check(t.Context()); err != nil || f.Describe(time.Now())[1] != "not encrypted: the server does not offer STARTTLS" {
		t.Errorf("%v %v", err, f)
	}
	if len(s.Messages()) != 0 {
		t.Error("Check sent a message")
	}
	server.Password = "wrong"
	if _, err = server.Check(t.Context()); err == nil || Temporary(err) {
		t.Errorf("%v", err)
	}
}

func TestHintForPort465(t *testing.T) {
	silent := &boundError{"no answer within 30s", os.ErrDeadlineExceeded}
	for s, want := range map[Server]string{
		{Security: Opportunistic, Port: "465"}: "write smtps:// in mail.server: port 465 speaks TLS from the first byte",
		{Security: ImplicitTLS, Port: "465"}:   "",
		{Security: Opportunistic, Port: "25"}:  "",
	} {
		if got := s.explain("read its greeting", silent).Hint(); got != want {
			t.Errorf("%v: %q", s, got)
		}
	}
}
