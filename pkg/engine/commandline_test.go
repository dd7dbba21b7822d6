package engine

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"runtests/pkg/container"
)

// dockerCLI is a docker client that can do all that we do. Debian's is as old as its engine; a
// client from 28 on cannot set a MAC address on a container of Docker 20.10.
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

// TestCommandLineDoesTheSame runs the printed command, which must do the same as Run.
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
	mounted := func(name string, change func(*container.Container)) container.Container {
		c := command("/test/test.sh")
		c.Mounts = []container.Mount{{Source: dir(name), Target: "/test"}}
		change(&c)
		return c
	}
	envFile := filepath.Join(base, "env")
	if err := os.WriteFile(envFile, []byte("FROM_FILE=it is from the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := func(*container.Container) {}
	tests := map[string]container.Container{
		"plain":           mounted("plain", plain),
		"space and quote": mounted(`it's a "dir" $HOME`, plain),
		"colon and comma": mounted(`a:b,c "d"`, plain),
		"unicode":         mounted("é☃", plain),
		"newline":         mounted("a\nb", plain),
		"read-only": mounted("ro", func(c *container.Container) {
			c.Mounts[0].ReadOnly = true
			c.Command = []string{"/bin/sh", "-c", "exec 2>&1; echo x > /test/x || echo refused"}
		}),
		"arguments": command("printf", "<%s>", nasty, "", "--rm", "-v"),
		"environment": func() container.Container {
			c := shell(`printf '<%s>' "$A" "$SECRET" "$FROM_FILE" "$EMPTY"; env | grep -c ^EMPTY=`)
			c.Env = []container.Variable{{Name: "A", Value: nasty}, {Name: "SECRET", Value: nasty, Secret: true}, {Name: "FROM_FILE", Value: "it is from the file", FromFile: true}, {Name: "EMPTY"}}
			c.EnvFiles = []string{envFile}
			return c
		}(),
		"machine": func() container.Container {
			c := shell(`id -u; id -g; pwd; cat /sys/class/net/eth0/address; cat /etc/resolv.conf | grep nameserver; grep -w db /etc/hosts; df -k /dev/shm | tail -1 | awk '{print $2}'; mount | grep ' /scratch '`)
			c.User, c.WorkingDir, c.MacAddress = "1234:567", "/var tmp", "02:42:ac:11:00:99"
			c.DNS, c.ExtraHosts, c.ShmSize, c.Tmpfs = []string{"10.9.8.7"}, []string{"db:10.0.0.1"}, 3<<20, []string{"/scratch:size=1m"}
			return c
		}(),
		"rights": func() container.Container {
			c := shell(`grep Cap /proc/self/status; grep NoNewPrivs /proc/self/status; touch /x 2>&1; ls /dev/fuse /dev/loop-control 2>&1; ps | head -2`)
			c.CapDrop, c.CapAdd, c.SecurityOpt, c.ReadOnly, c.Init = []string{"ALL"}, []string{"CHOWN"}, []string{"no-new-privileges"}, true, true
			c.Devices = []string{"/dev/null:/dev/fuse:rw"}
			return c
		}(),
		"no network": func() container.Container { c := shell("ls /sys/class/net"); c.NetworkMode = "none"; return c }(),
		"status 0":   command("true"),
		"anonymous volume": func() container.Container {
			c := shell("mount | grep -c ' /cache '")
			c.Mounts = []container.Mount{{Target: "/cache"}}
			return c
		}(),
		"copied": func() container.Container {
			c := mounted("copied", plain)
			c.Copies, c.Mounts = []container.Copy{{Source: c.Mounts[0].Source, Target: "/test"}}, nil
			return c
		}(),
		"copied, read-only": func() container.Container {
			c := mounted("it's copied", plain)
			c.Copies, c.Mounts, c.ReadOnly = []container.Copy{{Source: c.Mounts[0].Source, Target: "/test"}}, nil, true
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
