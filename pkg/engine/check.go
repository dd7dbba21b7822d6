package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
)

// known caches an answer of the engine.
type known[T any] struct{ answer atomic.Pointer[T] }

// get returns the answer. It calls ask until that returns ok, and then no more. Callers at the same
// moment each ask for themselves, so that none waits longer than its own context.
func (k *known[T]) get(ask func() (answer T, ok bool, err error)) (T, error) {
	if answer := k.answer.Load(); answer != nil {
		return *answer, nil
	}
	answer, ok, err := ask()
	if ok && err == nil {
		k.answer.Store(&answer)
	}
	return answer, err
}

// abilities is the part of /info about the engine's machine and its kernel. A field that the
// engine does not send is nil.
type abilities struct {
	NCPU            int
	MemoryLimit     *bool
	CPUCfsQuota     *bool
	PidsLimit       *bool
	SecurityOptions []string
}

// Check returns the settings of c that this engine cannot honour, because it ignores them or
// refuses the container. It asks the engine only about settings that depend on its machine.
func (e *Engine) Check(ctx context.Context, c container.Container) ([]container.Unsupported, error) {
	found := e.notInAPI(c)
	if dependsOnMachine(c) {
		a, err := e.machine(ctx)
		if err != nil {
			return nil, err
		}
		found = append(found, a.limits(c, e.info.Name)...)
		found = append(found, a.security(c, e.info.Name)...)
	}
	if c.Init && e.info.Name == podman {
		noInit, err := e.noInit.get(func() (bool, bool, error) { return e.lacksInit(ctx, c.Image) })
		if err != nil {
			return nil, fmt.Errorf("ask Podman for its init program: %w", err)
		}
		if noInit {
			found = append(found, container.Unsupported{
				Setting: "init", Reason: "Podman has no init program: catatonit is not installed on its machine", Remedy: "install catatonit there, or remove init: true",
			})
		}
	}
	return found, nil
}

// hostNetwork is the network mode of a container that shares its machine's network.
const hostNetwork = "host"

func dependsOnMachine(c container.Container) bool {
	return c.HostUser || c.Memory > 0 || c.CPUs > 0 || c.PidsLimit > 0 || len(c.SecurityOpt) > 0 || c.Privileged || c.NetworkMode == hostNetwork
}

func (e *Engine) askAbilities(ctx context.Context) (a abilities, ok bool, err error) {
	err = e.get(ctx, "/info", &a)
	return a, err == nil, err
}

// limits returns the limits of c that the engine's machine does not support.
func (a abilities) limits(c container.Container, engineName string) (found []container.Unsupported) {
	for _, limit := range []struct {
		setting string
		asked   bool
		has     *bool
		ignored bool
	}{
		{"mem_limit", c.Memory > 0, a.MemoryLimit, true},
		{"cpus", c.CPUs > 0, a.CPUCfsQuota, engineName == podman},
		{"pids_limit", c.PidsLimit > 0, a.PidsLimit, true},
	} {
		if limit.asked && limit.has != nil && !*limit.has {
			found = append(found, container.Unsupported{
				Setting: limit.setting, Ignored: limit.ignored,
				Reason: "the control groups of the engine's machine do not support this limit",
				Remedy: "mount the control groups there; an engine without root needs version 2 of them and systemd",
			})
		}
	}
	if engineName != podman && a.NCPU > 0 && c.CPUs > float64(a.NCPU) {
		found = append(found, container.Unsupported{
			Setting: "cpus", Reason: fmt.Sprintf("%g is more than the %d processors of the engine's machine", c.CPUs, a.NCPU), Remedy: fmt.Sprintf("set it to %d or less", a.NCPU),
		})
	}
	return found
}

// security returns the settings of c whose module the engine's machine lacks, or which it forbids.
func (a abilities) security(c container.Container, engineName string) (found []container.Unsupported) {
	for _, option := range c.SecurityOpt {
		name, value, _ := strings.Cut(strings.Replace(option, ":", "=", 1), "=")
		switch {
		case name == "apparmor" && value != "unconfined" && !a.has("apparmor"):
			found = append(found, container.Unsupported{
				Setting: "security_opt", Reason: option + " needs AppArmor, which is not enabled on the engine's machine",
				Remedy: "enable AppArmor there, or remove the option", Ignored: engineName != podman,
			})
		case name == "label" && value != "disable" && !a.has("selinux"):
			found = append(found, container.Unsupported{
				Setting: "security_opt", Reason: option + " needs SELinux, which is not enabled on the engine's machine",
				Remedy: "enable SELinux there, or remove the option", Ignored: true,
			})
		}
	}
	if c.HostUser && a.ownUsers() {
		found = append(found, container.Unsupported{
			Setting: "user", Ignored: true, Reason: "user: owner has no meaning on an engine that runs containers in a user namespace, where numbers stand for other users",
			Remedy: "the container runs as the user of its image, whose root is not the machine's root",
		})
	}
	if !a.has("userns") {
		return found
	}
	const reason, remedy = "the engine runs containers in a user namespace of their own (userns-remap), where they cannot %s", "remove the setting, or userns-remap from the engine's configuration"
	if c.Privileged {
		found = append(found, container.Unsupported{Setting: "privileged", Reason: fmt.Sprintf(reason, "be privileged"), Remedy: remedy})
	}
	if c.NetworkMode == hostNetwork {
		found = append(found, container.Unsupported{Setting: "network_mode", Reason: fmt.Sprintf(reason, "share the machine's network"), Remedy: remedy})
	}
	return found
}

