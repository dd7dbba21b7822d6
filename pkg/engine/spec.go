package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
)

// createOptions says in the API's words what c says in ours; network is the one
// it gets by default where a MAC address belongs to the endpoint, empty where it does not.
func createOptions(c container.Container, network string) (docker.CreateContainerOptions, error) {
	none := docker.CreateContainerOptions{}
	host, err := hostConfig(c)
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
		host.NetworkMode = network // the endpoint's key must be the name that the mode says
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

func hostConfig(c container.Container) (*docker.HostConfig, error) {
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
	for _, d := range c.Devices {
		device, err := parseDevice(d)
		if err != nil {
			return nil, err
		}
		host.Devices = append(host.Devices, device)
	}
	for _, o := range c.SecurityOpt {
		option, err := securityOption(o)
		if err != nil {
			return nil, err
		}
		host.SecurityOpt = append(host.SecurityOpt, option)
	}
	for _, m := range c.AllMounts() {
		if err := addMount(host, m); err != nil {
			return nil, err
		}
	}
	return host, nil
}

// restartPolicy reads NAME[:NUMBER].
func restartPolicy(text string) docker.RestartPolicy {
	name, number, _ := strings.Cut(text, ":")
	count, _ := strconv.Atoi(number) // none: 0, without a limit
	return docker.RestartPolicy{Name: name, MaximumRetryCount: count}
}

// addMount adds the mount to host. It is a Mount of the API, since the older form (Binds)
// cannot say a path with a colon and makes a directory of a source that is missing; but
// only the older form can relabel for SELinux (z, Z).
func addMount(host *docker.HostConfig, m container.Mount) error {
	mount := docker.HostMount{Type: "volume", Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
	if m.Bind() {
		mount.Type = "bind"
	}
	relabel := false
	for _, o := range m.Options {
		switch {
		case slices.Contains(container.Propagations, o) && m.Bind():
			mount.BindOptions = &docker.BindOptions{Propagation: o}
		case o == "nocopy" && !m.Bind():
			mount.VolumeOptions = &docker.VolumeOptions{NoCopy: true}
		case o == "z" || o == "Z":
			relabel = true
		case o == "ro":
			mount.ReadOnly = true
		case o == "rw", o == "cached", o == "delegated", o == "consistent":
			// what Linux does anyway
		default:
			return fmt.Errorf("mount %s: %q is not an option of such a mount", m.Target, o)
		}
	}
	if !relabel {
		host.Mounts = append(host.Mounts, mount)
		return nil
	}
	if m.NeedsLongForm() {
		return fmt.Errorf("mount %s: a path with a colon cannot be relabelled for SELinux", m.Target)
	}
	host.Binds = append(host.Binds, m.Short())
	return nil
}

// parseDevice reads HOST[:CONTAINER][:rwm], as the docker client does.
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

// securityOption reads the file of a seccomp profile: the engine wants what is in it.
func securityOption(s string) (string, error) {
	name, ok := strings.CutPrefix(strings.Replace(s, ":", "=", 1), "seccomp=")
	if !ok || name == "unconfined" || name == "builtin" {
		return s, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read the seccomp profile: %w", err)
	}
	if !json.Valid(data) {
		return "", fmt.Errorf("read the seccomp profile %s: %w", name, errors.New("it is not JSON"))
	}
	return "seccomp=" + string(data), nil
}
