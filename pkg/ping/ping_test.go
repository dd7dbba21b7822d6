package ping

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unicode/utf8"
)

// monitor starts an HTTP server that answers with the given statuses in turn, then with
// 200.
func monitor(t *testing.T, statuses ...int) (server *httptest.Server, calls func() []string) {
	var mu sync.Mutex
	var seen []string
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(seen) < len(statuses) {
			w.WriteHeader(statuses[len(seen)])
		}
		seen = append(seen, fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), body))
	}))
	t.Cleanup(server.Close)
	return server, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

func TestNotifyCallsTheURLOfTheEvent(t *testing.T) {
	for _, test := range []struct {
		path  string
		event Event
		want  string
	}{
		{"/uuid", Start, "/uuid/start"},
		{"/uuid", Success, "/uuid"},
		{"/uuid", Failure, "/uuid/fail"},
		{"/uuid/", Failure, "/uuid/fail"},
		{"", Start, "/start"},
		{"/key/slug?create=1&rid=x", Failure, "/key/slug/fail?create=1&rid=x"},
		{"/a%2Fb", Start, "/a%2Fb/start"},
	} {
		t.Run(test.path+string(test.event), func(t *testing.T) {
			server, calls := monitor(t)
			m, err := New(server.URL + test.path)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Notify(t.Context(), test.event, "1 success, 0 failures"); err != nil {
				t.Fatal(err)
			}
			if got, want := calls(), []string{"POST " + test.want + " 1 success, 0 failures"}; !slices.Equal(got, want) {
				t.Errorf("called %q, want %q", got, want)
			}
		})
	}
}

func TestNotifyRetriesOnce(t *testing.T) {
	for _, test := range []struct {
		statuses []int
		calls    int
		fails    bool
	}{
		{[]int{200}, 1, false},
		{[]int{500, 200}, 2, false},
		{[]int{429, 200}, 2, false},
		{[]int{503, 503}, 2, true},
		{[]int{404}, 1, true},
		{[]int{304}, 1, true},
	} {
		t.Run(fmt.Sprint(test.statuses), func(t *testing.T) {
			server, calls := monitor(t, test.statuses...)
			m, err := New(server.URL + "/secret-token")
			if err != nil {
				t.Fatal(err)
			}
			err = m.Notify(t.Context(), Success, "")
			if (err != nil) != test.fails || len(calls()) != test.calls {
				t.Errorf("%d calls, error %v; want %d calls, an error: %v", len(calls()), err, test.calls, test.fails)
			}
			if err != nil && strings.Contains(err.Error(), "secret-token") {
				t.Errorf("the error contains the URL: %v", err)
			}
		})
	}
}

// TestNotifyErrorsDoNotContainTheURL checks errors that net/http returns with a URL.
func TestNotifyErrorsDoNotContainTheURL(t *testing.T) {
	closed, _ := monitor(t)
	closed.Close()
	elsewhere := httptest.NewServer(http.RedirectHandler("ftp://example.org/secret-token", http.StatusFound))
	defer elsewhere.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx context.Context
		url string
	}{
		"refused":    {t.Context(), closed.URL},
		"redirected": {t.Context(), elsewhere.URL},
		"cancelled":  {ended, elsewhere.URL},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := New(test.url + "/secret-token?key=secret-token")
			if err != nil {
				t.Fatal(err)
			}
			err = m.Notify(test.ctx, Start, "")
			if err == nil || strings.Contains(err.Error(), "secret-token") {
				t.Errorf("the error is %v", err)
			}
			if s := fmt.Sprintf("%v %+v %#v %s", m, m, m, m); strings.Contains(s, "secret-token") {
				t.Errorf("fmt prints the URL: %s", s)
			}
		})
	}
}

func TestNotifyFollowsARedirectWithoutReferer(t *testing.T) {
	referer := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/moved" {
			http.Redirect(w, r, "/moved", http.StatusTemporaryRedirect)
			return
		}
		referer <- r.Header.Get("Referer")
	}))
	defer server.Close()
	m, err := New(server.URL + "/secret-token")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Notify(t.Context(), Success, ""); err != nil {
		t.Fatal(err)
	}
	if got := <-referer; got != "" {
		t.Errorf("Referer: %s", got)
	}
}

// TestNotifyStaysOnItsHost checks that whoever answers for the monitor cannot have the body sent
// elsewhere: another port of the same address is another server.
func TestNotifyStaysOnItsHost(t *testing.T) {
	var reached atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer other.Close()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		from := httptest.NewServer(http.RedirectHandler(other.URL+"/elsewhere", status))
		m, err := New(from.URL + "/secret-token")
		if err != nil {
			t.Fatal(err)
		}
		err = m.Notify(t.Context(), Failure, "the report")
		from.Close()
		if err == nil || !strings.Contains(err.Error(), "redirected to another host") || strings.Contains(err.Error(), "secret-token") {
			t.Errorf("%d: the error is %v", status, err)
		}
	}
	if n := reached.Load(); n > 0 {
		t.Errorf("%d requests reached the other server", n)
	}
}

func TestSameServer(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"https://hc.example.org/a", "https://HC.example.org:443/b", true},
		{"http://hc.example.org:80/a", "http://hc.example.org/b", true},
		{"http://[::1]:8000/a", "http://[::1]:8000/b", true},
		{"https://hc.example.org/a", "http://hc.example.org:443/b", false},
		{"https://hc.example.org/a", "https://hc.example.org:8443/b", false},
		{"https://hc.example.org/a", "https://hc.example.org.evil.test/b", false},
		{"https://hc.example.org/a", "https://hc.example.org@evil.test/b", false},
	} {
		a, errA := url.Parse(test.a)
		b, errB := url.Parse(test.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if got := sameServer(a, b); got != test.want {
			t.Errorf("%s and %s: %v", test.a, test.b, got)
		}
	}
}

// TestNotifyEndsWithItsContext checks that a server that never answers delays no longer
// than the context allows.
func TestNotifyEndsWithItsContext(t *testing.T) {
	reached, release := make(chan struct{}, 2), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		reached <- struct{}{}
		<-release
	}))
	defer server.Close()
	defer close(release)
	m, err := New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	if err := m.Notify(ctx, Success, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func TestNewRefusesAnInvalidURL(t *testing.T) {
	for _, address := range []string{"", "example.org/secret-token", "ftp://example.org/secret-token", "https:///secret-token", "http://a b/secret-token"} {
		if _, err := New(address); err == nil || strings.Contains(err.Error(), "secret-token") {
			t.Errorf("%q: the error is %v", address, err)
		}
	}
}

func TestCut(t *testing.T) {
	for _, body := range []string{"", "short", strings.Repeat("é", 2000), "a" + strings.Repeat("é", 2000), "broken \xff"} {
		if got := cut(body); len(got) > maxBody || !utf8.ValidString(got) || !strings.HasPrefix(strings.ToValidUTF8(body, ""), got) {
			t.Errorf("cut of %d bytes: %d bytes, %q", len(body), len(got), got)
		}
	}
}
