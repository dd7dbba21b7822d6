package mail

import (
	"errors"
	"fmt"

	"github.com/emersion/go-smtp"

	"runtests/pkg/hint"
)

// send delivers e. The Delivery has every recipient; the error is set when none was
// accepted.
func (x *session) send(e Envelope) (Delivery, error) {
	if err := x.sender(e); err != nil {
		return refuse(e.To, err), err
	}
	accepted, refused, err := x.recipients(e.To)
	if err != nil {
		return refuse(e.To, err), err
	}
	d := Delivery{Refused: refused}
	if len(accepted) == 0 {
		return d, refusal(refused)
	}
	reply, err := x.data(e.Data)
	if err != nil {
		d.Refused = append(d.Refused, refuse(accepted, err).Refused...)
		return d, err
	}
	d.Accepted, d.Reply = accepted, reply
	return d, nil
}

// sender announces the sender and the size of the message.
func (x *session) sender(e Envelope) error {
	size := len(e.Data)
	if limit, _ := x.client.MaxMessageSize(); limit > 0 && size > limit {
		return x.server.explain("send the message", hint.Errorf(fmt.Sprintf("set mail.max_size to %d or less", limit),
			"its size is %d bytes, and the server accepts at most %d", size, limit))
	}
	return x.do("announce sender <"+e.From+">", func() error {
		return x.client.Mail(e.From, &smtp.MailOptions{Size: int64(size)})
	})
}

// recipients announces each recipient. A reply that refuses one recipient is no error;
// 421 and a broken connection, which end the session, are.
func (x *session) recipients(to []string) (accepted []string, refused []Refusal, err error) {
	for _, address := range to {
		err := x.do("announce recipient <"+address+">", func() error { return x.client.Rcpt(address, nil) })
		var reply *Error
		switch {
		case err == nil:
			accepted = append(accepted, address)
		case errors.As(err, &reply) && reply.Code != 0 && reply.Code != 421:
			refused = append(refused, Refusal{address, reply})
		default:
			return nil, nil, err
		}
	}
	return accepted, refused, nil
}

// data sends the message and returns the reply by which the server accepted it.
// Writing has no bound but that of the attempt.
func (x *session) data(message []byte) (reply string, err error) {
	err = x.do("send the message", func() error {
		w, err := x.client.Data()
		if err != nil {
			return err
		}
		if _, err := w.Write(message); err != nil {
			return err
		}
		response, err := w.CloseWithResponse()
		if err != nil {
			return err
		}
		reply = response.StatusText
		return nil
	})
	return x.server.safeText(reply), err
}
