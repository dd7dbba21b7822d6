package suite

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// noNewPrivileges keeps setuid programs (sudo, su) and file capabilities from giving a test more
// privileges than its container has. It is on unless a test's security_opt sets it.
const noNewPrivileges = "no-new-privileges"

// securityOptions returns the security options of the container and the default one. A privileged
// container does not get it: it has all privileges, and what runs in such a container (another
// engine, systemd) changes AppArmor profiles, which the option forbids.
func securityOptions(c container.Container) []string {
	given := slices.ContainsFunc(c.SecurityOpt, func(o string) bool {
		key, _, _ := strings.Cut(strings.Replace(o, ":", "=", 1), "=")
		return key == noNewPrivileges
	})
	if given || c.Privileged {
		return c.SecurityOpt
	}
	return append([]string{noNewPrivileges}, c.SecurityOpt...)
}

// shortestSecret is the length, in bytes, from which a value is masked. Shorter ones occur in
// too many other texts, and protect nothing.
const shortestSecret = 4

// secretsOf returns the values of the secret variables of s and of those that other values contain,
// the mail server's password, and the parts of the URLs of the ping and of health checks that may be tokens.
func (d *decoder) secretsOf(s *Suite) []string {
	secrets := slices.Concat(d.secrets, pingSecrets(s.Ping))
	if s.Mail != nil && s.Mail.Password != "" {
		secrets = append(secrets, s.Mail.Password)
	}
	for _, entry := range s.Images {
		if entry.Build != nil {
			secrets = append(secrets, secretValues(entry.Build.Args)...)
		}
	}
	for _, step := range s.Steps {
		secrets = append(secrets, secretValues(step.Container.Env)...)
	}
	for _, p := range s.Deployments {
		secrets = append(secrets, secretValues(p.Container.Env)...)
		secrets = append(secrets, checkSecrets(p.Check.HTTP)...)
	}
	slices.Sort(secrets)
	return slices.DeleteFunc(slices.Compact(secrets), func(secret string) bool {
		_, word := booleans[strings.ToLower(secret)] // of ALLOW_EMPTY_PASSWORD
		return len(secret) < shortestSecret || word
	})
}

func secretValues(variables []container.Variable) (values []string) {
	for _, v := range variables {
		if v.Secret {
			values = append(values, v.Value)
		}
	}
	return values
}

// longToken is the length, in bytes, from which a part of a URL's path counts as a token.
const longToken = 16

// checkSecrets returns the parts of a health check's URL that may be tokens: its password and its
// query, and the long values in that.
func checkSecrets(check string) (secrets []string) {
	u, err := url.Parse(check)
	if err != nil {
		return nil
	}
	if password, ok := u.User.Password(); ok {
		secrets = append(secrets, password)
	}
	for _, values := range u.Query() {
		for _, value := range values {
			if len(value) >= longToken {
				secrets = append(secrets, value)
			}
		}
	}
	return append(secrets, u.RawQuery)
}

// pingSecrets returns what follows the host in a ping's URL, and those parts of it that are long
// enough to be a token.
func pingSecrets(ping string) []string {
	u, err := url.Parse(ping)
	if err != nil || ping == "" {
		return nil
	}
	secrets := []string{strings.Trim(u.EscapedPath(), "/"), u.RawQuery}
	if password, ok := u.User.Password(); ok {
		secrets = append(secrets, password)
	}
	for _, part := range strings.FieldsFunc(u.Path+"/"+u.RawQuery, func(r rune) bool { return strings.ContainsRune("/&=", r) }) {
		if len(part) >= longToken {
			secrets = append(secrets, part)
		}
	}
	return secrets
}

// systemSockets are where engines listen by default.
var systemSockets = []string{
	"/run/docker.sock", "/var/run/docker.sock",
	"/run/podman/podman.sock", "/var/run/podman/podman.sock",
	"/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock",
	"/run/crio/crio.sock", "/var/run/crio/crio.sock",
}

// engineSockets returns the sockets of the system and of the user, and that of DOCKER_HOST.
func (e Env) engineSockets() []string {
	sockets := slices.Clone(systemSockets)
	if host, _ := e.lookup("DOCKER_HOST"); strings.HasPrefix(host, "unix://") {
		sockets = append(sockets, filepath.Clean(strings.TrimPrefix(host, "unix://")))
	}
	if dir, _ := e.lookup("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		sockets = append(sockets, filepath.Join(dir, "docker.sock"), filepath.Join(dir, "podman/podman.sock"))
	}
	return sockets
}

// nameSocket reports whether one of the volumes is an engine's socket itself.
func nameSocket(volumes []volume, sockets []string) bool {
	return slices.ContainsFunc(volumes, func(v volume) bool { return slices.Contains(sockets, v.mount.Source) })
}

// checkSocket returns an error if a mount contains an engine's socket.
func checkSocket(m container.Mount, sockets []string, on files) error {
	if !m.Bind() {
		return nil
	}
	for _, dir := range []string{m.Source, on.resolve(m.Source)} {
		below := strings.TrimSuffix(dir, "/") + "/"
		i := slices.IndexFunc(sockets, func(socket string) bool { return strings.HasPrefix(socket, below) })
		if i >= 0 {
			return hint.Errorf("mount only what the test needs; if it needs the engine, mount the socket itself too: "+sockets[i]+":"+sockets[i],
				"%s contains the socket of a container engine (%s): whoever can open it is root on the machine", quoted(m.Source), sockets[i])
		}
	}
	return nil
}
