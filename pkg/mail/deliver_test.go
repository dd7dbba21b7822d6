package mail

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/mail/smtptest"
)

// clock is a clock that only Wait moves.
type clock struct {
	now    time.Time
	pauses []time.Duration
}

func (c *clock) retry(d time.Duration) Retry {
	return Retry{
		For: d,
		Now: func() time.Time { return c.now },
		Wait: func(_ context.Context, d time.Duration) {
			c.pauses = append(c.pauses, d)
			c.now = c.now.Add(d)
		},
	}
}

func TestDeliverGetsThroughGreylisting(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{Greylist: 3})
	e := envelope(t, "a@example.org", "b@example.org")
	c := clock{now: morning}
	retry := c.retry(5 * time.Minute)
	var reported []string
	retry.Report = func(_ int, err error, _ time.Duration) { reported = append(reported, err.Error()) }
	d, err := serverFor(t, s).Deliver(t.Context(), e, retry)
	if err != nil {
		t.Fatal(err)
	}
	// RCPT 1 to 3 are refused: both of the first attempt, a's of the second. Then b is
	// accepted in the second, and a alone in the third.
	if diff := cmp.Diff([]string{"b@example.org", "a@example.org"}, d.Accepted); diff != "" || d.Refused != nil {
		t.Errorf("%+v %s", d, diff)
	}
	var to [][]string
	for _, m := range s.Messages() {
		to = append(to, m.To)
	}
	if diff := cmp.Diff([][]string{{"b@example.org"}, {"a@example.org"}}, to); diff != "" {
		t.Errorf("sent twice, or not at all: %s", diff)
	}
	if len(reported) != 2 || !strings.Contains(reported[0], "greylisted") {
		t.Errorf("reported %q", reported)
	}
}

func TestDeliverBacksOffWithinItsBound(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{Banner: "421 busy"})
	c := clock{now: morning}
	d, err := serverFor(t, s).Deliver(t.Context(), envelope(t), c.retry(5*time.Minute))
	if !Temporary(err) || len(d.Pending()) != 1 || len(d.Refused) != 1 {
		t.Errorf("%v %+v", err, d)
	}
	if got := c.now.Sub(morning); got != 5*time.Minute {
		t.Errorf("the last attempt began after %v", got)
	}
	if s.Connections() != len(c.pauses)+1 {
		t.Errorf("%d attempts, %d pauses", s.Connections(), len(c.pauses))
	}
	for i, nominal := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
		if i >= len(c.pauses)-1 {
			break
		}
		if got := c.pauses[i]; got < nominal*4/5 || got > nominal*6/5 {
			t.Errorf("pause %d: %v, want about %v", i, got, nominal)
		}
	}
	if len(c.pauses) < 6 {
		t.Errorf("%v", c.pauses)
	}
}

func TestDeliverStopsWhenThereIsNothingToRetry(t *testing.T) {
	for name, o := range map[string]smtptest.Options{
		"permanent": {RefuseSender: &smtptest.Reply{Code: 550, Message: "no"}},
		"accepted":  {},
	} {
		s := smtptest.Start(t, o)
		c := clock{now: morning}
		d, err := serverFor(t, s).Deliver(t.Context(), envelope(t), c.retry(time.Hour))
		if s.Connections() != 1 || len(c.pauses) != 0 || (err == nil) != (name == "accepted") || len(d.Pending()) != 0 {
			t.Errorf("%s: %d connections, %v, %+v", name, s.Connections(), err, d)
		}
	}
	s := smtptest.Start(t, smtptest.Options{Banner: "421 busy"})
	if _, err := serverFor(t, s).Deliver(t.Context(), envelope(t), Retry{}); err == nil || s.Connections() != 1 {
		t.Errorf("without time for retries: %d attempts", s.Connections())
	}
}

func TestDeliverReportsEachRecipient(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{RefuseRecipients: map[string]*smtptest.Reply{
		"gone@example.org": {Code: 550, Message: "no such user"},
		"full@example.org": {Code: 452, Message: "mailbox full"},
	}})
	c := clock{now: morning}
	d, err := serverFor(t, s).Deliver(t.Context(), envelope(t, "gone@example.org", "full@example.org", "a@example.org"), c.retry(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Accepted) != 1 || len(d.Refused) != 2 || len(d.Pending()) != 1 || len(s.Messages()) != 1 {
		t.Errorf("%+v, %d messages", d, len(s.Messages()))
	}
}

func TestDeliverEndsWithItsContext(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{Banner: "421 busy"})
	ctx, cancel := context.WithCancel(t.Context())
	retry := Retry{For: time.Hour, First: time.Hour, Report: func(int, error, time.Duration) { cancel() }}
	d, err := serverFor(t, s).Deliver(ctx, envelope(t), retry)
	if !Temporary(err) || len(d.Pending()) != 1 {
		t.Errorf("%v %+v", err, d)
	}
}
