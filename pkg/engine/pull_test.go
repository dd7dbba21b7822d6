package engine

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
)

// registry runs Debian's docker-registry on loopback and returns its address. If it is locked, it
// asks for the password of the user ci, "secret word".
func registry(t *testing.T, locked bool) string {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Fatal("this test needs a registry: apt-get install docker-registry")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	dir := t.TempDir()
	settings := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n", filepath.Join(dir, "data"), address)
	if locked {
		writeFile(t, filepath.Join(dir, "htpasswd"), ciPassword)
		settings += fmt.Sprintf("auth: {htpasswd: {realm: test, path: %s}}\n", filepath.Join(dir, "htpasswd"))
	}
	writeFile(t, filepath.Join(dir, "config.yml"), settings)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "serve", filepath.Join(dir, "config.yml"))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.WaitDelay = 10 * time.Second // its children may have the output open
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the registry says: %s", log.String())
		}
	})
	await(t, func() bool {
		response, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + address + "/v2/")
		if err != nil {
			return false
		}
		response.Body.Close()
		return true
	})
	return address
}

// ciPassword is `htpasswd -nbB ci 'secret word'`.
const ciPassword = "ci:$2y$05$HVrKyeFEHdSlHhPM0lBjHe7h8fmoLnp5PWg6iC2JdqtHcy7LSzf06\n"

// await waits until ready returns true.
func await(t *testing.T, ready func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	bound := time.After(20 * time.Second)
	for !ready() {
		select {
		case <-tick.C:
		case <-bound:
			t.Fatal("it does not answer")
		}
	}
}

// push puts the test image into the registry, under the names given, and removes them here.
func push(t *testing.T, e *Engine, auth docker.AuthConfiguration, repository string, tags ...string) {
	t.Helper()
	client := e.client(t.Context())
	client.Dialer = opener{e}
	for _, tag := range tags {
		if err := client.TagImage(testImage(), docker.TagImageOptions{Repo: repository, Tag: tag, Force: true}); err != nil {
			t.Fatal(err)
		}
		if err := client.PushImage(docker.PushImageOptions{Name: repository, Tag: tag, OutputStream: io.Discard}, auth); err != nil {
			t.Fatal(err)
		}
		forget(t, e, repository+":"+tag)
	}
}

// opener is the dialer with which the library pushes.
type opener struct{ *Engine }

func (o opener) Dial(_, _ string) (net.Conn, error) { return o.open(context.Background()) }

func forget(t *testing.T, e *Engine, ref string) {
	t.Helper()
	if err := e.client(context.Background()).RemoveImage(ref); err != nil && !errors.Is(err, docker.ErrNoSuchImage) {
		t.Error(err)
	}
}

func TestPull(t *testing.T) {
	e := connect(t)
	address := registry(t, false)
	repository := address + "/specfun/opam"
	push(t, e, docker.AuthConfiguration{ServerAddress: address}, repository, "latest", "old") // the engine refuses a push with no credentials at all
	var progress strings.Builder
	if err := e.Pull(t.Context(), repository, "", &progress); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { forget(t, e, repository+":latest") })
	if i, err := e.Image(t.Context(), repository); err != nil || i.ID == "" {
		t.Errorf("after the pull: %+v, %v", i, err)
	}
	if _, err := e.Image(t.Context(), repository+":old"); !errors.Is(err, container.ErrNoImage) {
		t.Errorf("another tag was pulled too: %v", err)
	}
	if !strings.Contains(progress.String(), "Status:") && e.Info().Name == "Docker" {
		t.Errorf("progress: %q", progress.String())
	}
	err := e.Pull(t.Context(), repository+":none", "", nil)
	var hint interface{ Hint() string }
	if err == nil || !errors.As(err, &hint) || !strings.Contains(err.Error(), "none") {
		t.Errorf("a tag that is not there: %v", err)
	}
	if err := e.Pull(t.Context(), "Not An Image", "", nil); err == nil {
		t.Error("a bad name is accepted")
	}
	if err := e.Pull(t.Context(), "127.0.0.1:1/x", "", nil); err == nil {
		t.Error("no registry, no error")
	}
}

func TestPullWithCredentials(t *testing.T) {
	real := connect(t)
	address := registry(t, true)
	repository := address + "/specfun/private"
	push(t, real, docker.AuthConfiguration{Username: "ci", Password: "secret word", ServerAddress: address}, repository, "1")
	ref := repository + ":1"
	auth := base64.StdEncoding.EncodeToString([]byte("ci:secret word"))
	helper := t.TempDir()
	writeFile(t, filepath.Join(helper, "docker-credential-test"), "#!/bin/sh\nread -r server\n[ \"$1\" = get ] && echo '{\"ServerURL\":\"'$server'\",\"Username\":\"ci\",\"Secret\":\"secret word\"}'\n")
	if err := os.Chmod(filepath.Join(helper, "docker-credential-test"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", helper+":"+os.Getenv("PATH"))
	for name, tt := range map[string]struct {
		config string
		ok     bool
	}{
		"in the file":     {fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, address, auth), true},
		"credsStore":      {`{"credsStore":"test"}`, true},
		"credHelpers":     {fmt.Sprintf(`{"credHelpers":{%q:"test"}}`, address), true},
		"none":            {`{}`, false},
		"wrong":           {fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, address, base64.StdEncoding.EncodeToString([]byte("ci:wrong"))), false},
		"missing helper":  {`{"credsStore":"no-such-helper"}`, false},
		"not JSON at all": {`{`, false},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			writeFile(t, filepath.Join(home, ".docker/config.json"), tt.config)
			e := *real
			e.options.HomeDir = home
			e.options.Getenv = environment(nil)
			err := e.Pull(t.Context(), ref, "", nil)
			forget(t, real, ref)
			if (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret word") {
				t.Errorf("the password is in %v", err)
			}
			var hint interface{ Hint() string }
			if name == "none" && (!errors.As(err, &hint) || !strings.Contains(hint.Hint(), "docker login "+address)) {
				t.Errorf("the hint is missing: %v", err)
			}
		})
	}
}

// TestPullStalls checks the bound of a pull from a registry that accepts and never answers.
func TestPullStalls(t *testing.T) {
	e := *connect(t)
	e.options.StallTimeout = 500 * time.Millisecond
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	start := time.Now()
	err = e.Pull(t.Context(), silent.Addr().String()+"/x", "", nil)
	if err == nil || time.Since(start) > 10*time.Second || !strings.Contains(err.Error(), "within 500ms") {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

func TestPullProgress(t *testing.T) {
	tests := map[string]struct{ in, progress, failure string }{
		"docker":  {`{"status":"Pulling from x","id":"latest"}` + "\n" + `{"status":"Downloading","progressDetail":{"current":1,"total":9},"id":"a"}` + "\r\n" + `{"status":"Status: done"}` + "\n", "latest: Pulling from x\nStatus: done\n", ""},
		"failure": {`{"errorDetail":{"message":"no"},"error":"no"}` + "\n", "", "no"},
		"podman":  {`{"error":"it broke"}` + "\n", "", "it broke"},
	}
	for name, tt := range tests {
		var progress strings.Builder
		failure, err := copyProgress(&progress, iotest.OneByteReader(strings.NewReader(tt.in)))
		if err != nil || progress.String() != tt.progress || failure != tt.failure {
			t.Errorf("%s: %q, %q, %v", name, progress.String(), failure, err)
		}
	}
	if _, err := copyProgress(nil, strings.NewReader("<html>\n")); err == nil {
		t.Error("what is not JSON is accepted")
	}
}
