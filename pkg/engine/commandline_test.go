package engine

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	everything := Container{
		Image: "img", Command: []string{"/test/test.sh", "a b"}, Platform: "linux/amd64", MacAddress: "aa:bb:cc:dd:ee:ff",
		NetworkMode: "none", DNS: []string{"8.8.8.8", "172.21.8.87"}, ExtraHosts: []string{"db:10.0.0.1"}, User: "1000:1000", WorkingDir: "/w",
		Env:      []Variable{{Name: "A", Value: "it's $1"}, {Name: "TOKEN", Value: "hidden", Secret: true}, {Name: "F", Value: "hidden", FromFile: true}, {Name: "EMPTY"}},
		EnvFiles: []string{"/srv/env"}, Memory: 1 << 30, ShmSize: 1<<20 + 1, CPUs: 1.5, PidsLimit: 64, Init: true, Privileged: true, ReadOnly: true,
		CapAdd: []string{"SYS_PTRACE"}, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"}, Devices: []string{"/dev/fuse"}, Tmpfs: []string{"/tmp:size=1m"},
		Mounts: []Mount{{Source: "/a", Target: "/b", ReadOnly: true, Options: []string{"rslave"}}, {Source: "/c:d,e", Target: "/f", ReadOnly: true}, {Target: "/cache"}, {Source: "vol", Target: "/v"}},
		Labels: map[string]string{"x": "y"},
	}
	tests := []struct {
		name      string
		container Container
		keepAs    string
		want      string
	}{
		{"the contract's", Container{
			Image: "specfun-ubuntu-deps", Command: []string{"/test/test.sh"}, MacAddress: "aa:bb:cc:dd:ee:ff", Name: "runtests-1",
			Mounts: []Mount{{Source: "/srv/ci/tests/ecs", Target: "/test"}, {Source: "/maple", Target: "/maple", ReadOnly: true}},
		}, "", "docker run --rm --mac-address aa:bb:cc:dd:ee:ff -v /srv/ci/tests/ecs:/test -v /maple:/maple:ro specfun-ubuntu-deps /test/test.sh"},
		{"another entrypoint", Container{Image: "img", Entrypoint: []string{"/bin/sh", "-e"}, Command: []string{"-c", "true"}}, "",
			"docker run --rm --entrypoint /bin/sh img -e -c true"},
		{"kept", Container{Image: "img"}, "prod-ecs", "docker run --name prod-ecs img"},
		{"everything", everything, "", "docker run --rm --platform linux/amd64 --mac-address aa:bb:cc:dd:ee:ff --network none --dns 8.8.8.8 --dns 172.21.8.87" +
			" --add-host db:10.0.0.1 --user 1000:1000 --workdir /w --env-file /srv/env -e 'A=it'\"'\"'s $1' -e TOKEN -e EMPTY= --memory 1g --shm-size 1048577" +
			" --cpus 1.5 --pids-limit 64 --init --privileged --read-only --cap-add SYS_PTRACE --cap-drop ALL --security-opt no-new-privileges --device /dev/fuse" +
			" --tmpfs /tmp:size=1m -v /a:/b:ro,rslave --mount 'type=bind,\"src=/c:d,e\",dst=/f,readonly' -v /cache -v vol:/v img /test/test.sh 'a b'"},
		{"copied", Container{Image: "img", Copies: []Copy{{"/srv/t", "/test"}}, Command: []string{"/test/test.sh"}}, "",
			`c=$(docker create img /test/test.sh) && docker cp /srv/t/. "$c":/test && docker start -a "$c"; s=$?; docker rm -fv "$c" >/dev/null; (exit $s)`},
		{"copied and kept", Container{Image: "img", Copies: []Copy{{"/srv/t", "/test"}}}, "cid",
			`c=$(docker create --name cid img) && docker cp /srv/t/. "$c":/test && docker start -a "$c"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.container.CommandLine("docker", tt.keepAs); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// dockerCLI is a docker client that can do all that we do: Debian's is of the engine's age.
// A client from 28 on cannot give a MAC address to a container of Docker 20.10.
func dockerCLI(t *testing.T) string {
	t.Helper()
	for _, cli := range []string{"/usr/bin/docker", "docker"} {
		if path, err := exec.LookPath(cli); err == nil {
			return path
		}
	}
	t.Fatal("these tests need the docker client: apt-get install docker.io (docker-cli from trixie on)")
	return ""
}

// What CommandLine prints does by hand what Run does.
func TestCommandLineDoesTheSame(t *testing.T) {
	e, cli := connect(t), dockerCLI(t)
	nasty := "a b'c\"d$HOME`id`\\n\n\té…☃ *?[x] !! #\x01"
	base := t.TempDir()
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	dir := func(name string) string {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		script := "#!/bin/sh\necho in \"$PWD\"; ls -l /test | grep -c test.sh; cat /test/data; exit 4\n"
		for file, content := range map[string]string{"test.sh": script, "data": "data of " + name + "\n"} {
			if err := os.WriteFile(filepath.Join(path, file), []byte(content), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	mounted := func(name string, change func(*Container)) Container {
		c := command("/test/test.sh")
		c.Mounts = []Mount{{Source: dir(name), Target: "/test"}}
		change(&c)
		return c
	}
	envFile := filepath.Join(base, "env")
	if err := os.WriteFile(envFile, []byte("FROM_FILE=it is from the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := func(*Container) {}
	tests := map[string]Container{
		"plain":           mounted("plain", plain),
		"space and quote": mounted(`it's a "dir" $HOME`, plain),
		"colon and comma": mounted(`a:b,c "d"`, plain),
		"unicode":         mounted("é☃", plain),
		"newline":         mounted("a\nb", plain),
		"read-only": mounted("ro", func(c *Container) {
			c.Mounts[0].ReadOnly = true
			c.Command = []string{"/bin/sh", "-c", "exec 2>&1; echo x > /test/x || echo refused"}
		}),
		"arguments": command("printf", "<%s>", nasty, "", "--rm", "-v"),
		"environment": func() Container {
			c := shell(`printf '<%s>' "$A" "$SECRET" "$FROM_FILE" "$EMPTY"; env | grep -c ^EMPTY=`)
			c.Env = []Variable{{Name: "A", Value: nasty}, {Name: "SECRET", Value: nasty, Secret: true}, {Name: "FROM_FILE", Value: "it is from the file", FromFile: true}, {Name: "EMPTY"}}
			c.EnvFiles = []string{envFile}
			return c
		}(),
		"machine": func() Container {
			c := shell(`id -u; id -g; pwd; cat /sys/class/net/eth0/address; cat /etc/resolv.conf | grep nameserver; grep -w db /etc/hosts; df -k /dev/shm | tail -1 | awk '{print $2}'; mount | grep ' /scratch '`)
			c.User, c.WorkingDir, c.MacAddress = "1234:567", "/var tmp", "02:42:ac:11:00:99"
			c.DNS, c.ExtraHosts, c.ShmSize, c.Tmpfs = []string{"10.9.8.7"}, []string{"db:10.0.0.1"}, 3<<20, []string{"/scratch:size=1m"}
			return c
		}(),
		"rights": func() Container {
			c := shell(`grep Cap /proc/self/status; grep NoNewPrivs /proc/self/status; touch /x 2>&1; ls /dev/fuse /dev/loop-control 2>&1; ps | head -2`)
			c.CapDrop, c.CapAdd, c.SecurityOpt, c.ReadOnly, c.Init = []string{"ALL"}, []string{"CHOWN"}, []string{"no-new-privileges"}, true, true
			c.Devices = []string{"/dev/null:/dev/fuse:rw"}
			return c
		}(),
		"no network": func() Container { c := shell("ls /sys/class/net"); c.NetworkMode = "none"; return c }(),
		"status 0":   command("true"),
		"anonymous volume": func() Container {
			c := shell("mount | grep -c ' /cache '")
			c.Mounts = []Mount{{Target: "/cache"}}
			return c
		}(),
		"copied": func() Container {
			c := mounted("copied", plain)
			c.Copies, c.Mounts = []Copy{{c.Mounts[0].Source, "/test"}}, nil
			return c
		}(),
		"copied, read-only": func() Container {
			c := mounted("it's copied", plain)
			c.Copies, c.Mounts, c.ReadOnly = []Copy{{c.Mounts[0].Source, "/test"}}, nil, true
			return c
		}(),
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exit, want := mustRun(t, e, c)
			line := c.CommandLine(cli, "")
			if strings.Contains(line, "hidden") || c.Env == nil && strings.Contains(line, "SECRET") {
				t.Errorf("a secret is in %s", line)
			}
			var got bytes.Buffer
			cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
			cmd.Stdout, cmd.Stderr = &got, &got
			cmd.Env = append(os.Environ(), "SECRET="+nasty)
			err := cmd.Run()
			var status *exec.ExitError
			if err != nil && !errors.As(err, &status) {
				t.Fatal(err)
			}
			if cmd.ProcessState.ExitCode() != exit.Code || got.String() != want {
				t.Errorf("%s\ngave status %d, %q\nRun gave   %d, %q", line, cmd.ProcessState.ExitCode(), got.String(), exit.Code, want)
			}
		})
	}
}
