package engine

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
)

// TestCheck checks the answer for each setting, by engine and machine. pkg/runner/conformance tests
// on each engine that the answers are true.
func TestCheck(t *testing.T) {
	yes, no := true, false
	bare := abilities{NCPU: 2, MemoryLimit: &no, CPUCfsQuota: &no, PidsLimit: &no, SecurityOptions: []string{"name=seccomp,profile=default"}}
	full := abilities{NCPU: 2, MemoryLimit: &yes, CPUCfsQuota: &yes, PidsLimit: &yes, SecurityOptions: []string{"name=apparmor", "name=selinux"}}
	options := func(options ...string) container.Container { return container.Container{SecurityOpt: options} }
	limits := container.Container{Memory: 1, CPUs: 0.5, PidsLimit: 1}
	mounts := func(source, target string) container.Container {
		return container.Container{Mounts: []container.Mount{{Source: source, Target: target}}}
	}
	for _, test := range []struct {
		name      string
		engine    Info
		machine   abilities
		container container.Container
		want      string // settings, with a ! when a container does not start with them
	}{
		{"nothing", Info{}, bare, container.Container{}, ""},
		{"limits", Info{}, bare, limits, "mem_limit cpus! pids_limit"},
		{"limits on Podman", Info{Name: podman}, bare, limits, "mem_limit cpus pids_limit"},
		{"limits that are there", Info{}, full, limits, ""},
		{"limits that the engine does not mention", Info{}, abilities{}, limits, ""},
		{"no limit", Info{}, bare, container.Container{PidsLimit: -1}, ""},
		{"all processors", Info{}, full, container.Container{CPUs: 2}, ""},
		{"more processors", Info{}, full, container.Container{CPUs: 2.5}, "cpus!"},
		{"more processors on Podman", Info{Name: podman}, full, container.Container{CPUs: 2.5}, ""},
		{"AppArmor", Info{}, bare, options("apparmor=p"), "security_opt"},
		{"AppArmor on Podman", Info{Name: podman}, bare, options("apparmor:p"), "security_opt!"},
		{"AppArmor that is there", Info{}, full, options("apparmor=p"), ""},
		{"SELinux", Info{}, bare, options("label=type:t", "label:user:u"), "security_opt security_opt"},
		{"SELinux that is there", Info{}, full, options("label=type:t"), ""},
		{"neither", Info{}, bare, options("apparmor=unconfined", "label=disable", "label:disable", "seccomp=unconfined", "no-new-privileges"), ""},
		{"the docker command's option", Info{}, full, options("systempaths=unconfined"), "security_opt!"},
		{"the docker command's option on Podman", Info{Name: podman}, full, options("systempaths=unconfined"), ""},
		{"Podman's option", Info{}, full, options("mask=/proc/version"), "security_opt!"},
		{"user namespace", Info{}, abilities{SecurityOptions: []string{"name=userns"}}, container.Container{Privileged: true, NetworkMode: "host"}, "privileged! network_mode!"},
		{"a user of the machine", Info{}, full, container.Container{User: "1:1", HostUser: true}, ""},
		{"a user of the machine, remapped", Info{}, abilities{SecurityOptions: []string{"name=userns"}}, container.Container{HostUser: true}, "user"},
		{"a user of the machine, without root", Info{Name: podman}, abilities{SecurityOptions: []string{"name=seccomp,profile=default", "name=rootless"}}, container.Container{HostUser: true}, "user"},
		{"a user of the image, remapped", Info{}, abilities{SecurityOptions: []string{"name=userns"}}, container.Container{User: "1:1"}, ""},
		{"no user namespace", Info{}, full, container.Container{Privileged: true, NetworkMode: "host"}, ""},
		{"profile", Info{}, full, options("seccomp=/p.json"), ""},
		{"profile on Podman here", Info{Name: podman, Local: true}, full, options("seccomp=/p.json"), ""},
		{"profile on Podman elsewhere", Info{Name: podman}, full, options("seccomp=/p.json"), "security_opt!"},
		{"comma and colon", Info{}, full, mounts("/a,b:c", "/t"), ""},
		{"comma on Podman", Info{Name: podman}, full, mounts("/a,b", "/t"), ""},
		{"colon on Podman", Info{Name: podman}, full, mounts("/a:b", "/t"), ""},
		{"comma and colon on Podman", Info{Name: podman}, full, mounts("/a,b:c", "/t"), "volumes!"},
		{"line end and colon on Podman", Info{Name: podman}, full, mounts("/a:b", "/t\n"), "volumes!"},
		{"volume without a name on Podman", Info{Name: podman}, full, mounts("", "/a,b"), "volumes!"},
		{"tmpfs", Info{}, full, container.Container{Tmpfs: []string{"/s:uid=1"}}, ""},
		{"tmpfs on Podman", Info{Name: podman}, full, container.Container{Tmpfs: []string{"/s:size=1m,uid=1", "/t", "/u:mode=700"}}, "tmpfs!"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := &Engine{info: test.engine, abilities: new(known[abilities]), noInit: new(known[bool])}
			e.abilities.answer.Store(&test.machine)
			found, err := e.Check(t.Context(), test.container)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range found {
				if u.Ignored {
					got = append(got, u.Setting)
				} else {
					got = append(got, u.Setting+"!")
				}
			}
			if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMountsForPodman mounts a path that Podman does not accept in a Mount in the older form,
// without the options that only Docker has.
func TestMountsForPodman(t *testing.T) {
	c := container.Container{Mounts: []container.Mount{
		{Source: "/a,b", Target: "/t", ReadOnly: true, Options: []string{"cached", "rslave"}},
		{Source: `/a"b`, Target: "/u"}, {Source: "/a\nb", Target: "/v"}, {Source: "/a:b", Target: "/w"}, {Source: "/a", Target: "/x"},
	}}
	host, err := hostConfig(c, dialect{podman: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/a,b:/t:ro,rslave", `/a"b:/u`, "/a\nb:/v"}, host.Binds); diff != "" || len(host.Mounts) != 2 {
		t.Errorf("%s\n%+v", diff, host.Mounts)
	}
	if host, err = hostConfig(c, dialect{}); err != nil || len(host.Binds) != 0 || len(host.Mounts) != 5 {
		t.Errorf("%+v, %v", host, err)
	}
}

func TestInitIsMissing(t *testing.T) {
	for text, told := range map[string]string{
		`exec: "docker-init": executable file not found in $PATH`:                                     "docker-init",
		`container create: lookup init binary: exec: "catatonit": executable file not found in $PATH`: "catatonit",
		`OCI runtime create failed: exec: "nope": executable file not found in $PATH: unknown`:        "the command",
	} {
		err := startFault(container.Container{Command: []string{"nope"}, Init: true}, errors.New(text))
		if !strings.Contains(err.Error(), told) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
