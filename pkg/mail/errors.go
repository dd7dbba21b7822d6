package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"syscall"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Error is what went wrong between us and a mail server, told for a person.
type Error struct {
	Server string // HOST:PORT
	Op     string // what we were doing: connect, log in as "bob"
	Code   int    // of the server's reply; 0 when it is not a reply that went wrong
	Err    error

	reason    string // Err as it is told: without control characters or password
	hint      string
	temporary bool
}

// Error is the whole story on one line.
func (e *Error) Error() string {
	return fmt.Sprintf("mail server %s: %s: %s", e.Server, e.Op, e.reason)
}

// Reason is the end of the story alone: the server's words when it is a reply.
func (e *Error) Reason() string { return e.reason }

// Unwrap returns what was underneath.
func (e *Error) Unwrap() error { return e.Err }

// Hint is what to do about it, or empty.
func (e *Error) Hint() string { return e.hint }

// Temporary says whether it may go better later. What may:
//   - a reply 4xx: greylisting, a full disk, an AUTH server that is away;
//   - everything of the network: a name that does not resolve (a machine whose
//     network is down says so of every name), a refused, reset or closed
//     connection, no answer in time;
//   - being cancelled.
//
// What does not, until somebody changes something: a reply 5xx, a wrong password and
// a message over the size limit among them; a certificate that is not valid; TLS that
// cannot be agreed on; STARTTLS or AUTH required and not offered; a server that does
// not speak SMTP; a configuration or an address that is not valid.
func (e *Error) Temporary() bool { return e.temporary }

// Temporary says whether err, from this package, may go better later: see
// Error.Temporary. Errors that it knows nothing of are permanent.
func Temporary(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.temporary
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// configError is a configuration that cannot work, whatever the server does.
type configError struct{ text, hint string }

func (e *configError) Error() string { return e.text }
func (e *configError) Hint() string  { return e.hint }

// maxReason is the most that is told of an error, in characters: a server may say a lot.
const maxReason = 400

// explain makes an Error of what happened during op.
func (s Server) explain(op string, err error) *Error {
	e := &Error{Server: s.Address(), Op: op, Err: err, reason: err.Error(), temporary: transient(err), hint: s.hint(err)}
	if code, text := replyOf(err); code != 0 {
		e.Code = code
		e.reason = fmt.Sprintf("%03d %s", code, text)
		e.temporary = code/100 == 4
		e.hint = replyHints[code]
	}
	e.reason = headerText(s.redact(e.reason), maxReason)
	return e
}

// replyOf returns the code and the text of the reply that err stands for; the code is 0
// when err is no reply.
func replyOf(err error) (code int, text string) {
	var reply *smtp.SMTPError
	var toStartTLS *textproto.Error
	switch {
	case errors.As(err, &toStartTLS):
		return toStartTLS.Code, toStartTLS.Msg
	case !errors.As(err, &reply):
		return 0, ""
	case reply.EnhancedCode == smtp.EnhancedCodeNotSet:
		return reply.Code, reply.Message
	}
	e := reply.EnhancedCode
	return reply.Code, fmt.Sprintf("%d.%d.%d %s", e[0], e[1], e[2], reply.Message)
}

// replyHints are the remedies for replies that mean one thing everywhere.
var replyHints = map[int]string{
	530: "the server wants a login: set mail.user and its password",
	535: "check mail.user and its password",
	552: "set mail.max_size lower if it is the message that is too big, not the mailbox that is full",
}

// redact takes the password out of text, should a server repeat it to us.
func (s Server) redact(text string) string {
	if s.Password == "" {
		return text
	}
	_, plain, _ := sasl.NewPlainClient("", s.User, s.Password).Start()
	encode := base64.StdEncoding.EncodeToString
	for _, secret := range []string{encode(plain), encode([]byte(s.Password)), s.Password} {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}

// transient says whether err comes from the network or from being cancelled.
func transient(err error) bool {
	var dns *net.DNSError
	var errno syscall.Errno
	var bound *boundError
	switch {
	case errors.As(err, &bound), errors.As(err, &dns), errors.As(err, &errno):
		return true
	}
	return timedOut(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled)
}

// timedOut reports whether err is a deadline that passed.
func timedOut(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// hint is the remedy for err, where there is one.
func (s Server) hint(err error) string {
	var config *configError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	switch {
	case errors.As(err, &config):
		return config.hint
	case errors.As(err, &unknown):
		return "set mail.ca_file to the certificate of the authority that signed the server's"
	case errors.As(err, &name):
		return "name the server in mail.server as its certificate does" + certificateNames(name.Certificate)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the mail server's certificate, or set this machine's clock"
	case errors.As(err, &record):
		return "the server does not start with TLS: write smtp+starttls:// or smtp:// in mail.server"
	case errors.As(err, &dns):
		return "check the host in mail.server, and this machine's name service"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "check the host and the port in mail.server: nothing listens there"
	case s.Security != ImplicitTLS && s.Port == "465" && errors.Is(err, os.ErrDeadlineExceeded):
		return "port 465 speaks TLS from the start: write smtps:// in mail.server"
	}
	return ""
}

func certificateNames(c *x509.Certificate) string {
	if c == nil || len(c.DNSNames) == 0 {
		return ""
	}
	return ": " + headerText(strings.Join(c.DNSNames, ", "), maxReason)
}

// boundError says which bound was reached.
type boundError struct {
	text string
	err  error
}

func (e *boundError) Error() string { return e.text }
func (e *boundError) Unwrap() error { return e.err }
