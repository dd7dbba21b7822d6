package mail

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Delivery is what became of a message, recipient by recipient: each is either in
// Accepted or in Refused.
type Delivery struct {
	Accepted []string
	Refused  []Refusal
	Reply    string // what the server said when it took the message: often its name in the queue
}

// Refusal is a recipient who did not get the message, and why.
type Refusal struct {
	Address string
	Err     error // an *Error, but for a message that is not valid
}

// Pending are the refused recipients for whom it may go better later.
func (d Delivery) Pending() []string {
	var pending []string
	for _, r := range d.Refused {
		if Temporary(r.Err) {
			pending = append(pending, r.Address)
		}
	}
	return pending
}

// refuse is a delivery to nobody.
func refuse(to []string, err error) Delivery {
	var d Delivery
	for _, address := range to {
		d.Refused = append(d.Refused, Refusal{address, err})
	}
	return d
}

// refusal is why nobody got the message, when each recipient was refused: one error
// that is temporary when one of them is.
func refusal(refused []Refusal) error {
	first := refused[0].Err
	var told *Error
	if len(refused) == 1 || !errors.As(first, &told) {
		return first
	}
	all := *told
	all.Op = fmt.Sprintf("announce %d recipients, none accepted, the first being <%s>", len(refused), refused[0].Address)
	all.temporary = len(Delivery{Refused: refused}.Pending()) > 0
	return &all
}

// Send makes one attempt to deliver e. The error is set when no recipient was
// accepted; it is an *Error unless e is not valid.
func (s Server) Send(ctx context.Context, e Envelope) (Delivery, error) {
	if err := e.check(); err != nil {
		return refuse(e.To, err), fmt.Errorf("send a mail: %w", err)
	}
	x, err := s.open(ctx)
	if err != nil {
		return refuse(e.To, err), err
	}
	defer x.close()
	return x.send(e)
}

// Retry says how long, and how, Deliver goes on when it may go better later. The
// pause grows from First to Most, doubling each time, and is longer or shorter by up
// to a fifth so that machines whose cron starts them together do not come back
// together.
type Retry struct {
	For   time.Duration // from the first attempt to the start of the last; 0: one attempt
	First time.Duration // default 5s
	Most  time.Duration // default 1m

	Now    func() time.Time                                  // default time.Now
	Wait   func(ctx context.Context, d time.Duration)        // returns early when ctx ends; default a timer
	Report func(attempt int, err error, pause time.Duration) // called before each pause; may be nil
}

// Deliver attempts to deliver e until each recipient is accepted or refused for
// good, or r's time is over; the last attempt is made when it is. The recipients of
// an attempt are those still to go. The error is set when no recipient was accepted
// in any attempt; for whom it is worth spooling is in Delivery.Pending.
func (s Server) Deliver(ctx context.Context, e Envelope, r Retry) (Delivery, error) {
	r = r.withDefaults()
	end := r.Now().Add(r.For)
	var all Delivery
	pause := r.First
	for attempt := 1; ; attempt++ {
		d, err := s.Send(ctx, e)
		pending := d.Pending()
		left := end.Sub(r.Now())
		last := len(pending) == 0 || left <= 0 || ctx.Err() != nil
		all = all.after(d, last)
		if last {
			if len(all.Accepted) > 0 {
				err = nil
			}
			return all, err
		}
		e = e.Only(pending)
		wait := min(jittered(pause), left)
		if r.Report != nil {
			r.Report(attempt, firstPending(d), wait)
		}
		r.Wait(ctx, wait)
		pause = min(2*pause, r.Most)
	}
}

// after is d with what the next attempt brought; those it left pending are refused
// only when it is the last one.
func (d Delivery) after(next Delivery, last bool) Delivery {
	d.Accepted = append(d.Accepted, next.Accepted...)
	if next.Reply != "" {
		d.Reply = next.Reply
	}
	for _, r := range next.Refused {
		if last || !Temporary(r.Err) {
			d.Refused = append(d.Refused, r)
		}
	}
	return d
}

func firstPending(d Delivery) error {
	for _, r := range d.Refused {
		if Temporary(r.Err) {
			return r.Err
		}
	}
	return nil
}

func (r Retry) withDefaults() Retry {
	r.First = orDefault(r.First, 5*time.Second)
	r.Most = orDefault(r.Most, time.Minute)
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.Wait == nil {
		r.Wait = wait
	}
	return r
}

// jittered is d, more or less a fifth.
func jittered(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()*2-1)/5*float64(d))
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
