package mail

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// Security is how a connection to a mail server is encrypted. An encrypted connection
// uses TLS 1.2 or later, and the server's certificate and name are verified.
type Security string

// The securities, each by its scheme in a server's URL.
const (
	Opportunistic Security = "smtp"          // STARTTLS when the server offers it
	StartTLS      Security = "smtp+starttls" // STARTTLS, or the delivery fails
	ImplicitTLS   Security = "smtps"         // TLS from the first byte
)

// Server is a mail server, and how to deliver to it. Each step (the connection; one
// command and its reply) has a bound of its own. One attempt to deliver, data
// included, takes at most Timeout and reads at most 1 MiB from the server.
type Server struct {
	Security Security
	Host     string // a name or an address
	Port     string

	User      string // for AUTH PLAIN or LOGIN; empty: no AUTH
	Password  string // never printed, and in no error
	PlainAuth bool   // the password may be sent unencrypted; without it, not even to loopback

	CAFile string // PEM, in place of the system's authorities; empty: the system's
	Hello  string // for EHLO; empty: this machine's full name, or its address when it has none

	DialTimeout    time.Duration // default 15s
	CommandTimeout time.Duration // default 30s
	Timeout        time.Duration // of one whole attempt, default 1m
}

// ParseServer parses a server's full URL: smtp://, smtp+starttls:// or smtps://, then
// HOST:PORT. Its errors do not repeat the URL, which may contain a password.
func ParseServer(s string) (Server, error) {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Hostname() == "" || u.Port() == "" {
		return Server{}, errors.New("parse mail server URL: not of the form SCHEME://HOST:PORT")
	}
	switch security := Security(u.Scheme); security {
	case Opportunistic, StartTLS, ImplicitTLS:
		return Server{Security: security, Host: u.Hostname(), Port: u.Port()}, nil
	}
	return Server{}, fmt.Errorf("parse mail server URL: unknown scheme %q", u.Scheme)
}

// Address returns HOST:PORT.
func (s Server) Address() string { return net.JoinHostPort(s.Host, s.Port) }

// String returns the server's URL. It keeps the password out of what fmt prints.
func (s Server) String() string { return string(s.Security) + "://" + s.Address() }

// GoString returns the same as String.
func (s Server) GoString() string { return s.String() }

func (s Server) dialTimeout() time.Duration    { return cmp.Or(s.DialTimeout, 15*time.Second) }
func (s Server) commandTimeout() time.Duration { return cmp.Or(s.CommandTimeout, 30*time.Second) }
func (s Server) timeout() time.Duration        { return cmp.Or(s.Timeout, time.Minute) }
