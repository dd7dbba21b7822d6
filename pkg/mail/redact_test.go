package mail

import (
	"encoding/base64"
	"strings"
	"testing"

	"runtests/pkg/hint"
	"runtests/pkg/mail/smtptest"
)

// A server, or whoever answers for it, may repeat the password in a form that only cleaning turns
// into the password, or that a person reads as it.
func TestRepliesDoNotRepeatThePassword(t *testing.T) {
	const password = "hunter2-Zebra"
	encode := base64.StdEncoding.EncodeToString
	for name, echo := range map[string]string{
		"as it is":             password,
		"a control byte":       "hunter\x012-Zebra",
		"several":              "h\x00u\x7fn\x1bt\x08er2-Ze\x02bra",
		"an escape sequence":   "hunter\x1b[1m2-Zebra",
		"a colour per letter":  "h\x1b[31mu\x1b[32mnter2-Zebra",
		"a title":              "hunter\x1b]0;x\x072-Zebra",
		"a zero-width space":   "hunter\u200b2-Zebra",
		"a joiner":             "hunt\u200der2\u2060-Zebra",
		"a soft hyphen":        "hunter2\u00ad-Zebra",
		"a direction":          "hunter\u202e2-Zebra",
		"a byte order mark":    "\ufeffhunter\ufeff2-Zebra",
		"a C1 control":         "hunter\u00852-Zebra",
		"a tab":                "hunter\t2-Zebra",
		"blanks":               "h u n t e r 2 - Z e b r a",
		"two lines":            "hunter\n2-Zebra",
		"quoted-printable":     "hunter=32-Z=65bra",
		"all quoted-printable": "=68=75=6E=74=65=72=32=2D=5A=65=62=72=61",
		"a soft line break":    "hunter=\n2-Zebra",
		"octal":                `hunter\062-Z\145bra`,
		"hexadecimal":          `hunter\x32-Zebra`,
		"percent":              "hunter%32-Zebra",
		"a reference":          "hunter&#50;-Zebra",
		"a hex reference":      "hunter&#x32;-Zebra",
		"in hexadecimal":       "68756e746572322d5a65627261",
		"base64":               encode([]byte(password)),
		"base64, two lines":    encode([]byte(password))[:9] + "\n" + encode([]byte(password))[9:],
		"base64, PLAIN":        encode([]byte("\x00bob\x00" + password)),
		"base64, control":      encode([]byte(password))[:5] + "\x01" + encode([]byte(password))[5:],
		"base64, inside":       encode([]byte("xx" + password + "yy")),
	} {
		t.Run(name, func(t *testing.T) {
			server := Server{Host: "h", Port: "25", User: "bob", Password: password}
			got := server.safeText("you sent " + echo + " to me")
			for _, form := range []string{
				password, "unter2-Zebr", "hunter=32", `\062`, `\x32`, "%32", "#50", "#x32", "68756e74", "=68=75",
				encode([]byte(password))[:8], encode([]byte("\x00bob\x00" + password))[8:16], encode([]byte("xx" + password))[4:12],
			} {
				if strings.Contains(strings.Join(strings.Fields(got), ""), form) {
					t.Errorf("%q is shown as %q, with %q", echo, got, form)
				}
			}
			if !strings.HasPrefix(got, "you sent ") || !strings.HasSuffix(got, " to me") {
				t.Errorf("the rest of the reply is gone: %q", got)
			}
		})
	}
}

// Nothing of a reply without the password is lost.
func TestRepliesAreShown(t *testing.T) {
	server := Server{User: "bob", Password: "hunter2"}
	for _, text := range []string{"550 5.1.1 no such user", "452 4.2.2 über quota =41 50%", "4.7.0 try https://example.org/x?y=1&z=2 later \\ hun ter 3"} {
		if got := server.safeText(text); got != text {
			t.Errorf("%q is shown as %q", text, got)
		}
	}
}

// The same on a wire: a reply of several lines, in each place where a reply is kept.
func TestHostileServerDoesNotGetThePasswordShown(t *testing.T) {
	const password = "hunter2-Zebra"
	echo := &smtptest.Reply{Code: 554, EnhancedCode: [3]int{5, 7, 0}, Message: "no hunter\x01\u200b2-\nZebra here"}
	for name, options := range map[string]smtptest.Options{
		"the sender":    {RefuseSender: echo},
		"the recipient": {RefuseRecipients: map[string]*smtptest.Reply{"team@example.org": echo}},
		"the message":   {RefuseData: echo},
	} {
		t.Run(name, func(t *testing.T) {
			options.TLS, options.User, options.Password = smtptest.StartTLS, "bob", password
			server := serverFor(t, smtptest.Start(t, options))
			server.User, server.Password = "bob", password
			_, err := server.Send(t.Context(), envelope(t))
			if err == nil {
				t.Fatal("the message was accepted")
			}
			text := strings.Join(strings.Fields(err.Error()+hint.Of(err)), "")
			if !strings.Contains(text, "554") || strings.Contains(text, "Zebra") || strings.Contains(text, "hunter") {
				t.Errorf("%v", err)
			}
		})
	}
}
