// Package ping notifies a monitor when a run starts, succeeds or fails, so that the
// monitor can raise an alarm when a run is missing. It uses the protocol of Healthchecks
// (https://healthchecks.io/docs/http_api/) and compatible services: a POST to the check's
// URL means success, to URL/start a start, to URL/fail a failure. The service shows the
// body with the event.
//
// The URL is a secret: whoever has it can ping. No error of this package contains it.
package ping

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"runtests/pkg/hint"
)

// Bounds of a ping.
const (
	// Bound is how long a ping may take, its second attempt included.
	Bound = 10 * time.Second
	// attemptBound is how long one attempt may take.
	attemptBound = Bound / 2
	// maxBody is how many bytes of a body are sent.
	maxBody = 1000
	// maxAnswer is how many bytes of an answer are read: only the status counts.
	maxAnswer = 64 << 10
	// maxRedirects is how many redirects are followed.
	maxRedirects = 3
)

// Event is what happened to the run.
type Event string

// The events, each with the suffix of the URL's path.
const (
	Start   Event = "/start"
	Success Event = ""
	Failure Event = "/fail"
)

// Monitor is a check of a monitoring service.
type Monitor struct {
	url    *url.URL
	client *http.Client
}

// New returns the monitor for an absolute http or https URL. A query stays behind the
// path of each event.
func New(address string) (*Monitor, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, errors.New("parse ping URL: not of the form https://HOST/PATH")
	}
	return &Monitor{url: u, client: &http.Client{CheckRedirect: redirect}}, nil
}

// Host returns the monitor's host, the only part of the URL that is not secret.
func (m *Monitor) Host() string { return m.url.Host }

// String returns the host. It keeps the URL out of what fmt prints.
func (m *Monitor) String() string { return m.Host() }

// GoString returns the host.
func (m *Monitor) GoString() string { return m.Host() }

// redirect allows a redirect only on the same server, and removes the Referer, which would
// disclose the URL. A body that is sent again (307, 308) must not leave the server that the
// suite names.
func redirect(next *http.Request, before []*http.Request) error {
	switch {
	case next.URL.Scheme != before[0].URL.Scheme:
		return errors.New("redirected to another scheme")
	case !sameServer(next.URL, before[0].URL):
		return hint.Wrap(errors.New("redirected to another host"), "write in ping: the address that the monitor has now")
	case len(before) > maxRedirects:
		return errors.New("redirected too often")
	}
	next.Header.Del("Referer")
	return nil
}

// sameServer reports whether two http or https URLs have the same scheme, host and port.
func sameServer(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

// port returns the port of an http or https URL.
func port(u *url.URL) string {
	if u.Port() != "" {
		return u.Port()
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// Notify sends an event with body, cut to 1,000 bytes. It makes a second attempt when the
// first did not reach the server or the server failed (429, 5xx). It returns within
// Bound.
func (m *Monitor) Notify(ctx context.Context, event Event, body string) error {
	ctx, cancel := context.WithTimeout(ctx, Bound)
	defer cancel()
	retry, err := m.attempt(ctx, event, body)
	if err != nil && retry && ctx.Err() == nil {
		_, err = m.attempt(ctx, event, body)
	}
	if err != nil {
		return fmt.Errorf("ping %s: %w", m.Host(), err)
	}
	return nil
}

// attempt sends the event once. The result retry reports whether a second attempt may
// succeed.
func (m *Monitor) attempt(ctx context.Context, event Event, body string) (retry bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptBound)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.address(event), strings.NewReader(cut(body)))
	if err != nil {
		return false, withoutURL(err)
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	request.Header.Set("User-Agent", "runtests")
	response, err := m.client.Do(request)
	if err != nil {
		return true, withoutURL(err)
	}
	defer func() { _ = response.Body.Close() }() // its content is not used
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer))
	if response.StatusCode/100 != 2 {
		return response.StatusCode == http.StatusTooManyRequests || response.StatusCode/100 == 5,
			fmt.Errorf("the server answered %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	return false, nil
}

// address returns the URL for an event.
func (m *Monitor) address(event Event) string {
	u := *m.url
	if event == Success {
		return u.String()
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + string(event)
	if u.RawPath != "" {
		u.RawPath = strings.TrimSuffix(u.RawPath, "/") + string(event)
	}
	return u.String()
}

// withoutURL removes the URL from an error of net/http.
func withoutURL(err error) error {
	var failure *url.Error
	if !errors.As(err, &failure) {
		return err
	}
	if failure.Timeout() {
		return fmt.Errorf("no answer within %v", attemptBound)
	}
	return failure.Err
}

// cut returns the first maxBody bytes of body as valid UTF-8.
func cut(body string) string {
	if len(body) > maxBody {
		body = body[:maxBody]
	}
	return strings.ToValidUTF8(body, "")
}
