package pipeline

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"runtests/pkg/ping"
	"runtests/pkg/report"
)

// interrupt is the cause of a context that a signal ended.
type interrupt struct{ error }

func (interrupt) SignalName() string { return "SIGTERM" }

// The event for the monitor agrees with the exit status, also if a signal comes after the report.
func TestNotifyEnd(t *testing.T) {
	signalled, cancel := context.WithCancelCause(t.Context())
	cancel(interrupt{errors.New("interrupted by SIGTERM")})
	for _, test := range []struct {
		name      string
		ctx       context.Context
		outcome   report.Outcome
		delivered bool
		failure   bool
	}{
		{"passed", t.Context(), report.Passed, true, false},
		{"failed", t.Context(), report.Failed, true, true},
		{"not delivered", t.Context(), report.Passed, false, true},
		{"signal after the report", signalled, report.Passed, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var paths []string
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths = append(paths, r.URL.Path) }))
			defer server.Close()
			monitor, err := ping.New(server.URL + "/token")
			if err != nil {
				t.Fatal(err)
			}
			p := &Pipeline{monitor: monitor}
			p.notifyEnd(test.ctx, &Conclusion{Run: &report.Run{Steps: []report.Result{{Outcome: test.outcome}}}, Delivered: test.delivered})
			if len(paths) != 1 || strings.HasSuffix(paths[0], "/fail") != test.failure {
				t.Errorf("notified of %q, want a failure: %v", paths, test.failure)
			}
		})
	}
}
