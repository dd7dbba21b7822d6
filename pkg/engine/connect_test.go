package engine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runtests/pkg/container"
	"runtests/tests/needs"
)

// environment returns an Options.Getenv that reads a table.
func environment(table map[string]string) func(string) string {
	return func(name string) string { return table[name] }
}

// relay listens and forwards each connection to the engine's socket.
func relay(t *testing.T, listener net.Listener, to dialFunc) {
	t.Helper()
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				server, err := to(t.Context())
				if err != nil {
					return
				}
				defer server.Close()
				go func() {
					if _, err := io.Copy(server, client); err != nil { // as of a client that does not speak TLS
						server.Close()
					}
				}()
				_, _ = io.Copy(client, server)
			}()
		}
	}()
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func writeContext(t *testing.T, home, name, host string) (tlsDir string) {
	t.Helper()
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	writeFile(t, filepath.Join(home, ".docker/contexts/meta", id, "meta.json"), fmt.Sprintf(`{"Name":%q,"Metadata":{},"Endpoints":{"docker":{"Host":%q,"SkipTLSVerify":false}}}`, name, host))
	return filepath.Join(home, ".docker/contexts/tls", id, "docker")
}

func TestDiscovery(t *testing.T) {
	real := connect(t)
	home := t.TempDir()
	socket := filepath.Join(home, "engine.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	relay(t, listener, real.dial)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	relay(t, tcp, real.dial)
	writeContext(t, home, "by socket", "unix://"+socket)
	writeContext(t, home, "nowhere", "unix:///no/such.sock")
	other := t.TempDir()
	writeContext(t, other, "current", "tcp://"+tcp.Addr().String())
	writeFile(t, filepath.Join(other, ".docker/config.json"), `{"currentContext":"current"}`)

	tests := []struct {
		name string
		home string
		env  map[string]string
		host string
	}{
		{"DOCKER_HOST, socket", home, map[string]string{"DOCKER_HOST": "unix://" + socket, "DOCKER_CONTEXT": "nowhere"}, "unix://" + socket},
		{"DOCKER_HOST, tcp", home, map[string]string{"DOCKER_HOST": "tcp://" + tcp.Addr().String()}, "tcp://" + tcp.Addr().String()},
		{"DOCKER_CONTEXT", home, map[string]string{"DOCKER_CONTEXT": "by socket"}, "unix://" + socket},
		{"current context", other, nil, "tcp://" + tcp.Addr().String()},
		{"DOCKER_CONFIG", home, map[string]string{"DOCKER_CONFIG": filepath.Join(other, ".docker")}, "tcp://" + tcp.Addr().String()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, err := Connect(t.Context(), Options{Getenv: environment(tt.env), HomeDir: tt.home})
			if err != nil {
				t.Fatal(err)
			}
			if info := e.Info(); info.Host != tt.host || info.Name == "" || info.Version == "" || info.OS != "linux" || info.Local != strings.HasPrefix(tt.host, "unix:") {
				t.Errorf("got %+v", info)
			}
			exit, output, err := run(t.Context(), t, e, shell("echo through"))
			if err != nil || output != "through\n" {
				t.Errorf("%+v, %q, %v", exit, output, err)
			}
		})
	}
}

func TestNoEngine(t *testing.T) {
	dir := t.TempDir()
	closed, err := net.Listen("unix", filepath.Join(dir, "docker.sock"))
	if err != nil {
		t.Fatal(err)
	}
	closed.(*net.UnixListener).SetUnlinkOnClose(false)
	closed.Close()
	silent, err := net.Listen("unix", filepath.Join(dir, "silent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	tests := []struct {
		name string
		env  map[string]string
		says []string
		hint string
	}{
		{"DOCKER_HOST is not replaced by a default", map[string]string{"DOCKER_HOST": "unix:///no/such.sock"}, []string{"unix:///no/such.sock (DOCKER_HOST): no such file"}, "systemctl start docker"},
		{"closed", map[string]string{"DOCKER_HOST": "unix://" + filepath.Join(dir, "docker.sock")}, []string{"nothing listens on it"}, "systemctl start docker"},
		{"frozen", map[string]string{"DOCKER_HOST": "unix://" + filepath.Join(dir, "silent.sock")}, []string{"no answer within 200ms"}, ""},
		{"podman", map[string]string{"DOCKER_HOST": "unix:///no/podman.sock"}, []string{"no such file"}, "podman.socket"},
		{"scheme", map[string]string{"DOCKER_HOST": "npipe:////./pipe/x"}, []string{`is not an address of an engine`}, "unix:///PATH"},
		{"no such context", map[string]string{"DOCKER_CONTEXT": "gone"}, []string{`DOCKER_CONTEXT "gone": no such context`}, "docker context ls"},
		{"API too old", map[string]string{"DOCKER_API_VERSION": "1.24", "DOCKER_HOST": os.Getenv("DOCKER_HOST")}, []string{"DOCKER_API_VERSION asks for API 1.24"}, "unset DOCKER_API_VERSION"},
		{"no authority", map[string]string{"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": dir}, []string{"ca.pem"}, "DOCKER_CERT_PATH"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			options := Options{Getenv: environment(tt.env), HomeDir: dir, CallTimeout: 200 * time.Millisecond}
			if tt.name == "API too old" {
				needs.Engine(t, t.Name()) // whose API it is too old for
				options.CallTimeout = 0
			}
			_, err := Connect(t.Context(), options)
			if err == nil {
				t.Fatal("it connected")
			}
			for _, part := range tt.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
			var hint interface{ Hint() string }
			if tt.hint != "" && (!errors.As(err, &hint) || !strings.Contains(hint.Hint(), tt.hint)) {
				t.Errorf("the hint %q is missing: %v", tt.hint, err)
			}
		})
	}
}

