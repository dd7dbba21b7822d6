package pipeline

import (
	"context"

	"runtests/pkg/ping"
	"runtests/pkg/report"
)

// openMonitor finds the monitor to notify of the run. Nobody is notified of a part of the suite
// that a person runs by hand: it says nothing about the suite.
func (p *Pipeline) openMonitor() (err error) {
	if p.Suite.Ping != "" && (!p.Partial || p.Mail) {
		p.monitor, err = ping.New(p.Suite.Ping)
	}
	return err
}

// notify notifies the monitor, if there is one. That it does not answer is no fault of the run, and
// cron must not mail about it.
func (p *Pipeline) notify(ctx context.Context, event ping.Event, body string) {
	if p.monitor == nil {
		return
	}
	err := p.monitor.Notify(ctx, event, body)
	switch {
	case err == nil:
	case p.Mail:
		p.Log.Debug(err)
	default:
		p.Log.Warn(err)
	}
}

// notifyEnd notifies the monitor of the end of the run.
func (p *Pipeline) notifyEnd(ctx context.Context, c *Conclusion) {
	event := ping.Failure
	if c.Passed() && c.Delivered && signalName(ctx) == "" { // also no signal since the report
		event = ping.Success
	}
	p.notify(context.WithoutCancel(ctx), event, summary(c.Run, c.Delivered))
}

// summary returns the run in one line.
func summary(run *report.Run, delivered bool) string {
	text := run.Subject()
	if run.Signal != "" {
		text += ", interrupted by " + run.Signal
	}
	if !delivered {
		text += ", the report was not delivered"
	}
	return text
}
