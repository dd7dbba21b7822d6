// Package mail writes a report as a message, delivers it to one mail server, and
// keeps in a spool what could not be delivered yet.
//
// Nothing that a message is made of can add a header, a part or a recipient; no
// call hangs on a server that does not answer (see Server for the bounds); and what
// was accepted for a recipient is not sent to that recipient again, with one
// exception that SMTP leaves open: when the connection breaks after the whole
// message was written and before the answer arrived, the message is sent again
// under the same Message-ID, by which a reader's program can tell.
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
	Date    time.Time // of the Date field, in its own zone
	From    string    // one RFC 5322 address
	To      []string  // RFC 5322 addresses; one that occurs twice counts once
	Subject string    // as text; on one line and at most 200 characters in the message
	Text    string    // as text, with line ends of any kind
	HTML    string    // a whole page; empty: the message has no HTML part

	// References are the Message-IDs of what this message goes on with, the oldest
	// first; it answers the last one. Those that are not valid are left out.
	References []string
	// ListName names the list of messages, by which a reader's program can sort them;
	// empty: they are none. The list is one of From's domain.
	ListName string
}

// Envelope is a composed message and where it is to go: what is delivered and spooled.
type Envelope struct {
	ID   string   // the Message-ID, with its angle brackets
	From string   // a bare address
	To   []string // bare addresses, at least one, all different
	Data []byte   // header and body: ASCII, lines of at most 998 octets that end in CRLF
}

// Compose returns the message ready for delivery. It fails only when an address or
// the ID is not valid, or a field that must be there is missing; all other content
// is cleaned instead: no control characters but tab and line end, valid UTF-8.
func (m Message) Compose() (Envelope, error) {
	from, to, err := m.addresses()
	if err != nil {
		return Envelope{}, fmt.Errorf("compose a mail: %w", err)
	}
	if m.Date.IsZero() {
		return Envelope{}, errors.New("compose a mail: it has no date")
	}
	id := m.ID
	if id == "" {
		id = NewID(from.Address[strings.LastIndexByte(from.Address, '@')+1:], m.Date)
	}
	if !validID(id) {
		return Envelope{}, fmt.Errorf("compose a mail: %q is no Message-ID", id)
	}
	body, err := compose(cleanText(m.Text), cleanText(m.HTML))
	if err != nil {
		return Envelope{}, fmt.Errorf("compose a mail: %w", err)
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
	h.field("Auto-Submitted", "auto-generated") // RFC 3834: no vacation answers, please
	h.field("MIME-Version", "1.0")
	for _, field := range []string{"Content-Type", "Content-Transfer-Encoding"} {
		if value := body.header.Get(field); value != "" {
			h.field(field, strings.Fields(value)...)
		}
	}
	h.WriteString("\r\n")
	h.Write(body.content)
	e := Envelope{ID: id, From: from.Address, Data: h.Bytes()}
	for _, a := range to {
		e.To = append(e.To, a.Address)
	}
	return e, nil
}

// Bytes is the message alone, as Compose writes it.
func (m Message) Bytes() ([]byte, error) {
	e, err := m.Compose()
	return e.Data, err
}

// Only is e for some of its recipients: its header still names all.
func (e Envelope) Only(to []string) Envelope {
	e.To = to
	return e
}

// check says whether e can be sent: an Envelope from a spool may be anything.
func (e Envelope) check() error {
	if len(e.To) == 0 {
		return errors.New("the message has no recipient")
	}
	if !validID(e.ID) {
		return fmt.Errorf("%q is no Message-ID", e.ID)
	}
	for _, address := range append([]string{e.From}, e.To...) {
		if err := wireAddress(address); err != nil {
			return err
		}
	}
	return nil
}

// NewID is a Message-ID that no other message has: <RANDOM.TIME@HOST>. A host that
// cannot stand there is replaced by localhost.
func NewID(host string, now time.Time) string {
	if !hostName(host) && !addressLiteral(host) {
		host = "localhost"
	}
	return "<" + rand.Text() + "." + now.UTC().Format("20060102150405") + "@" + host + ">"
}

// validID says whether id is a Message-ID without what RFC 5322 calls obsolete.
func validID(id string) bool {
	inner, opened := strings.CutPrefix(id, "<")
	inner, closed := strings.CutSuffix(inner, ">")
	left, right, found := strings.Cut(inner, "@")
	return opened && closed && found && len(id) <= maxAddress && dotAtom(left) &&
		(dotAtom(right) || addressLiteral(right))
}

func dotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return r > '~' || !atext(byte(r)) }) {
			return false
		}
	}
	return true
}

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
		return from, nil, errors.New("it has no recipient")
	}
	return from, to, nil
}

// addressWords are the words of an address field.
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

// body is a message's content and the fields that describe it.
type body struct {
	header  netmail.Header
	content []byte
}

// compose makes the body: quoted-printable UTF-8, two alternatives when there are
// two. Of the header that the library writes only what describes the body is used:
// it neither folds the others nor keeps a line end out of them.
func compose(text, html string) (body, error) {
	e := email.NewEmail()
	e.Text, e.HTML = []byte(text), []byte(html)
	raw, err := e.Bytes()
	if err != nil {
		return body{}, err
	}
	parsed, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return body{}, err
	}
	_, content, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	return body{header: parsed.Header, content: content}, nil
}

// cleanText is s with lines that end in LF, valid UTF-8, without terminal escapes
// or other control characters than the tab.
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
