package mail

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/docker/go-units"
)

// Facts is what Check has learned about a server.
type Facts struct {
	Server    string    // its URL
	Hello     string    // this machine's name in EHLO
	TLS       string    // such as TLS 1.3; empty: the connection is not encrypted
	Expires   time.Time // when its certificate does
	Mechanism string    // of the AUTH that succeeded; empty: no user is configured
	User      string
	MaxSize   int // of a message, in bytes; 0: the server does not say
}

// Check takes every step that precedes a message (connection, EHLO, TLS, AUTH), then
// sends NOOP to confirm that the server still answers.
func (s Server) Check(ctx context.Context) (Facts, error) {
	x, err := s.open(ctx)
	if err != nil {
		return Facts{}, err
	}
	defer x.close()
	f := Facts{Server: s.String(), Hello: x.name, Mechanism: x.mechanism, User: s.User}
	f.MaxSize, _ = x.client.MaxMessageSize()
	if x.encrypted != nil {
		state := x.encrypted.ConnectionState()
		f.TLS = tls.VersionName(state.Version)
		f.Expires = state.PeerCertificates[0].NotAfter
	}
	return f, x.do("send NOOP", x.client.Noop)
}

// expiresSoon is how long before a certificate expires Describe warns of it.
const expiresSoon = 14 * 24 * time.Hour

// Describe returns the facts as text, one sentence each.
func (f Facts) Describe(now time.Time) []string {
	lines := []string{fmt.Sprintf("%s answers, this machine greets as %s", f.Server, f.Hello)}
	switch left := f.Expires.Sub(now); {
	case f.TLS == "":
		lines = append(lines, "not encrypted: the server does not offer STARTTLS")
	case left < expiresSoon:
		lines = append(lines, fmt.Sprintf("%s, the certificate expires SOON, on %s", f.TLS, f.Expires.Format(time.DateOnly)))
	default:
		lines = append(lines, fmt.Sprintf("%s, the certificate is valid until %s", f.TLS, f.Expires.Format(time.DateOnly)))
	}
	if f.Mechanism != "" {
		lines = append(lines, fmt.Sprintf("logged in as %q (AUTH %s)", f.User, f.Mechanism))
	}
	if f.MaxSize > 0 {
		lines = append(lines, "accepts messages of up to "+units.BytesSize(float64(f.MaxSize)))
	}
	return lines
}