// ownUsers reports whether the containers have users of their own, whose root is not the machine's:
// by userns-remap, or because the engine runs without root.
func (a abilities) ownUsers() bool { return a.has("userns") || a.has("rootless") }

// UserNamespace reports whether root in a container is another user of the engine's machine.
func (e *Engine) UserNamespace(ctx context.Context) (bool, error) {
	a, err := e.machine(ctx)
	return a.ownUsers(), err
}

// machine returns the abilities of the engine's machine.
func (e *Engine) machine(ctx context.Context) (abilities, error) {
	a, err := e.abilities.get(func() (abilities, bool, error) { return e.askAbilities(ctx) })
	if err != nil {
		return a, fmt.Errorf("ask the engine for its abilities: %w", err)
	}
	return a, nil
}

// has reports whether the engine lists a security module, as name=seccomp,profile=default.
func (a abilities) has(module string) bool {
	for _, option := range a.SecurityOptions {
		name, _, _ := strings.Cut(option, ",")
		if strings.TrimPrefix(name, "name=") == module {
			return true
		}
	}
	return false
}

// notInAPI returns the settings of c that the engine's API cannot express.
func (e *Engine) notInAPI(c container.Container) []container.Unsupported {
	if e.info.Name == podman {
		return notInPodman(c, e.info.Local)
	}
	var found []container.Unsupported
	for _, option := range c.SecurityOpt {
		switch name, _, _ := strings.Cut(strings.Replace(option, ":", "=", 1), "="); name {
		case "systempaths":
			found = append(found, container.Unsupported{
				Setting: "security_opt", Reason: option + " is an option of the docker command, not of Docker's API", Remedy: "use privileged: true, or Podman",
			})
		case "mask", "unmask", "proc-opts":
			found = append(found, container.Unsupported{
				Setting: "security_opt", Reason: option + " is an option of Podman, and Docker refuses it", Remedy: "remove the option, or use Podman",
			})
		}
	}
	return found
}

func notInPodman(c container.Container, local bool) (found []container.Unsupported) {
	for _, m := range c.AllMounts() {
		if strings.ContainsAny(m.Source+m.Target, notForPodman) && (m.NeedsLongForm() || m.Source == "") {
			found = append(found, container.Unsupported{
				Setting: "volumes", Reason: fmt.Sprintf("Podman's API cannot mount %q at %q: its paths may not have both a colon and a comma, a quote or a line end", m.Source, m.Target),
				Remedy: "rename the directory, or use mount: copy for the test's own",
			})
		}
	}
	for _, option := range c.SecurityOpt {
		if file, ok := seccompProfile(option); ok && !local {
			found = append(found, container.Unsupported{
				Setting: "security_opt", Reason: fmt.Sprintf("Podman reads the seccomp profile %s on its own machine, which is not this one", file),
				Remedy: "run the suite on that machine",
			})
		}
	}
	for _, tmpfs := range c.Tmpfs {
		_, options, _ := strings.Cut(tmpfs, ":")
		for option := range strings.SplitSeq(options, ",") {
			switch name, _, _ := strings.Cut(option, "="); name {
			case "uid", "gid", "nr_inodes", "nr_blocks", "mpol":
				found = append(found, container.Unsupported{
					Setting: "tmpfs", Reason: fmt.Sprintf("Podman has no option %s of a tmpfs", name), Remedy: "remove the option: Podman has size and mode",
				})
			}
		}
	}
	return found
}

// lacksInit reports whether Podman lacks an init program. No request of its API returns that, so
// lacksInit asks for a container with an unknown option of a tmpfs: Podman refuses it in any
// case, but it checks the init program before the tmpfs. This works only with an image that
// exists; otherwise ok is false.
func (e *Engine) lacksInit(ctx context.Context, image string) (lacks, ok bool, err error) {
	ctx, cancel := within(ctx, e.options.CallTimeout)
	defer cancel()
	created, err := e.client(ctx).CreateContainer(docker.CreateContainerOptions{
		Config:     &docker.Config{Image: image, Cmd: []string{"true"}},
		HostConfig: &docker.HostConfig{Init: true, Tmpfs: map[string]string{"/tmp": "runtests-asks"}},
		Context:    ctx,
	})
	if err == nil { // an engine that takes any option
		return false, true, e.Remove(context.WithoutCancel(ctx), created.ID)
	}
	switch err = explain(ctx, err); {
	case errors.Is(err, container.ErrGone) || ctx.Err() != nil:
		return false, false, err
	case strings.Contains(err.Error(), "lookup init binary"):
		return true, true, nil
	}
	return false, strings.Contains(err.Error(), "mount option"), nil
}
