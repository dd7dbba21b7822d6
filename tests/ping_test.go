package tests

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// httpServer is a monitor that records who calls it.
type httpServer struct {
	*httptest.Server
	closed chan struct{}

	mu    sync.Mutex
	calls []string // "POST /path?query body"
}

// httpd [silent | STATUS]: start a monitor, in place of the one there may be, that
// never answers, or answers with that status (200). HTTP is its URL.
func cmdHTTPD(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: httpd [silent | status]")
	}
	status, silent := http.StatusOK, false
	if len(args) == 1 && args[0] == "silent" {
		silent = true
	} else if len(args) == 1 {
		n, err := strconv.Atoi(args[0])
		ts.Check(err)
		status = n
	}
	h := &httpServer{closed: make(chan struct{})}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a client that goes away has said what it has
		h.mu.Lock()
		h.calls = append(h.calls, fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), body))
		h.mu.Unlock()
		if silent {
			<-h.closed
		}
		w.WriteHeader(status)
	}))
	ts.Defer(func() {
		close(h.closed)
		h.Close()
	})
	ts.Value(storyKey{}).(*story).httpd = h
	ts.Setenv("HTTP", h.URL)
}

// calls FILE: write what the monitor was called with so far, a line per call.
func cmdCalls(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: calls file")
	}
	h := ts.Value(storyKey{}).(*story).httpd
	h.mu.Lock()
	defer h.mu.Unlock()
	var text strings.Builder
	for _, call := range h.calls {
		fmt.Fprintln(&text, call)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text.String()), 0o600))
}
