// Package ping tells a monitor that a run has started, succeeded or failed, so
// that somebody hears of it when no run comes at all. It speaks as Healthchecks
// does (https://healthchecks.io/docs/http_api/), and so do its kin: a POST to the
// check's URL is a success, to URL/start a start, to URL/fail a failure; the body
// is shown with it.
//
// The URL is a secret: who has it can call. No error of this package repeats it.
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
)

// Bounds of a call.
const (
	// Bound is how long a call may take, its second attempt included.
	Bound = 10 * time.Second
	// attemptBound is how long one attempt may take.
	attemptBound = Bound / 2
	// maxBody is the most that is said with a call, in bytes.
	maxBody = 1000
	// maxAnswer is the most that is read of an answer, in bytes: only its status counts.
	maxAnswer = 64 << 10
	// maxRedirects is how often a server may send us elsewhere.
	maxRedirects = 3
)

// Event is what is told.
type Event string

// The events; each is what is appended to the URL's path.
const (
	Start   Event = "/start"
	Success Event = ""
	Failure Event = "/fail"
)

// Monitor is who is told.
type Monitor struct {
	url    *url.URL
	client *http.Client
}

// New returns the monitor of an absolute http or https URL. A query stays where it
// is, behind the path of each call.
func New(address string) (*Monitor, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, errors.New("read the URL to ping: not of the form https://HOST/PATH")
	}
	return &Monitor{url: u, client: &http.Client{CheckRedirect: redirect}}, nil
}

// Host is the monitor's host: what may be told of its URL.
func (m *Monitor) Host() string { return m.url.Host }

// String is Host. It keeps the URL out of what fmt prints.
func (m *Monitor) String() string { return m.Host() }

// GoString is Host.
func (m *Monitor) GoString() string { return m.Host() }

// redirect follows a server only within its scheme, and tells nobody where we come
// from: the URL is a secret.
func redirect(next *http.Request, before []*http.Request) error {
	switch {
	case next.URL.Scheme != before[0].URL.Scheme:
		return errors.New("redirected to another scheme")
	case len(before) > maxRedirects:
		return errors.New("redirected too often")
	}
	next.Header.Del("Referer")
	return nil
}

// Tell calls the monitor with body, which is cut to 1,000 bytes. It makes a second
// attempt when the first one did not reach the server, or the server had a fault
// of its own (429, 5xx). It returns within Bound.
func (m *Monitor) Tell(ctx context.Context, event Event, body string) error {
	ctx, cancel := context.WithTimeout(ctx, Bound)
	defer cancel()
	again, err := m.attempt(ctx, event, body)
	if err != nil && again && ctx.Err() == nil {
		_, err = m.attempt(ctx, event, body)
	}
	if err != nil {
		return fmt.Errorf("ping %s: %w", m.Host(), err)
	}
	return nil
}

// attempt makes one call; again says that another one may go better.
func (m *Monitor) attempt(ctx context.Context, event Event, body string) (again bool, err error) {
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
	defer func() { _ = response.Body.Close() }() // nothing of it is used
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer))
	if response.StatusCode/100 != 2 {
		return response.StatusCode == http.StatusTooManyRequests || response.StatusCode/100 == 5,
			fmt.Errorf("the server answered %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	return false, nil
}

// address is the URL to call for an event.
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

// withoutURL drops the URL from what net/http says.
func withoutURL(err error) error {
	var about *url.Error
	if !errors.As(err, &about) {
		return err
	}
	if about.Timeout() {
		return fmt.Errorf("no answer within %v", attemptBound)
	}
	return about.Err
}

// cut is body, no longer than is shown, and valid UTF-8.
func cut(body string) string {
	if len(body) > maxBody {
		body = body[:maxBody]
	}
	return strings.ToValidUTF8(body, "")
}
