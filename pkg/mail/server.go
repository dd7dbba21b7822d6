package mail

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// Security is how a connection to a mail server is encrypted. Whenever it is, by
// TLS 1.2 or later, the server's certificate and name are verified.
type Security string

// The securities, by the scheme that stands for them in a server's URL.
const (
	Opportunistic Security = "smtp"          // STARTTLS when the server offers it
	StartTLS      Security = "smtp+starttls" // STARTTLS, or no mail
	ImplicitTLS   Security = "smtps"         // TLS from the first byte
)

// Server is a mail server, and how to deliver to it. Its bounds: no step (the
// connection, one command and its answer) takes longer than its own, one attempt to
// deliver, the data included, no longer than Timeout, and no more than 1 MiB is read
// from the server in one attempt.
type Server struct {
	Security Security
	Host     string // a name or an address
	Port     string

	User      string // for AUTH PLAIN or LOGIN; empty: no AUTH
	Password  string // never printed, nor in an error
	PlainAuth bool   // the password may travel unencrypted, to whatever host: loopback is no exception without it

	CAFile string // PEM, in place of the system's authorities; empty: those
	Hello  string // for EHLO; empty: this machine's full name, or its address when it has none

	DialTimeout    time.Duration // default 15s
	CommandTimeout time.Duration // default 30s
	Timeout        time.Duration // of one whole attempt, default 1m
}

// ParseServer reads a server's URL in full, as the suite has it once it is checked:
// smtp://, smtp+starttls:// or smtps://, HOST:PORT. Its errors do not repeat the URL:
// somebody may have put a password there.
func ParseServer(s string) (Server, error) {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Hostname() == "" || u.Port() == "" {
		return Server{}, errors.New("read the mail server's URL: not of the form SCHEME://HOST:PORT")
	}
	switch security := Security(u.Scheme); security {
	case Opportunistic, StartTLS, ImplicitTLS:
		return Server{Security: security, Host: u.Hostname(), Port: u.Port()}, nil
	}
	return Server{}, fmt.Errorf("read the mail server's URL: unknown scheme %q", u.Scheme)
}

// Address is HOST:PORT.
func (s Server) Address() string { return net.JoinHostPort(s.Host, s.Port) }

// String is the server's URL. It keeps the password out of what fmt prints.
func (s Server) String() string { return string(s.Security) + "://" + s.Address() }

// GoString is String.
func (s Server) GoString() string { return s.String() }

func (s Server) dialTimeout() time.Duration    { return orDefault(s.DialTimeout, 15*time.Second) }
func (s Server) commandTimeout() time.Duration { return orDefault(s.CommandTimeout, 30*time.Second) }
func (s Server) timeout() time.Duration        { return orDefault(s.Timeout, time.Minute) }

func orDefault(d, def time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return def
}
