package mail

import (
	"bytes"
	"fmt"
	netmail "net/mail"
	"strings"
	"testing"
	"time"
)

// headerOf composes a message and parses its header.
func headerOf(t *testing.T, m Message) netmail.Header {
	t.Helper()
	m.Date = time.Date(2026, 11, 22, 3, 41, 16, 0, time.UTC)
	if m.From == "" {
		m.From = "runtests@ci.example.org"
	}
	m.To = []string{"team@example.org"}
	data, err := composed(m)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if len(line) > 1000 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
	message, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return message.Header
}

func TestThread(t *testing.T) {
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprintf("<%d@example.org>", i))
	}
	for _, test := range []struct {
		name           string
		references     []string
		inReplyTo, all string
	}{
		{"no reference", nil, "", ""},
		{"one", []string{"<a@example.org>"}, "<a@example.org>", "<a@example.org>"},
		{"two", []string{"<a@example.org>", "<b@example.org>"}, "<b@example.org>", "<a@example.org> <b@example.org>"},
		{"some invalid", []string{"<a@example.org>\r\nBcc: x@example.org", "", "<b@example.org>", "c@example.org"}, "<b@example.org>", "<b@example.org>"},
		{"all invalid", []string{"a\nb"}, "", ""},
		{"many", many, "<29@example.org>", strings.Join(append(append([]string{}, many[:19]...), many[29]), " ")},
	} {
		h := headerOf(t, Message{References: test.references})
		if got := h.Get("In-Reply-To"); got != test.inReplyTo {
			t.Errorf("%s: In-Reply-To is %q, want %q", test.name, got, test.inReplyTo)
		}
		if got := strings.Join(strings.Fields(h.Get("References")), " "); got != test.all {
			t.Errorf("%s: References is %q, want %q", test.name, got, test.all)
		}
		if h.Get("Bcc") != "" {
			t.Errorf("%s: a header was added", test.name)
		}
	}
}

func TestListID(t *testing.T) {
	for _, test := range []struct{ name, from, want string }{
		{"", "runtests@ci.example.org", ""},
		{"ecs", "runtests@ci.example.org", `"ecs" <ecs.runtests.ci.example.org>`},
		{"ECS nightly", "Build <runtests@ci.example.org>", `"ECS nightly" <ecs-nightly.runtests.ci.example.org>`},
		{"été", "runtests@[127.0.0.1]", "=?UTF-8?B?w6l0w6k=?= <t.runtests.localhost>"},
		{"\r\nBcc: x", "runtests@localhost", `"Bcc: x" <bcc--x.runtests.localhost>`},
		{"...", "runtests@localhost", `"..." <suite.runtests.localhost>`},
	} {
		if got := headerOf(t, Message{From: test.from, ListName: test.name}).Get("List-Id"); got != test.want {
			t.Errorf("%q: got %s, want %s", test.name, got, test.want)
		}
	}
	long := headerOf(t, Message{ListName: strings.Repeat("long ", 100)}).Get("List-Id")
	if _, id, _ := strings.Cut(long, "<"); len(id) > 255 {
		t.Errorf("%d octets: %s", len(id), long)
	}
}
