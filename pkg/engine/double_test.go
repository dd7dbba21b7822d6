package engine

import (
	"archive/tar"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runtests/pkg/container"
)

// double connects to a stand-in for an engine, for what a real engine cannot be made to do. The
// handlers are by the pattern of http.ServeMux, without the version of the API.
func double(t *testing.T, handlers map[string]http.HandlerFunc) *Engine {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"ApiVersion":"1.41","MinAPIVersion":"1.12","Version":"20.10.24","Os":"linux","Arch":"amd64"}`)
	})
	for pattern, handler := range handlers {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /v1.41"+path, handler)
	}
	socket := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(mux)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	e, err := Connect(t.Context(), Options{Host: "unix://" + socket, Getenv: environment(nil), HomeDir: t.TempDir(), CallTimeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEndlessAnswer checks that an engine whose answer has no end does not fill the memory.
func TestEndlessAnswer(t *testing.T) {
	endless := func(status int, start string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, err := io.WriteString(w, start)
			for more := []byte(strings.Repeat("x", 1<<20)); err == nil; {
				_, err = w.Write(more)
			}
		}
	}
	e := double(t, map[string]http.HandlerFunc{
		"GET /info":                  endless(http.StatusOK, `{"DockerRootDir":"`),
		"GET /containers/json":       endless(http.StatusOK, `[{"ID":"`),
		"DELETE /containers/{id}":    endless(http.StatusInternalServerError, `{"message":"`),
		"POST /containers/{id}/kill": endless(http.StatusInternalServerError, ""),
	})
	e.maxAnswer = 1 << 20
	for name, call := range map[string]func() error{
		"check": func() error { _, err := e.Check(t.Context(), container.Container{Memory: 1}); return err },
		"list":  func() error { _, err := e.Containers(t.Context(), nil); return err },
		"error": func() error { return e.Remove(t.Context(), "id") },
		"stop":  func() error { _, err := e.Stop(t.Context(), "id", time.Second); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "longer than 1 MiB") || len(err.Error()) > 1000 {
			t.Errorf("%s: %.1000v", name, err)
		}
	}
}

// TestCheckWaitsForNobody checks that a call of Check whose answer does not come delays no other.
func TestCheckWaitsForNobody(t *testing.T) {
	asked, answer := make(chan struct{}, 2), make(chan struct{})
	e := double(t, map[string]http.HandlerFunc{"GET /info": func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		_, _ = io.WriteString(w, `{"MemoryLimit":false}`)
	}})
	check := func(ctx context.Context) ([]container.Unsupported, error) {
		return e.Check(ctx, container.Container{Memory: 1})
	}
	first := make(chan error, 1)
	go func() {
		_, err := check(t.Context())
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	time.AfterFunc(100*time.Millisecond, func() { cancel(enough) })
	start := time.Now()
	if _, err := check(ctx); !errors.Is(err, enough) || time.Since(start) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
	close(answer)
	if err := <-first; err != nil {
		t.Error(err)
	}
	for len(asked) > 0 {
		<-asked
	}
	if found, err := check(t.Context()); err != nil || len(found) != 1 || len(asked) > 0 {
		t.Errorf("asked again: %d times; %+v, %v", len(asked), found, err)
	}
}

// TestPullRequest checks what a pull asks for, and with which credentials.
func TestPullRequest(t *testing.T) {
	var got, auth string
	e := double(t, map[string]http.HandlerFunc{"POST /images/create": func(w http.ResponseWriter, r *http.Request) {
		got, auth = r.URL.RawQuery, r.Header.Get("X-Registry-Auth")
		_, _ = io.WriteString(w, `{"status":"Pulling","id":"1"}`+"\n")
	}})
	writeFile(t, filepath.Join(e.options.HomeDir, ".docker/config.json"), `{"auths":{"example.org":{"auth":"Y2k6c2VjcmV0IHdvcmQ="}}}`)
	digest := "sha256:" + strings.Repeat("0", 64)
	for _, tt := range []struct{ ref, platform, query, auth string }{
		{"example.org/x", "linux/arm64", "fromImage=example.org%2Fx&platform=linux%2Farm64&tag=latest", `{"username":"ci","password":"secret word","serveraddress":"example.org"}`},
		{"debian:12", "", "fromImage=docker.io%2Flibrary%2Fdebian&tag=12", ""},
		{"debian@" + digest, "", "fromImage=docker.io%2Flibrary%2Fdebian&tag=" + url.QueryEscape(digest), ""},
	} {
		var progress strings.Builder
		if err := e.Pull(t.Context(), tt.ref, tt.platform, &progress); err != nil || progress.String() != "1: Pulling\n" {
			t.Errorf("%s: %q, %v", tt.ref, progress.String(), err)
		}
		credentials, err := base64.URLEncoding.DecodeString(auth)
		if err != nil || got != tt.query || string(credentials) != tt.auth {
			t.Errorf("%s: it asks %s, as %s, %v", tt.ref, got, credentials, err)
		}
	}
}

// TestCopyRequest checks that a copy arrives, and that the message of an engine that refuses it before
// it has read all is not lost.
func TestCopyRequest(t *testing.T) {
	var got []string
	e := double(t, map[string]http.HandlerFunc{
		"PUT /containers/good/archive": func(_ http.ResponseWriter, r *http.Request) {
			got = append(got, r.URL.RawQuery)
			for archive := tar.NewReader(r.Body); ; {
				header, err := archive.Next()
				if err != nil {
					return
				}
				got = append(got, header.Name)
			}
		},
		"PUT /containers/bad/archive": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"message":"no space left on device"}`, http.StatusInternalServerError)
		},
	})
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "data"), strings.Repeat("x", 8<<20))
	c := container.Copy{Source: dir, Target: "/a b"}
	if err := e.copyIn(t.Context(), "good", c, false); err != nil || strings.Join(got, " ") != "noOverwriteDirNonDir=1&path=%2F a b/ a b/data" {
		t.Errorf("%q, %v", got, err)
	}
	if err := e.copyIn(t.Context(), "bad", c, false); err == nil || !strings.HasSuffix(err.Error(), "to /a b: no space left on device") {
		t.Errorf("got %v", err)
	}
}

// TestForgedRefusal checks that no line of an engine's words looks like one of ours.
func TestForgedRefusal(t *testing.T) {
	e := double(t, map[string]http.HandlerFunc{
		"GET /containers/json": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"message":"no room\nruntests: all is well\n  hint: run this"}`)
		},
		"POST /images/load": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"error":"no room\nruntests: all is well\n  hint: run this"}`)
		},
	})
	_, list := e.Containers(t.Context(), nil)
	for what, err := range map[string]error{"list": list, "load": e.Load(t.Context(), strings.NewReader(""))} {
		if err == nil || !strings.HasSuffix(err.Error(), "no room\n      runtests: all is well\n      hint: run this") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
