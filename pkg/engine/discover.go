package engine

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/connhelper"

	"runtests/pkg/hint"
)

// place is where an engine may be.
type place struct {
	host   string // unix:///var/run/docker.sock
	origin string // what names it: DOCKER_HOST, context "ci"; empty for a default socket
	tls    *tls.Config
}

func (p place) String() string {
	if p.origin == "" {
		return p.host
	}
	return p.host + " (" + p.origin + ")"
}

// places returns where to look for an engine. The user may name one, and then it is the only
// place; otherwise the default sockets are tried.
func (o Options) places() ([]place, error) {
	if o.Host != "" {
		return []place{{host: o.Host}}, nil
	}
	if host := o.Getenv("DOCKER_HOST"); host != "" {
		p := place{host: host, origin: "DOCKER_HOST"}
		if strings.HasPrefix(host, "tcp://") && (o.Getenv("DOCKER_TLS_VERIFY") != "" || o.Getenv("DOCKER_TLS") != "") {
			var err error
			if p.tls, err = readTLS(cmp.Or(o.Getenv("DOCKER_CERT_PATH"), o.configDir()), host, true); err != nil {
				return nil, err
			}
		}
		return []place{p}, nil
	}
	name, origin := o.Getenv("DOCKER_CONTEXT"), "DOCKER_CONTEXT"
	if name == "" {
		file, err := config.Load(o.configDir())
		if err != nil {
			return nil, fmt.Errorf("read the configuration of the docker client: %w", err)
		}
		name, origin = file.CurrentContext, "current context"
	}
	if name != "" && name != "default" {
		p, err := o.contextPlace(name)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", origin, name, err)
		}
		p.origin = fmt.Sprintf("%s %q", origin, name)
		return []place{p}, nil
	}
	return o.defaultPlaces(), nil
}

// configDir returns the directory of the docker client's configuration.
func (o Options) configDir() string {
	return cmp.Or(o.Getenv("DOCKER_CONFIG"), filepath.Join(o.HomeDir, ".docker"))
}

// defaultPlaces returns the default sockets of Docker, rootless Docker, rootless Podman and
// Podman.
func (o Options) defaultPlaces() []place {
	paths := []string{"/var/run/docker.sock"}
	if dir := o.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		paths = append(paths, filepath.Join(dir, "docker.sock"), filepath.Join(dir, "podman/podman.sock"))
	}
	paths = append(paths, "/run/podman/podman.sock")
	var places []place
	for _, path := range paths {
		places = append(places, place{host: "unix://" + path})
	}
	return places
}

// readTLS reads ca.pem, cert.pem and key.pem in dir. Without ca.pem the engine is verified with the
// system's authorities, unless it is required, as where the environment asks for TLS.
func readTLS(dir, host string, caRequired bool) (*tls.Config, error) {
	u, err := url.Parse(host)
	if err != nil {
		return nil, fmt.Errorf("read the engine's address: %w", err)
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	switch {
	case err == nil:
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("read %s: no certificate in it", filepath.Join(dir, "ca.pem"))
		}
	case caRequired || !errors.Is(err, fs.ErrNotExist):
		return nil, hint.Wrap(fmt.Errorf("verify the engine at %s: %w", host, err),
			"put the certificate of the authority that signed the engine's there, or set DOCKER_CERT_PATH to its directory")
	}
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if exists(certFile) || exists(keyFile) {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("read the client certificate for %s: %w", host, err)
		}
		tlsConfig.Certificates = []tls.Certificate{pair}
	}
	return tlsConfig, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// contextPlace reads a context of the docker client. Its files are in folders named by the
// SHA-256 of the context's name. The client's own package for this would add a hundred
// packages.
func (o Options) contextPlace(name string) (place, error) {
	id := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	dir := filepath.Join(o.configDir(), "contexts")
	data, err := os.ReadFile(filepath.Join(dir, "meta", id, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return place{}, hint.Wrap(errors.New("no such context"), "`docker context ls` lists the contexts")
	}
	if err != nil {
		return place{}, err
	}
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return place{}, fmt.Errorf("read its meta.json: %w", err)
	}
	endpoint, ok := meta.Endpoints["docker"]
	if !ok || endpoint.Host == "" {
		return place{}, errors.New("it names no docker endpoint")
	}
	p := place{host: endpoint.Host}
	certificates := filepath.Join(dir, "tls", id, "docker")
	if !strings.HasPrefix(p.host, "tcp://") || (!exists(certificates) && !endpoint.SkipTLSVerify) {
		return p, nil
	}
	if p.tls, err = readTLS(certificates, p.host, false); err != nil {
		return place{}, err
	}
	p.tls.InsecureSkipVerify = endpoint.SkipTLSVerify // as the context's file asks
	return p, nil
}

// dialer returns a function that opens connections to the place; sshFlags are used with ssh.
func (p place) dialer(sshFlags []string) (dialFunc, error) {
	scheme, rest, _ := strings.Cut(p.host, "://")
	switch scheme {
	case "unix":
		return dialSocket(rest), nil
	case "tcp":
		u, err := url.Parse(p.host)
		if err != nil {
			return nil, fmt.Errorf("read the engine's address: %w", err)
		}
		port := "2375"
		if p.tls != nil {
			port = "2376"
		}
		return dialTCP(net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)), p.tls), nil
	case "ssh":
		helper, err := connhelper.GetConnectionHelperWithSSHOpts(p.host, sshFlags)
		if err != nil {
			return nil, err
		}
		return dialSSH(helper), nil
	}
	return nil, hint.Wrap(fmt.Errorf("%q is not an address of an engine", p.host),
		"write unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST")
}

// remedy returns what to do if the engine cannot be reached at the place.
func (p place) remedy(err error) string {
	path, isSocket := strings.CutPrefix(p.host, "unix://")
	switch {
	case isSocket && errors.Is(err, fs.ErrPermission):
		return permissionRemedy(path)
	case isSocket && strings.Contains(path, "podman"):
		return "start it: `systemctl --user start podman.socket` (or `systemctl start podman.socket` as root)"
	case isSocket:
		return "start it: `systemctl start docker`"
	case strings.HasPrefix(p.host, "ssh://"):
		return fmt.Sprintf("make sure that `ssh %s docker version` works without a question", strings.TrimPrefix(p.host, "ssh://"))
	}
	return "make sure that the engine runs there and listens on that address"
}

// permissionRemedy says which group may use the socket, and how to join it.
func permissionRemedy(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "run as root, or as a user who may open " + path
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "run as a user who may open " + path
	}
	group := strconv.FormatUint(uint64(stat.Gid), 10)
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	name := "USER"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return fmt.Sprintf("the socket belongs to the group %s: `usermod -aG %s %s` as root, then log in again", group, group, name)
}
