package main

import (
	"errors"
	"fmt"
	"time"

	"runtests/pkg/history"
	"runtests/pkg/pipeline"
	"runtests/pkg/plain"
	"runtests/pkg/render"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/transfer"
)

// A console shows the course of a run on stderr, and its report on stdout. With --mail it is
// silent: cron mails any output.
type console struct {
	*world
	mail   bool
	wait   time.Duration
	format string // of the report

	progressed time.Time // when the progress of a transfer was last printed
}

// progressPause is the time between two lines of progress where there is no terminal.
const progressPause = 10 * time.Second

// Waiting implements pipeline.Console. With --mail it prints nothing: all may end well.
func (c *console) Waiting(held *history.HeldError) {
	if !c.mail {
		c.log.Infof("%v: waiting up to %s for it", held, report.Duration(c.wait))
	}
}

// Observe implements pipeline.Console.
func (c *console) Observe(images, tests int) pipeline.Observer {
	return c.newDisplay(images, tests, c.mail)
}

// Stopping implements pipeline.Console.
func (c *console) Stopping(cause error) {
	var timeout *runner.RunTimeoutError
	switch {
	case !errors.As(cause, &timeout):
		c.log.Errorf("%v: stopping what runs; once more to leave at once", cause)
	case c.mail:
		c.log.Debugf("%v: stopping what runs", cause)
	default:
		c.log.Warnf("%v: stopping what runs", cause)
	}
}

// Deploying implements pipeline.Console.
func (c *console) Deploying(deployment, action string) {
	if !c.silent() {
		fmt.Fprintf(c.stderr, "%s%s: %s\n", c.clearLine(), deployment, plain.Clean(action))
	}
}

// Transferring implements pipeline.Console.
func (c *console) Transferring(deployment string, sent transfer.Progress) {
	now, terminal := time.Now(), isTerminal(c.stderr)
	if c.progressed.IsZero() {
		c.progressed = now
	}
	if c.silent() || !terminal && now.Sub(c.progressed) < progressPause {
		return
	}
	c.progressed = now
	text := report.Size(sent.Sent) + " sent"
	if sent.Total > 0 {
		text = report.Size(sent.Sent) + " of about " + report.Size(sent.Total) + " sent"
	}
	if sent.Left > 0 {
		text += ", " + report.Duration(sent.Left.Round(time.Second)).String() + " left"
	}
	if terminal {
		fmt.Fprintf(c.stderr, "%s%s: %s", c.clearLine(), deployment, text)
		return
	}
	fmt.Fprintf(c.stderr, "%s: %s\n", deployment, text)
}

// Deployed implements pipeline.Console.
func (c *console) Deployed(result report.Result) {
	c.progressed = time.Time{} // the next transfer begins to count anew
	if !c.silent() {
		fmt.Fprintln(c.stderr, c.clearLine()+render.Headline(result))
	}
}

// Print implements pipeline.Console.
func (c *console) Print(run *report.Run) error { return render.Render(c.stdout, c.format, run) }

func (c *console) silent() bool { return c.mail || c.quiet }

// clearLine returns what removes a line of progress from a terminal.
func (c *console) clearLine() string {
	if isTerminal(c.stderr) {
		return "\r\x1b[K"
	}
	return ""
}

// pipelineLog passes on what a run logs.
type pipelineLog struct{ *world }

func (l pipelineLog) Error(err error) { l.printError(err) }
func (l pipelineLog) Warn(err error)  { l.log.WithError(err).Warn(err) }
func (l pipelineLog) Debug(err error) { l.log.Debug(err) }
