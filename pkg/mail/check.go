package mail

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/docker/go-units"
)

// Facts is what a server says of itself up to the point where a message would follow.
type Facts struct {
	Server    string    // its URL
	Hello     string    // what we called ourselves
	TLS       string    // TLS 1.3; empty: the connection is not encrypted
	Expires   time.Time // of its certificate
	Mechanism string    // of the AUTH that succeeded; empty: no user is configured
	User      string
	MaxSize   int // of a message, in bytes; 0: the server does not say
}

// Check does all that comes before a message (connection, EHLO, TLS, AUTH, and a
// NOOP to see that the server still listens) and says what it found.
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

// expiresSoon is how long before the end of a certificate Words says so aloud.
const expiresSoon = 14 * 24 * time.Hour

// Words are the facts in words, one line each.
func (f Facts) Words(now time.Time) []string {
	words := []string{fmt.Sprintf("%s answers, we are %s", f.Server, f.Hello)}
	switch left := f.Expires.Sub(now); {
	case f.TLS == "":
		words = append(words, "not encrypted: the server offers no STARTTLS")
	case left < expiresSoon:
		words = append(words, fmt.Sprintf("%s, its certificate expires SOON: on %s", f.TLS, f.Expires.Format(time.DateOnly)))
	default:
		words = append(words, fmt.Sprintf("%s, its certificate is valid until %s", f.TLS, f.Expires.Format(time.DateOnly)))
	}
	if f.Mechanism != "" {
		words = append(words, fmt.Sprintf("logged in as %q (AUTH %s)", f.User, f.Mechanism))
	}
	if f.MaxSize > 0 {
		words = append(words, "takes messages of up to "+units.BytesSize(float64(f.MaxSize)))
	}
	return words
}
