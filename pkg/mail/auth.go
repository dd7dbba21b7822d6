package mail

import (
	"errors"
	"fmt"

	"github.com/emersion/go-sasl"

	"runtests/pkg/hint"
)

// logIn authenticates by PLAIN, or else by LOGIN, if a user is configured.
func (x *session) logIn() error {
	s := x.server
	if s.User == "" {
		return nil
	}
	op := fmt.Sprintf("log in as %q", s.User)
	if x.encrypted == nil && !s.PlainAuth {
		return s.explain(op, hint.Errorf("use a server with TLS, or set mail.allow_plain_auth to accept the risk",
			"the password would be sent unencrypted: the server does not offer STARTTLS"))
	}
	_, offered := x.client.Extension("AUTH")
	var auth sasl.Client
	switch {
	case x.client.SupportsAuth(sasl.Plain):
		x.mechanism, auth = sasl.Plain, sasl.NewPlainClient("", s.User, s.Password)
	case x.client.SupportsAuth(sasl.Login):
		x.mechanism, auth = sasl.Login, &loginClient{answers: []string{s.User, s.Password}}
	case offered != "":
		return s.explain(op, errors.New("the server offers AUTH "+offered+", but neither PLAIN nor LOGIN"))
	default:
		return s.explain(op, hint.Errorf("remove mail.user, or use the submission port (587 or 465)",
			"the server does not offer AUTH"))
	}
	return x.do(op, func() error { return x.client.Auth(auth) })
}

// loginClient is SASL LOGIN. It answers the two challenges in their order, whatever
// they are: no standard fixes their text, and sasl.NewLoginClient accepts only
// "Password:", after a user name that some servers do not expect with the command.
type loginClient struct{ answers []string }

func (c *loginClient) Start() (mechanism string, response []byte, err error) {
	return sasl.Login, nil, nil
}

func (c *loginClient) Next([]byte) ([]byte, error) {
	if len(c.answers) == 0 {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	answer := c.answers[0]
	c.answers = c.answers[1:]
	return []byte(answer), nil
}
