package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"runtests/pkg/mail"
	"runtests/pkg/render"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// spoolFolder is where mails that could not be delivered wait, in a suite's logs folder.
const spoolFolder = "spool"

// mailer delivers the reports of a suite.
type mailer struct {
	server mail.Server
	config *suite.Mail
	spool  mail.Spool
}

func newMailer(s *suite.Suite) (*mailer, error) {
	server, err := mail.ParseServer(s.Mail.Server)
	if err != nil {
		return nil, err
	}
	if s.Mail.PasswordError != nil {
		return nil, s.Mail.PasswordError
	}
	server.User, server.Password = s.Mail.User, s.Mail.Password
	server.PlainAuth = s.Mail.PlainAuth
	server.CAFile = s.Mail.CAFile
	server.Timeout = s.Mail.Timeout
	return &mailer{server, s.Mail, mail.Spool{Dir: filepath.Join(s.Logs, spoolFolder)}}, nil
}

// message is the report as a mail. When it would be larger than the suite allows,
// the tails are shortened first, and it says so.
func (m *mailer) message(run *report.Run, now time.Time) (mail.Envelope, error) {
	message := mail.Message{
		From: m.config.From, To: m.config.To, Date: now, Subject: m.subject(run),
		References: run.Announcements(), ListName: run.Suite,
	}
	shown := run
	for lines := run.Lines; ; lines /= 2 {
		var text, html bytes.Buffer
		if err := errors.Join(render.TextBody(&text, shown), render.MailHTML(&html, shown)); err != nil {
			return mail.Envelope{}, err
		}
		message.Text, message.HTML = text.String(), html.String()
		envelope, err := message.Compose()
		if err != nil || lines == 0 || int64(len(envelope.Data)) <= m.config.MaxSize {
			return envelope, err
		}
		shown = render.Shorten(run, lines/2)
	}
}

func (m *mailer) subject(run *report.Run) string {
	return strings.TrimSpace(strings.TrimSpace(m.config.SubjectPrefix) + " " + run.Subject())
}

// deliver mails the report. It is in the spool while that goes on, so that a machine
// that dies meanwhile loses nothing, and stays there for those whom it may reach
// later. The error says that the server took it for nobody.
func (w *world) deliver(ctx context.Context, m *mailer, run *report.Run, retry time.Duration) error {
	envelope, err := m.message(run, time.Now())
	if err != nil {
		return err
	}
	spoolErr := m.spool.Add(envelope)
	if spoolErr == nil {
		run.Announce(envelope.ID)
	}
	delivery, err := m.server.Deliver(ctx, envelope, mail.Retry{For: retry, Report: func(attempt int, err error, pause time.Duration) {
		w.log.Debugf("attempt %d to mail the report: %v; again in %s", attempt, err, pause.Round(time.Second))
	}})
	if err == nil {
		run.Announce(envelope.ID)
		for _, refused := range delivery.Refused {
			w.log.WithError(refused.Err).Warnf("the report was not mailed to %s: %v", refused.Address, refused.Err)
		}
	}
	pending := delivery.Pending()
	switch {
	case len(pending) == 0 && spoolErr == nil:
		if spoolErr := m.spool.Remove(envelope); spoolErr != nil {
			w.log.Warnf("the report may be mailed once more: %v", spoolErr)
		}
	case len(pending) > 0:
		if spoolErr := m.spool.Add(envelope.Only(pending)); spoolErr != nil {
			return errors.Join(err, spoolErr)
		}
		w.log.Warnf("the report waits in %s and goes out with the next run", m.spool.Dir)
	}
	return err
}

// flushSpool mails what earlier runs could not, as far as the time allows in which this
// run's own report may be retried.
func (w *world) flushSpool(ctx context.Context, m *mailer) {
	ctx, cancel := context.WithTimeout(ctx, m.config.RetryFor+m.config.Timeout)
	defer cancel()
	flushed, err := m.spool.Flush(ctx, m.server.Send)
	if err != nil {
		w.say(err)
	}
	for _, sent := range flushed.Sent {
		w.log.Debugf("mailed the report of %s that was waiting: %s", sent.Date.Local().Format(time.DateTime), sent.Subject)
	}
	for _, refused := range flushed.Refused {
		w.log.WithError(refused.Err).Warnf("a report that was waiting was not mailed to %s: %v", refused.Address, refused.Err)
	}
	for _, aside := range flushed.Aside {
		w.log.WithError(aside.Err).Warnf("%s will not be mailed: %v", aside.Path, aside.Err)
	}
}
