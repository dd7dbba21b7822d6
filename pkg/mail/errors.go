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
	"regexp"
	"strings"
	"syscall"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"runtests/pkg/hint"
	"runtests/pkg/plain"
)

// Error is a failure between this machine and a mail server.
type Error struct {
	Server string // HOST:PORT
	Op     string // what failed: connect, log in as "bob"
	Code   int    // of the server's reply; 0 when the failure is not a reply
	Err    error

	reason    string // the text of Err, or the code and the text of a reply; without control characters and password
	remedy    string
	temporary bool
}

// Error returns the server, the operation and the reason on one line.
func (e *Error) Error() string {
	return fmt.Sprintf("mail server %s: %s: %s", e.Server, e.Op, e.reason)
}

// Unwrap returns the underlying error.
func (e *Error) Unwrap() error { return e.Err }

// Hint returns the remedy, or the empty string.
func (e *Error) Hint() string { return e.remedy }

// Temporary reports whether a later attempt may succeed. Temporary are:
//   - 4xx replies: greylisting, a full disk, an AUTH server that is down;
//   - all network errors: a refused, reset or closed connection, no answer in time, a
//     name that does not resolve (no name does while the network is down);
//   - cancellation.
//
// Permanent, until somebody changes something, are: 5xx replies, among them a wrong
// password and a message over the size limit; an invalid certificate; no common TLS
// version; STARTTLS or AUTH required and not offered; a server that does not speak
// SMTP; an invalid configuration or address.
func (e *Error) Temporary() bool { return e.temporary }

// Temporary reports whether a later attempt may succeed after err, an error of this
// package: see Error.Temporary. Other errors are permanent.
func Temporary(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.temporary
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// boundError is the end of the time for a step or an attempt.
type boundError struct {
	text string
	err  error
}

func (e *boundError) Error() string { return e.text }
func (e *boundError) Unwrap() error { return e.err }

// maxReason is how many characters of a server's text an error keeps.
const maxReason = 400

// explain returns err, which occurred during op, as an Error.
func (s Server) explain(op string, err error) *Error {
	e := &Error{Server: s.Address(), Op: op, Err: err, reason: err.Error(), remedy: s.remedy(err), temporary: transient(err)}
	if code, text := replyOf(err); code != 0 {
		e.Code = code
		e.reason = fmt.Sprintf("%03d %s", code, text)
		e.temporary = code/100 == 4
		e.remedy = replyRemedies[code]
	}
	e.reason = s.safeText(e.reason)
	return e
}

// replyOf returns the code and the text of the server's reply in err; the code is 0 when
// err holds no reply.
func replyOf(err error) (code int, text string) {
	var toStartTLS *textproto.Error
	var reply *smtp.SMTPError
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

// lineCode is the enhanced status code (RFC 3463) at the beginning of a further line of a reply, which
// repeats that of the reply.
var lineCode = regexp.MustCompile(`\n[245]\.\d{1,3}\.\d{1,3}[ \t]`)

// safeText returns a server's text on one line, short, and without the password, in case the server
// repeats it. The text is cleaned first: what cleaning removes could hide a password.
func (s Server) safeText(text string) string {
	text = plain.Clean(lineCode.ReplaceAllString(text, "\n"))
	if s.Password != "" {
		_, response, _ := sasl.NewPlainClient("", s.User, s.Password).Start()
		for _, secret := range []string{base64.StdEncoding.EncodeToString(response), base64.StdEncoding.EncodeToString([]byte(s.Password)), s.Password} {
			text = plain.MaskEcho(text, secret)
		}
	}
	return headerText(text, maxReason)
}

// transient reports whether err comes from the network or from cancellation.
func transient(err error) bool {
	var dns *net.DNSError
	var errno syscall.Errno
	var bound *boundError
	return errors.As(err, &bound) || errors.As(err, &dns) || errors.As(err, &errno) || timedOut(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled)
}

// timedOut reports whether err is a deadline that has passed.
func timedOut(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// replyRemedies are for replies that mean the same on every server.
var replyRemedies = map[int]string{
	530: "set mail.user and its password: the server requires a login",
	535: "check mail.user and its password",
	552: "lower mail.max_size, unless the recipient's mailbox is full",
}

// remedy returns the remedy for err, or the empty string.
func (s Server) remedy(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unknown):
		return "set mail.ca_file to the certificate of the authority that signed the server's certificate"
	case errors.As(err, &name):
		return "write the host in mail.server as its certificate names it" + certificateNames(name.Certificate)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the mail server's certificate, or set this machine's clock"
	case errors.As(err, &record):
		return "write smtp+starttls:// or smtp:// in mail.server: the server does not start with TLS"
	case errors.As(err, &dns):
		return "check the host in mail.server, and this machine's name resolution"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "check the host and the port in mail.server: nothing listens there"
	case s.Security != ImplicitTLS && s.Port == "465" && errors.Is(err, os.ErrDeadlineExceeded):
		return "write smtps:// in mail.server: port 465 speaks TLS from the first byte"
	}
	return hint.Of(err)
}

func certificateNames(c *x509.Certificate) string {
	if c == nil || len(c.DNSNames) == 0 {
		return ""
	}
	return ": " + headerText(strings.Join(c.DNSNames, ", "), maxReason)
}
