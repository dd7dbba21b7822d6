// Package mail composes a message, delivers it to a mail server, and spools it when
// that fails.
//
// No content of a message can add a header, a part or a recipient. No call hangs on a
// server that does not answer: Server has the bounds. A message that was accepted for
// a recipient is not sent to that recipient again, with one exception, which SMTP
// leaves open: when the connection breaks between the end of the message and the
// reply, the message is sent again under the same Message-ID, so that mail programs
// can recognize the duplicate.
package mail

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	netmail "net/mail"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/jordan-wright/email"
)

// Message is a mail before it is composed.
type Message struct {
	ID      string    // the Message-ID, with its angle brackets; empty: made from Date and From's domain
	Date    time.Time // for the Date field, in its own zone
	From    string    // one RFC 5322 address
	To      []string  // RFC 5322 addresses; duplicates count once
	Subject string    // plain text; the message has at most 200 characters of it, on one line
	Text    string    // plain text, with line ends of any kind
	HTML    string    // a whole page; empty: the message has no HTML part

	// References are the Message-IDs of the earlier messages of the thread, oldest
	// first. The message replies to the last one. Invalid ones are left out.
	References []string
	// ListName is the name of a list in From's domain, by which mail programs can sort
	// messages; empty: no list.
	ListName string
}

// Envelope is a composed message with its sender and recipients, ready to be delivered
// or spooled.
type Envelope struct {
	ID   string   // the Message-ID, with its angle brackets
	From string   // a bare address
	To   []string // bare addresses, at least one, all different
	Data []byte   // header and body: ASCII, lines of at most 998 octets that end in CRLF
}

// Compose returns the message ready for delivery. It fails only when an address or the
// ID is invalid, or a required field is missing. It cleans all other content: valid
// UTF-8, and no control characters but tab and line end.
func (m Message) Compose() (Envelope, error) {
	from, to, err := m.addresses()
	if err != nil {
		return Envelope{}, fmt.Errorf("compose mail: %w", err)
	}
	if m.Date.IsZero() {
		return Envelope{}, errors.New("compose mail: no date")
	}
	id := m.ID
	if id == "" {
		id = NewID(domainOf(from.Address), m.Date)
	}
	if !isMessageID(id) {
		return Envelope{}, fmt.Errorf("compose mail: invalid Message-ID %q", id)
	}
	described, body, err := compose(cleanText(m.Text), cleanText(m.HTML))
	if err != nil {
		return Envelope{}, fmt.Errorf("compose mail: %w", err)
	}
	var h header
	h.field("Date", m.Date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	h.field("From", addressWords([]netmail.Address{from})...)
	h.field("To", addressWords(to)...)
	h.field("Subject", textWords(headerText(m.Subject, maxSubject))...)
	h.field("Message-ID", id)
	if references := m.references(); len(references) > 0 {
		h.field("In-Reply-To", references[len(references)-1])
		h.field("References", references...)
	}
	if list := listWords(m.ListName, from.Address); list != nil {
		h.field("List-Id", list...)
	}
	h.field("Auto-Submitted", "auto-generated") // RFC 3834: prevents vacation replies
	h.field("MIME-Version", "1.0")
	for _, field := range []string{"Content-Type", "Content-Transfer-Encoding"} {
		if value := described.Get(field); value != "" {
			h.field(field, strings.Fields(value)...)
		}
	}
	h.WriteString("\r\n")
	h.Write(body)
	e := Envelope{ID: id, From: from.Address, Data: h.Bytes()}
	for _, a := range to {
		e.To = append(e.To, a.Address)
	}
	return e, nil
}

// Only returns e for some of its recipients; the header still names all.
func (e Envelope) Only(to []string) Envelope {
	e.To = to
	return e
}

// check returns an error when e cannot be sent: an Envelope from a spool may be anything.
func (e Envelope) check() error {
	if len(e.To) == 0 {
		return errors.New("no recipient")
	}
	if !isMessageID(e.ID) {
		return fmt.Errorf("invalid Message-ID %q", e.ID)
	}
	for _, address := range append([]string{e.From}, e.To...) {
		if err := checkWireAddress(address); err != nil {
			return err
		}
	}
	return nil
}

// readHeader checks e and returns the header of its message.
func (e Envelope) readHeader() (netmail.Header, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	message, err := netmail.ReadMessage(bytes.NewReader(e.Data))
	if err != nil {
		return nil, withoutPrefix(err)
	}
	return message.Header, nil
}

// NewID returns a unique Message-ID: <RANDOM.TIME@HOST>. An invalid host is replaced by
// localhost.
func NewID(host string, now time.Time) string {
	if !isHostName(host) && !isAddressLiteral(host) {
		host = "localhost"
	}
	return "<" + rand.Text() + "." + now.UTC().Format("20060102150405") + "@" + host + ">"
}

// isMessageID reports whether id is a Message-ID without RFC 5322's obsolete syntax.
func isMessageID(id string) bool {
	inner, opened := strings.CutPrefix(id, "<")
	inner, closed := strings.CutSuffix(inner, ">")
	left, right, found := strings.Cut(inner, "@")
	return opened && closed && found && len(id) <= maxAddress && isDotAtom(left) &&
		(isDotAtom(right) || isAddressLiteral(right))
}

// addresses parses the sender and the recipients, and drops duplicates.
func (m Message) addresses() (from netmail.Address, to []netmail.Address, err error) {
	from, err = parseAddress(m.From)
	if err != nil {
		return from, nil, fmt.Errorf("sender: %w", err)
	}
	for _, s := range m.To {
		a, err := parseAddress(s)
		if err != nil {
			return from, nil, fmt.Errorf("recipient: %w", err)
		}
		if !slices.ContainsFunc(to, func(b netmail.Address) bool { return a.Address == b.Address }) {
			to = append(to, a)
		}
	}
	if len(to) == 0 {
		return from, nil, errors.New("no recipient")
	}
	return from, to, nil
}

// addressWords returns the words of an address field.
func addressWords(list []netmail.Address) []string {
	var words []string
	for i, a := range list {
		address := a.Address
		if name := nameWords(a.Name); name != nil {
			words = append(words, name...)
			address = "<" + address + ">"
		}
		if i < len(list)-1 {
			address += ","
		}
		words = append(words, address)
	}
	return words
}

// compose returns the body in quoted-printable UTF-8, with two alternatives when there
// are two, and the header with the fields that describe it. The other header fields that
// the library writes must not be used: it neither folds them nor removes line ends from
// them.
func compose(text, html string) (netmail.Header, []byte, error) {
	e := email.NewEmail()
	e.Text, e.HTML = []byte(text), []byte(html)
	raw, err := e.Bytes()
	if err != nil {
		return nil, nil, err
	}
	parsed, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, err
	}
	_, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	return parsed.Header, body, nil
}

// cleanText returns s as valid UTF-8 with lines that end in LF, without terminal escapes
// and control characters other than the tab.
func cleanText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s)
}