func TestDefaultPlacesAreAllNamed(t *testing.T) {
	places, err := Options{Getenv: environment(map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}), HomeDir: t.TempDir()}.places()
	if err != nil {
		t.Fatal(err)
	}
	var failures unreachable
	for _, p := range places {
		failures = append(failures, failure{p, fmt.Errorf("dial: %w", os.ErrNotExist)})
	}
	want := "no container engine answers; tried unix:///var/run/docker.sock (no such file), unix:///run/user/7/docker.sock (no such file), " +
		"unix:///run/user/7/podman/podman.sock (no such file), unix:///run/podman/podman.sock (no such file)"
	if failures.Error() != want || !strings.Contains(failures.Hint(), "systemctl start docker") || !errors.Is(failures, container.ErrNoEngine) {
		t.Errorf("got %v; %s", failures, failures.Hint())
	}
	socket := filepath.Join(t.TempDir(), "docker.sock")
	writeFile(t, socket, "")
	failures[0] = failure{place{host: "unix://" + socket}, os.ErrPermission}
	if hint := failures.Hint(); !strings.Contains(hint, "usermod -aG ") {
		t.Errorf("got the hint %q", hint)
	}
}

func TestNegotiate(t *testing.T) {
	tests := []struct{ highest, lowest, wanted, want, says string }{
		{"1.41", "1.12", "", "1.41", ""},
		{"1.45", "1.24", "", "1.45", ""},
		{"1.52", "1.44", "", "1.51", ""},
		{"1.41", "", "", "1.41", ""},
		{"1.51", "1.24", "1.44", "1.44", ""},
		{"1.51", "1.24", "v1.44", "1.44", ""},
		{"1.40", "1.12", "", "", "the engine speaks API 1.40 at most; this program needs 1.41"},
		{"1.60", "1.55", "", "", "the engine speaks API 1.55 at least; this program speaks 1.51"},
		{"1.41", "1.12", "1.44", "", "the engine speaks API 1.41 at most; DOCKER_API_VERSION asks for 1.44"},
		{"1.51", "1.44", "1.41", "", "the engine speaks API 1.44 at least; this program speaks 1.41"},
		{"1.51", "1.24", "9.9", "", "DOCKER_API_VERSION asks for API 9.9"},
		{"1.51", "1.24", "latest", "", "read DOCKER_API_VERSION"},
		{"", "", "", "", "is not a version"},
	}
	for _, tt := range tests {
		v, err := negotiate(tt.highest, tt.lowest, tt.wanted)
		switch {
		case tt.says == "" && (err != nil || v.String() != tt.want), tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%+v: got %s, %v", tt, v, err)
		}
	}
}

// authority signs certificates, like openssl in Docker's instructions.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// issue signs a certificate for 127.0.0.1.
func (a *authority) issue(t *testing.T) (certPEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func TestTLS(t *testing.T) {
	real, ca := connect(t), newAuthority(t)
	certPEM, keyPEM := ca.issue(t)
	pair, err := tls.X509KeyPair([]byte(certPEM), []byte(keyPEM))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(ca.cert)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients})
	if err != nil {
		t.Fatal(err)
	}
	relay(t, listener, real.dial)
	host := "tcp://" + listener.Addr().String()
	certificates := func(dir, authority string) {
		for name, content := range map[string]string{"ca.pem": authority, "cert.pem": certPEM, "key.pem": keyPEM} {
			writeFile(t, filepath.Join(dir, name), content)
		}
	}
	home := t.TempDir()
	good, wrong := filepath.Join(home, "good"), filepath.Join(home, "wrong")
	certificates(good, ca.pem)
	certificates(wrong, newAuthority(t).pem)
	certificates(writeContext(t, home, "secure", host), ca.pem)
	for name, tt := range map[string]struct {
		env map[string]string
		ok  bool
	}{
		"environment":     {map[string]string{"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": good}, true},
		"context":         {map[string]string{"DOCKER_CONTEXT": "secure"}, true},
		"wrong authority": {map[string]string{"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": wrong}, false},
		"in the clear":    {map[string]string{"DOCKER_HOST": host}, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Connect(t.Context(), Options{Getenv: environment(tt.env), HomeDir: home})
			if !tt.ok {
				if err == nil || !errors.Is(err, container.ErrNoEngine) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, output, err := run(t.Context(), t, e, shell("echo through")); err != nil || output != "through\n" {
				t.Errorf("%q, %v", output, err)
			}
		})
	}
}
