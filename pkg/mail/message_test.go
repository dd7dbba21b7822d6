package mail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

var morning = time.Date(2026, 11, 22, 3, 0, 4, 0, time.FixedZone("CET", 3600))

func report() Message {
	return Message{
		ID:      "<abc.20261122020004@ci.example.org>",
		Date:    morning,
		From:    "runtests@ci.example.org",
		To:      []string{"team@example.org"},
		Subject: "4 success, 2 failures",
		Text:    "ecs on ci-slave\n\nfailed   ecs@ubuntu\n.\n| make: *** [été] Error 2\t \n",
		HTML:    "<!DOCTYPE html>\n<p>ecs — 4 success</p>\n",
	}
}

// parsed is a message as a mail program sees it.
type parsed struct {
	Fields  []string    `json:"fields"`
	Defects []string    `json:"defects"`
	Subject string      `json:"subject"`
	ID      string      `json:"id"`
	Date    string      `json:"date"`
	To      [][2]string `json:"to"`
	From    [][2]string `json:"from"`
	Parts   [][2]string `json:"parts"`
}

// wanted returns the message that a mail program must see for m.
func wanted(m Message) parsed {
	p := parsed{
		Fields:  []string{"auto-submitted", "content-type", "date", "from", "message-id", "mime-version", "subject", "to"},
		Defects: []string{},
		Subject: headerText(m.Subject, maxSubject),
		ID:      m.ID,
		Date:    m.Date.Format("2006-01-02T15:04:05-07:00"),
		Parts:   [][2]string{{"text/plain", cleanText(m.Text)}},
	}
	if cleanText(m.HTML) != "" {
		p.Parts = append(p.Parts, [2]string{"text/html", cleanText(m.HTML)})
	}
	if cleanText(m.Text) == "" && len(p.Parts) == 2 {
		p.Parts = p.Parts[1:]
	}
	if len(p.Parts) == 1 {
		p.Fields = slices.Insert(p.Fields, 1, "content-transfer-encoding")
	}
	for _, s := range m.To {
		a, _ := parseAddress(s)
		p.To = append(p.To, [2]string{a.Name, a.Address})
	}
	a, _ := parseAddress(m.From)
	p.From = [][2]string{{a.Name, a.Address}}
	return p
}

// composed returns the message without its envelope.
func composed(m Message) ([]byte, error) {
	e, err := m.Compose()
	return e.Data, err
}

// readByGo parses a message with Go's packages.
func readByGo(t *testing.T, data []byte) parsed {
	t.Helper()
	message, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	p := parsed{Defects: []string{}, ID: message.Header.Get("Message-ID")}
	for field, values := range message.Header {
		for range values {
			p.Fields = append(p.Fields, strings.ToLower(field))
		}
	}
	slices.Sort(p.Fields)
	if p.Subject, err = new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	date, err := message.Header.Date()
	if err != nil {
		t.Fatal(err)
	}
	p.Date = date.Format("2006-01-02T15:04:05-07:00")
	p.To, p.From = addressList(t, message.Header, "To"), addressList(t, message.Header, "From")
	kind, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "multipart/alternative" {
		content := readAll(t, quotedprintable.NewReader(message.Body))
		p.Parts = append(p.Parts, [2]string{kind, content})
		return p
	}
	for reader := multipart.NewReader(message.Body, params["boundary"]); ; {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return p
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		p.Parts = append(p.Parts, [2]string{kind, readAll(t, part)})
	}
}

func addressList(t *testing.T, h netmail.Header, field string) [][2]string {
	t.Helper()
	list, err := h.AddressList(field)
	if err != nil {
		t.Fatalf("%s: %v", field, err)
	}
	var pairs [][2]string
	for _, a := range list {
		pairs = append(pairs, [2]string{a.Name, a.Address})
	}
	return pairs
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(content), "\r\n", "\n")
}

