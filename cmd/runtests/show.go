package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"runtests/pkg/history"
	"runtests/pkg/pipeline"
	"runtests/pkg/render"
	"runtests/pkg/suite"
)

type showCommand struct {
	ID     string `arg:"" optional:"" name:"run" help:"An ID, its beginning, or a path (default: latest)."`
	Mail   bool   `help:"Mail the report again instead of printing it."`
	Report string `enum:"text,json,junit,tap,html" default:"text" env:"RUNTESTS_REPORT" help:"Print the run as ${enum}."`
}

// Run implements the command.
func (c *showCommand) Run(ctx context.Context, w *world) error {
	if c.Mail {
		return c.resend(ctx, w)
	}
	s, err := w.loadSuiteOrRuns()
	if err != nil {
		return err
	}
	run, err := history.Open(s.Logs, c.ID)
	if err != nil {
		return err
	}
	return render.Render(w.stdout, c.Report, run)
}

// resend mails the report of a past run. It makes one attempt and spools nothing, as a person is
// there to try again.
func (c *showCommand) resend(ctx context.Context, w *world) error {
	s, err := w.loadSuite(suite.Overrides{})
	if err != nil {
		return err
	}
	if s.Mail == nil {
		return errors.New("--mail needs a mail section in the suite file")
	}
	run, err := history.Open(s.Logs, c.ID)
	if err != nil {
		return err
	}
	m, err := pipeline.NewMailer(s)
	if err != nil {
		return err
	}
	now := time.Now()
	run.Notes = append([]string{"mailed again by hand on " + now.Format(time.DateTime)}, run.Notes...)
	envelope, err := m.Message(run, now)
	if err != nil {
		return err
	}
	delivery, err := m.Server.Send(ctx, envelope)
	if err != nil {
		w.printError(fmt.Errorf("the report was not mailed: %w", err))
		return exitStatus(exitNotDelivered)
	}
	for _, refused := range delivery.Refused {
		w.log.WithError(refused.Err).Warnf("the report was not mailed to %s: %v", refused.Address, refused.Err)
	}
	w.log.Infof("mailed the report of the run %s again, as a new message, to %s", run.ID, strings.Join(delivery.Accepted, ", "))
	return nil
}
