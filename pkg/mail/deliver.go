package mail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Delivery is the result of sending a message. Each recipient is either in Accepted or
// in Refused.
type Delivery struct {
	Accepted []string
	Refused  []Refusal
	Reply    string // by which the server accepted the message; often its name in the queue
}

// Refusal is a recipient who did not get the message, and the reason.
type Refusal struct {
	Address string
	Err     error // an *Error, unless the message is invalid
}

// Pending returns the refused recipients for whom a later attempt may succeed.
func (d Delivery) Pending() []string {
	var pending []string
	for _, r := range d.Refused {
		if Temporary(r.Err) {
			pending = append(pending, r.Address)
		}
	}
	return pending
}

// refuse returns the delivery that failed for all recipients with err.
func refuse(to []string, err error) Delivery {
	var d Delivery
	for _, address := range to {
		d.Refused = append(d.Refused, Refusal{address, err})
	}
	return d
}

// refusal returns the error for a message whose recipients were all refused. It is
// temporary when one of the refusals is.
func refusal(refused []Refusal) error {
	first := refused[0].Err
	var reply *Error
	if len(refused) == 1 || !errors.As(first, &reply) {
		return first
	}
	all := *reply
	all.Op = fmt.Sprintf("announce %d recipients: all refused, first <%s>", len(refused), refused[0].Address)
	all.temporary = len(Delivery{Refused: refused}.Pending()) > 0
	return &all
}

// Send makes one attempt to deliver e. The error is set when no recipient was
// accepted; it is an *Error unless e is invalid.
func (s Server) Send(ctx context.Context, e Envelope) (Delivery, error) {
	if err := e.check(); err != nil {
		return refuse(e.To, err), fmt.Errorf("send mail: %w", err)
	}
	x, err := s.open(ctx)
	if err != nil {
		return refuse(e.To, err), err
	}
	defer x.close()
	return x.send(e)
}

// Retry is how long and how often Deliver tries. The pause between attempts doubles
// from First up to Most. It varies by up to a fifth, so that machines whose cron
// starts at the same minute do not all return at the same second.
type Retry struct {
	For   time.Duration // from the first attempt to the start of the last; 0: one attempt
	First time.Duration // default 5s
	Most  time.Duration // default 1m

	Now    func() time.Time                                  // default time.Now
	Wait   func(ctx context.Context, d time.Duration)        // returns early when ctx ends; default a timer
	Report func(attempt int, err error, pause time.Duration) // called before each pause; may be nil
}

// Deliver tries to deliver e until each recipient is accepted or permanently refused,
// or r.For has passed; then it makes the last attempt. Each attempt is for the
// recipients that remain. The error is set when no attempt was accepted for any
// recipient. Delivery.Pending returns those for whom e should be spooled.
func (s Server) Deliver(ctx context.Context, e Envelope, r Retry) (Delivery, error) {
	r = r.withDefaults()
	end := r.Now().Add(r.For)
	var total Delivery
	nominal := r.First
	for attempt := 1; ; attempt++ {
		d, err := s.Send(ctx, e)
		pending := d.Pending()
		left := end.Sub(r.Now())
		last := len(pending) == 0 || left <= 0 || ctx.Err() != nil
		total = total.add(d, last)
		if last {
			if len(total.Accepted) > 0 {
				err = nil
			}
			return total, err
		}
		e = e.Only(pending)
		pause := min(jittered(nominal), left)
		if r.Report != nil {
			r.Report(attempt, firstPending(d), pause)
		}
		r.Wait(ctx, pause)
		nominal = min(2*nominal, r.Most)
	}
}

// add returns d with the result of the next attempt. Recipients that are still pending
// count as refused only after the last attempt.
func (d Delivery) add(next Delivery, last bool) Delivery {
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

// firstPending returns the first temporary error of d.
func firstPending(d Delivery) error {
	for _, r := range d.Refused {
		if Temporary(r.Err) {
			return r.Err
		}
	}
	return nil
}

func (r Retry) withDefaults() Retry {
	r.First = cmp.Or(r.First, 5*time.Second)
	r.Most = cmp.Or(r.Most, time.Minute)
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.Wait == nil {
		r.Wait = wait
	}
	return r
}

// jittered returns d, longer or shorter by up to a fifth.
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
