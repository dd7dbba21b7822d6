package tests

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"runtests/pkg/mail/smtptest"
)

// story is what a story's commands share.
type story struct {
	smtpd  *smtptest.Server
	engine *privateEngine
	httpd  *httpServer

	production *production
	asker      *asker
}

// storyKey is its key among testscript's values.
type storyKey struct{}

// smtpd [OPTION...]: start a mail server, in place of the one there may be. SMTP is
// its URL, SMTP_HOST its HOST:PORT and SMTP_CA its authority's certificate.
func cmdSMTPD(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("unsupported: ! smtpd")
	}
	var o smtptest.Options
	for _, arg := range args {
		ts.Check(setOption(&o, arg))
	}
	server, err := smtptest.Serve(o)
	ts.Check(err)
	ts.Defer(func() { server.Close() })
	story := ts.Value(storyKey{}).(*story)
	if story.smtpd != nil {
		story.smtpd.Close()
	}
	story.smtpd = server
	ts.Setenv("SMTP", server.URL())
	ts.Setenv("SMTP_HOST", server.Addr)
	ts.Setenv("SMTP_CA", server.CAFile)
}

func setOption(o *smtptest.Options, arg string) error {
	key, value, _ := strings.Cut(arg, "=")
	switch key {
	case "starttls":
		o.TLS = smtptest.StartTLS
	case "tls":
		o.TLS = smtptest.ImplicitTLS
	case "user":
		o.User, o.Password, _ = strings.Cut(value, ":")
	case "mechanism":
		o.Mechanisms = []string{value}
	case "authreply":
		reply, err := replyOf(value)
		o.AuthReply = reply
		return err
	case "refusesender":
		reply, err := replyOf(value)
		o.RefuseSender = reply
		return err
	case "maxsize":
		n, err := strconv.ParseInt(value, 10, 64)
		o.MaxSize = n
		return err
	case "plainauth":
		o.PlainAuth = true
	case "refuse":
		o.RefuseRecipients = map[string]*smtptest.Reply{value: {Code: 550, Message: "no such user"}}
	case "greylist":
		n, err := strconv.Atoi(value)
		o.Greylist = n
		return err
	case "refusedata":
		reply, err := replyOf(value)
		o.RefuseData = reply
		return err
	case "expired":
		o.Expired = true
	case "name":
		o.Names = []string{value}
	case "silent":
		o.Silent = true
	case "slow":
		d, err := time.ParseDuration(value)
		o.Slow = d
		return err
	case "stalldata":
		o.StallData = true
	case "closeindata":
		o.CloseInData = true
	default:
		return fmt.Errorf("smtpd: unknown option %q", arg)
	}
	return nil
}

// replyOf reads CODE-WORD.
func replyOf(s string) (*smtptest.Reply, error) {
	code, text, _ := strings.Cut(s, "-")
	n, err := strconv.Atoi(code)
	return &smtptest.Reply{Code: n, Message: text}, err
}

// mails N: the server has taken N messages in all. They are written to mail-1.eml,
// mail-2.eml, …, their envelopes' recipients to mail-1.to, ….
func cmdMails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: mails n")
	}
	messages := ts.Value(storyKey{}).(*story).smtpd.Messages()
	if strconv.Itoa(len(messages)) != args[0] {
		ts.Fatalf("%d mails, want %s", len(messages), args[0])
	}
	for i, m := range messages {
		name := ts.MkAbs(fmt.Sprintf("mail-%d", i+1))
		ts.Check(os.WriteFile(name+".eml", m.Data, 0o600))
		ts.Check(os.WriteFile(name+".to", []byte(strings.Join(m.To, "\n")+"\n"), 0o600))
	}
}
