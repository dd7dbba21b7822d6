package mail

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"time"

	"runtests/pkg/hint"
)

// startTLS encrypts the connection by STARTTLS, as the server's Security asks, and
// greets again. It does not use smtp.NewClientStartTLS, which greets as "localhost"
// first and cannot go on unencrypted when the server does not offer STARTTLS.
func (x *session) startTLS() error {
	offered, _ := x.client.Extension("STARTTLS")
	switch security := x.server.Security; {
	case security == ImplicitTLS || security == Opportunistic && !offered:
		return nil
	case !offered:
		return x.server.explain("start TLS", hint.Errorf(
			"write smtps:// in mail.server if the server speaks TLS from the first byte",
			"the server does not offer STARTTLS"))
	}
	if err := x.encrypt(); err != nil {
		return err
	}
	// An smtp.Client waits for a greeting, which the server sent before STARTTLS.
	x.conn = greetedConn{x.conn, io.MultiReader(strings.NewReader("220 TLS\r\n"), x.conn)}
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
		return nil, errors.New("read mail.ca_file: " + err.Error()) // not wrapped: it is no fault of the network, but permanent
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("read mail.ca_file: no certificate in " + s.CAFile)
	}
	return config, nil
}

// greetedConn is a connection whose first bytes are a greeting of its own.
type greetedConn struct {
	net.Conn
	r io.Reader
}

func (c greetedConn) Read(p []byte) (int, error) { return c.r.Read(p) }
