package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
	"runtests/pkg/regular"
)

// dialect is how an engine differs from others when a container is created.
type dialect struct {
	// network is the default network, on an engine that takes a MAC address with the endpoint;
	// empty on an engine that takes it with the container.
	network string
	podman  bool
}

// createOptions returns c in the types of the API.
func createOptions(c container.Container, d dialect) (docker.CreateContainerOptions, error) {
	none, network := docker.CreateContainerOptions{}, d.network
	host, err := hostConfig(c, d)
	if err != nil {
		return none, err
	}
	options := docker.CreateContainerOptions{
		Name:     c.Name,
		Platform: c.Platform,
		Config: &docker.Config{
			Image:        c.Image,
			Entrypoint:   c.Entrypoint,
			Cmd:          c.Command,
			Env:          environmentOf(c.Env),
			User:         c.User,
			WorkingDir:   c.WorkingDir,
			Labels:       c.Labels,
			AttachStdout: true,
			AttachStderr: true,
		},
		HostConfig: host,
	}
	publish(c.Ports, options.Config, host)
	if c.MacAddress == "" {
		return options, nil
	}
	mac, err := net.ParseMAC(c.MacAddress)
	if err != nil {
		return none, fmt.Errorf("read the MAC address %q: %w", c.MacAddress, err)
	}
	if network == "" {
		options.Config.MacAddress = mac.String()
		return options, nil
	}
	if host.NetworkMode == "" || host.NetworkMode == "default" {
		host.NetworkMode = network // the endpoint's key must be the same name
	}
	options.NetworkingConfig = &docker.NetworkingConfig{EndpointsConfig: map[string]*docker.EndpointConfig{
		host.NetworkMode: {MacAddress: mac.String()},
	}}
	return options, nil
}

func environmentOf(variables []container.Variable) []string {
	var env []string
	for _, v := range variables {
		env = append(env, v.Name+"="+v.Value)
	}
	return env
}

func hostConfig(c container.Container, d dialect) (*docker.HostConfig, error) {
	host := &docker.HostConfig{
		Memory:         c.Memory,
		ShmSize:        c.ShmSize,
		NanoCPUs:       int64(math.Round(c.CPUs * 1e9)),
		NetworkMode:    c.NetworkMode,
		DNS:            c.DNS,
		ExtraHosts:     c.ExtraHosts,
		Init:           c.Init,
		Privileged:     c.Privileged,
		ReadonlyRootfs: c.ReadOnly,
		CapAdd:         c.CapAdd,
		CapDrop:        c.CapDrop,
	}
	if c.PidsLimit != 0 {
		host.PidsLimit = &c.PidsLimit
	}
	host.RestartPolicy = restartPolicy(c.Restart)
	if !c.KeepLog {
		host.LogConfig.Type = "none"
	}
	for _, t := range c.Tmpfs {
		target, options, _ := strings.Cut(t, ":")
		if host.Tmpfs == nil {
			host.Tmpfs = map[string]string{}
		}
		host.Tmpfs[target] = options
	}
	for _, s := range c.Devices {
		device, err := parseDevice(s)
		if err != nil {
			return nil, err
		}
		host.Devices = append(host.Devices, device)
	}
	for _, o := range c.SecurityOpt {
		option, err := securityOption(o, d)
		if err != nil {
			return nil, err
		}
		host.SecurityOpt = append(host.SecurityOpt, option)
	}
	for _, m := range c.AllMounts() {
		if err := addMount(host, m, d); err != nil {
			return nil, err
		}
	}
	return host, nil
}

// restartPolicy reads NAME[:NUMBER].
func restartPolicy(text string) docker.RestartPolicy {
	name, number, _ := strings.Cut(text, ":")
	count, _ := strconv.Atoi(number) // no number: 0, which is no limit
	return docker.RestartPolicy{Name: name, MaximumRetryCount: count}
}

// addMount adds the mount to host, as a Mount of the API where it can: the older form (Binds)
// cannot have a path with a colon, and creates a directory if the source is missing. But only
// the older form can relabel for SELinux (z, Z). And only in the older form does Podman accept
// the characters of notForPodman, because it turns a Mount into an unquoted line of CSV.
func addMount(host *docker.HostConfig, m container.Mount, d dialect) error {
	mount := docker.HostMount{Type: "volume", Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
	if m.Bind() {
		mount.Type = "bind"
	}
	older := d.podman && m.Source != "" && !m.NeedsLongForm() && strings.ContainsAny(m.Source+m.Target, notForPodman)
	var options []string // of the older form
	for _, o := range m.Options {
		switch {
		case slices.Contains(container.Propagations, o) && m.Bind():
			mount.BindOptions = &docker.BindOptions{Propagation: o}
			options = append(options, o)
		case o == "z" || o == "Z":
			older = true
			options = append(options, o)
		case o == "ro":
			mount.ReadOnly, m.ReadOnly = true, true
		case o == "rw", o == "cached":
			// the default on Linux
		default:
			return fmt.Errorf("mount %s: %q is not an option of such a mount", m.Target, o)
		}
	}
	if !older {
		host.Mounts = append(host.Mounts, mount)
		return nil
	}
	if m.NeedsLongForm() {
		return fmt.Errorf("mount %s: a path with a colon cannot be relabelled for SELinux", m.Target)
	}
	m.Options = options
	host.Binds = append(host.Binds, m.Short())
	return nil
}

// notForPodman are the characters that Podman's API does not accept in the path of a Mount.
const notForPodman = ",\"\r\n"

// parseDevice reads HOST[:CONTAINER][:rwm] in the same way as the docker client.
func parseDevice(s string) (docker.Device, error) {
	fields := strings.Split(s, ":")
	d := docker.Device{PathOnHost: fields[0], PathInContainer: fields[0], CgroupPermissions: "rwm"}
	switch {
	case len(fields) > 3 || fields[0] == "":
		return docker.Device{}, fmt.Errorf("read the device %q: it is not HOST[:CONTAINER[:rwm]]", s)
	case len(fields) == 3:
		d.PathInContainer, d.CgroupPermissions = fields[1], fields[2]
	case len(fields) == 2 && path.IsAbs(fields[1]):
		d.PathInContainer = fields[1]
	case len(fields) == 2:
		d.CgroupPermissions = fields[1]
	}
	if d.CgroupPermissions == "" || strings.Trim(d.CgroupPermissions, "rwm") != "" {
		return docker.Device{}, fmt.Errorf("read the device %q: its permissions are letters of rwm", s)
	}
	return d, nil
}

// seccompProfile returns the file that a security option names as its seccomp profile.
func seccompProfile(s string) (file string, ok bool) {
	name, ok := strings.CutPrefix(strings.Replace(s, ":", "=", 1), "seccomp=")
	return name, ok && name != "unconfined" && name != "builtin"
}

// maxSeccompProfile bounds a seccomp profile, in bytes. Docker's default one has 15 KB.
const maxSeccompProfile = 1 << 20

// securityOption returns the option as the engine takes it: for a seccomp profile, Docker takes
// the contents of the file and Podman its path.
func securityOption(s string, d dialect) (string, error) {
	name, ok := seccompProfile(s)
	if !ok {
		return s, nil
	}
	data, err := regular.Read(name, maxSeccompProfile)
	if err != nil {
		return "", fmt.Errorf("read the seccomp profile: %w", err)
	}
	if !json.Valid(data) {
		return "", fmt.Errorf("read the seccomp profile %s: %w", name, errors.New("it is not JSON"))
	}
	if d.podman {
		return "seccomp=" + name, nil
	}
	return "seccomp=" + string(data), nil
}
