package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"runtests/pkg/mail"
	"runtests/pkg/render"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// spoolFolder is the folder, in a suite's logs, of the mails that could not be delivered yet.
const spoolFolder = "spool"

// A Mailer delivers the reports of a suite.
type Mailer struct {
	Server mail.Server
	Spool  mail.Spool
	config *suite.Mail
}

// NewMailer returns the mailer of a suite with a mail section.
func NewMailer(s *suite.Suite) (*Mailer, error) {
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
	return &Mailer{Server: server, Spool: mail.Spool{Dir: filepath.Join(s.Logs, spoolFolder)}, config: s.Mail}, nil
}

// Message returns the report of run as a mail. If it is larger than the suite allows, the ends of
// the logs are shortened, and the report says so.
func (m *Mailer) Message(run *report.Run, now time.Time) (mail.Envelope, error) {
	message := mail.Message{
		From: m.config.From, To: m.config.To, Date: now, Subject: m.subject(run.Subject()),
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

// TestMessage returns a mail that shows the recipients that mails arrive.
func (m *Mailer) TestMessage(s *suite.Suite, now time.Time) (mail.Envelope, error) {
	return mail.Message{
		From: m.config.From, To: m.config.To, Date: now, Subject: m.subject("test mail of " + s.Name),
		Text: fmt.Sprintf("This is what `runtests check --send-test-mail` sent from %s for the suite\n%s.\n\nThe reports will come the same way.\n", HostName(), s.File),
	}.Compose()
}

func (m *Mailer) subject(text string) string {
	return strings.TrimSpace(strings.TrimSpace(m.config.SubjectPrefix) + " " + text)
}

// deliver mails the report of run. The report is in the spool while it is being sent, so that a
// machine that dies meanwhile loses nothing, and stays there for the recipients whom it may reach
// later. An error says that the server accepted it for nobody.
func (m *Mailer) deliver(ctx context.Context, run *report.Run, retry time.Duration, log Log) error {
	envelope, err := m.Message(run, time.Now())
	if err != nil {
		return err
	}
	spoolErr := m.Spool.Add(envelope)
	if spoolErr == nil {
		run.Announce(envelope.ID)
	}
	delivery, err := m.Server.Deliver(ctx, envelope, mail.Retry{For: retry, Report: func(attempt int, err error, pause time.Duration) {
		log.Debug(fmt.Errorf("attempt %d to mail the report: %w; again in %s", attempt, err, pause.Round(time.Second)))
	}})
	if err == nil {
		run.Announce(envelope.ID)
		for _, refused := range delivery.Refused {
			log.Warn(fmt.Errorf("the report was not mailed to %s: %w", refused.Address, refused.Err))
		}
	}
	pending := delivery.Pending()
	switch {
	case len(pending) == 0 && spoolErr == nil:
		if spoolErr := m.Spool.Remove(envelope); spoolErr != nil {
			log.Warn(fmt.Errorf("the report may be mailed once more: %w", spoolErr))
		}
	case len(pending) > 0:
		if spoolErr := m.Spool.Add(envelope.Only(pending)); spoolErr != nil {
			return errors.Join(err, spoolErr)
		}
		log.Warn(fmt.Errorf("the report waits in %s and goes out with the next run", m.Spool.Dir))
	}
	return err
}

// flushSpool mails what earlier runs could not. It takes no longer than the run's own report may be
// retried.
func (m *Mailer) flushSpool(ctx context.Context, log Log) {
	ctx, cancel := context.WithTimeout(ctx, m.config.RetryFor+m.config.Timeout)
	defer cancel()
	flushed, err := m.Spool.Flush(ctx, m.Server.Send)
	if err != nil {
		log.Error(err)
	}
	for _, sent := range flushed.Sent {
		log.Debug(fmt.Errorf("mailed the report of %s from the spool: %s", sent.Date.Local().Format(time.DateTime), sent.Subject))
	}
	for _, refused := range flushed.Refused {
		log.Warn(fmt.Errorf("a report from the spool was not mailed to %s: %w", refused.Address, refused.Err))
	}
	for _, aside := range flushed.Aside {
		log.Warn(fmt.Errorf("%s will not be mailed: %w", aside.Path, aside.Err))
	}
}