// readByPython parses a message with Python's email package, as a second opinion.
func readByPython(t *testing.T, data []byte) parsed {
	t.Helper()
	cmd := exec.Command("python3", "testdata/parse.py")
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("parse the message with python3 (Debian's package python3): %v", err)
	}
	var p parsed
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// checkWire checks the form of a message: servers refuse or misread any other.
func checkWire(t *testing.T, data []byte) {
	t.Helper()
	if !bytes.HasSuffix(data, []byte("\r\n")) && bytes.Contains(data, []byte("multipart/")) {
		t.Error("the message does not end with a line end")
	}
	rest := strings.ReplaceAll(string(data), "\r\n", "")
	if strings.ContainsAny(rest, "\r\n") {
		t.Error("a CR or LF by itself")
	}
	if i := strings.IndexFunc(rest, func(r rune) bool { return r > '~' || r < ' ' && r != '\t' }); i >= 0 {
		t.Errorf("not printable ASCII: %q", rest[i])
	}
	for line := range strings.SplitSeq(string(data), "\r\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
}

func TestMessageParses(t *testing.T) {
	many := report()
	for i := range 60 {
		many.To = append(many.To, fmt.Sprintf(`"Doe, Jane %d" <jane.doe.%d@a-rather-long-name.example.org>`, i, i))
	}
	plain := report()
	plain.HTML = ""
	hard := report()
	hard.From = `Équipe "CI" <runtests@ci.example.org>`
	hard.To = []string{`"Doe, \"J\" \\ <x>" <jane@example.org>`, "Zoë <zoe@bücher.example>", "bob@[192.0.2.1]"}
	hard.Subject = "échec: " + strings.Repeat("日本語🙂 ", 30)
	hard.Text = "From here on\r\n..\r\n.\rbare CR\nlong " + strings.Repeat("é=", 2000) + " \t"
	forged := report()
	forged.Subject = "=?utf-8?q?forged=0D=0ABcc:_x@example.org?= \r\nBcc: eve@example.org\r\n\r\nbody"
	forged.Text = "--boundary\r\nContent-Type: text/html\r\n\r\n<b>\x00\x1b[31mred\xff"
	for name, m := range map[string]Message{"report": report(), "many recipients": many, "text alone": plain, "hard": hard, "forged": forged} {
		t.Run(name, func(t *testing.T) {
			data, err := composed(m)
			if err != nil {
				t.Fatal(err)
			}
			checkWire(t, data)
			if diff := cmp.Diff(wanted(m), readByGo(t, data)); diff != "" {
				t.Errorf("Go sees (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(wanted(m), readByPython(t, data)); diff != "" {
				t.Errorf("Python sees (-want +got):\n%s\n%s", diff, data)
			}
		})
	}
}

func TestHeaderLinesAreFolded(t *testing.T) {
	m := report()
	m.Subject = strings.Repeat("success ", 24)
	for range 40 {
		m.To = append(m.To, fmt.Sprintf("someone-%d@example.org", len(m.To)))
	}
	data, err := composed(m)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(data), "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		if len(line) > 78 {
			t.Errorf("%d octets: %s", len(line), line)
		}
	}
}

func TestComposeRefuses(t *testing.T) {
	for name, change := range map[string]func(*Message){
		"no recipient":                   func(m *Message) { m.To = nil },
		"no date":                        func(m *Message) { m.Date = time.Time{} },
		"header in the sender":           func(m *Message) { m.From = "a@example.org\r\nBcc: eve@example.org" },
		"header in a recipient":          func(m *Message) { m.To[0] = "a@example.org\nBcc: eve@example.org" },
		"two in one":                     func(m *Message) { m.To[0] = "a@example.org, b@example.org" },
		"no domain":                      func(m *Message) { m.To[0] = "root" },
		"quoted local part":              func(m *Message) { m.To[0] = `"a b"@example.org` },
		"quoted line end":                func(m *Message) { m.To[0] = "\"a\\\r\n b\"@example.org" },
		"non-ASCII local part":           func(m *Message) { m.To[0] = "zoë@example.org" },
		"local part too long":            func(m *Message) { m.To[0] = strings.Repeat("a", 65) + "@example.org" },
		"domain is not a name":           func(m *Message) { m.To[0] = "a@exa_mple..org" },
		"literal is not an address":      func(m *Message) { m.To[0] = "a@[300.1.1.1]" },
		"literal of IPv6 without a mark": func(m *Message) { m.To[0] = "a@[::1]" },
		"header in the ID":               func(m *Message) { m.ID = "<a@b>\r\nBcc: eve@example.org" },
		"ID without brackets":            func(m *Message) { m.ID = "a@b" },
	} {
		t.Run(name, func(t *testing.T) {
			m := report()
			change(&m)
			if data, err := composed(m); err == nil {
				t.Errorf("composed:\n%s", data)
			} else if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("error on two lines: %q", err)
			}
		})
	}
}

func TestSubjectIsCapped(t *testing.T) {
	m := report()
	m.Subject = strings.Repeat("é", 5000)
	data, err := composed(m)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := readByGo(t, data).Subject, strings.Repeat("é", 199)+"…"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestNewID(t *testing.T) {
	for host, want := range map[string]string{"ci.example.org": "@ci.example.org>", "a b\r\n": "@localhost>", "[IPv6:::1]": "@[IPv6:::1]>"} {
		id := NewID(host, morning)
		if !isMessageID(id) || !strings.HasSuffix(id, ".20261122020004"+want) {
			t.Errorf("NewID(%q) = %q", host, id)
		}
		if id == NewID(host, morning) {
			t.Errorf("not unique: %q", id)
		}
	}
	m := report()
	m.ID = ""
	e, err := m.Compose()
	if err != nil || !strings.HasSuffix(e.ID, "@ci.example.org>") || readByGo(t, e.Data).ID != e.ID {
		t.Errorf("%v %q", err, e.ID)
	}
}

func TestDuplicateRecipientsCountOnce(t *testing.T) {
	m := report()
	m.To = []string{"jane@example.org", "Jane <jane@EXAMPLE.org>", "bob@example.org"}
	e, err := m.Compose()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"jane@example.org", "bob@example.org"}, e.To); diff != "" {
		t.Error(diff)
	}
}

// FuzzMessage checks that a message of any content parses to that content, without an
// additional field, recipient or part.
func FuzzMessage(f *testing.F) {
	f.Add("4 success, 2 failures", "Jane", "jane@example.org", "text\n", "<p>html</p>")
	f.Add("=?utf-8?q?a?=\r\nBcc: x@y.z", "Doe, J\r\nBcc: x@y.z", "zoe@bücher.example", "\r\n.\r\n", "")
	f.Add("\u202e\u2028é", `a\"`, "a@[127.0.0.1]", "--\x00\x1b\xff", "a\rb")
	f.Add("a  b", "=?utf-8?q?=0D=0A?=", "a+b@example.org", "", "x")
	f.Fuzz(func(t *testing.T, subject, name, address, text, html string) {
		m := report()
		m.Subject, m.Text, m.HTML = subject, text, html
		m.To = []string{(&netmail.Address{Name: name, Address: "jane@example.org"}).String(), address}
		m.From = name + " <ci@example.org>"
		if _, err := parseAddress(m.From); err != nil {
			m.From = "ci@example.org"
		}
		if _, err := parseAddress(m.To[0]); err != nil {
			m.To = m.To[1:]
		}
		e, err := m.Compose()
		if err != nil {
			if _, refused := parseAddress(address); refused == nil {
				t.Fatal(err)
			}
			return
		}
		checkWire(t, e.Data)
		want := wanted(m)
		if len(e.To) < len(want.To) {
			return // a duplicate
		}
		if diff := cmp.Diff(want, readByGo(t, e.Data)); diff != "" {
			t.Errorf("(-want +got):\n%s\n%s", diff, e.Data)
		}
		if strings.ContainsFunc(want.Subject+want.To[0][0], unicode.IsControl) {
			t.Errorf("a control character in %q", want)
		}
		if err := e.check(); err != nil {
			t.Error(err)
		}
	})
}
