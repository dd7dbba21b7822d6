package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runtests/pkg/container"
	"runtests/tests/dockerd"
	"runtests/tests/needs"
)

// sshServer runs OpenSSH's server on loopback with keys of its own, and puts an ssh that uses only
// them first in PATH. It returns the server's address.
func sshServer(t *testing.T) string {
	t.Helper()
	program := "/usr/sbin/sshd"
	if _, err := os.Stat(program); err != nil {
		t.Fatal("this test needs an SSH server: apt-get install openssh-server")
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd insists on it when run by root
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, key := range []string{"host", "user"} {
		if output, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, output)
		}
	}
	public, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "known_hosts"), fmt.Sprintf("[127.0.0.1]:%s %s", port, public))
	// SHLVL: a bash that sshd starts reads the user's .bashrc, which may take a second, except below another shell.
	writeFile(t, filepath.Join(dir, "sshd_config"), fmt.Sprintf("Port %s\nListenAddress 127.0.0.1\nHostKey %s/host\nAuthorizedKeysFile %s/user.pub\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nSetEnv SHLVL=1\n", port, dir, dir))
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatal("this test needs ssh: apt-get install openssh-client")
	}
	bin := filepath.Join(dir, "bin")
	writeFile(t, filepath.Join(bin, "ssh"), fmt.Sprintf("#!/bin/sh\nexec %s -F none -i %s/user -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=%s/known_hosts \"$@\"\n", ssh, dir, dir))
	if err := os.Chmod(filepath.Join(bin, "ssh"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "-D", "-e", "-f", filepath.Join(dir, "sshd_config"))
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
			t.Logf("sshd says: %s", log.String())
		}
	})
	await(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	return address
}

func TestSSH(t *testing.T) {
	needs.Engine(t, t.Name())
	dockerCLI(t) // the other side runs `docker system dial-stdio`
	socket := connect(t).Info().Host
	path, local := strings.CutPrefix(socket, "unix://")
	if !local {
		t.Fatalf("this test needs an engine on a socket, not %s", socket)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	host := "ssh://" + me.Username + "@" + sshServer(t) + path
	e, err := Connect(t.Context(), Options{Getenv: environment(map[string]string{"DOCKER_HOST": host}), HomeDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if e.Info().Local {
		t.Error("an engine behind ssh is not local")
	}
	c := shell("cat /test/data; echo through; exit 3")
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "data"), strings.Repeat("0123456789abcde\n", 1<<16))
	c.Copies = []container.Copy{{Source: dir, Target: "/test"}}
	exit, output, err := run(t.Context(), t, e, c)
	if err != nil || exit.Code != 3 || len(output) != 1<<20+len("through\n") {
		t.Errorf("%+v, %d bytes, %v", exit, len(output), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if exit, _, err := run(ctx, t, e, shell("sleep 60")); err != nil && !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) || exit.Code == 0 && exit.Stopped {
		t.Errorf("stopped through ssh: %+v, %v", exit, err)
	}
	wrong := "ssh://nobody-such@" + strings.TrimPrefix(host, "ssh://"+me.Username+"@")
	if _, err := Connect(t.Context(), Options{Getenv: environment(map[string]string{"DOCKER_HOST": wrong}), HomeDir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "ssh says: ") || strings.Contains(err.Error(), "dial-stdio") {
		t.Errorf("a user who may not enter: %v", err)
	}
}

// TestLoadThroughSSHToAFullDisk checks that the message of an engine whose disk is full, which comes
// while an image is being sent, is not lost to the broken pipe.
func TestLoadThroughSSHToAFullDisk(t *testing.T) {
	needs.Engine(t, t.Name())
	dockerCLI(t)
	needs.Root(t, t.Name(), "it starts an engine of its own")
	daemon, err := dockerd.New()
	if err != nil {
		t.Fatal(err)
	}
	daemon.Disk = "8m"
	t.Cleanup(func() {
		if err := daemon.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	host := "ssh://root@" + sshServer(t) + strings.TrimPrefix(daemon.Host(), "unix://")
	e, err := Connect(t.Context(), Options{Host: host, HomeDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	reader, writer := io.Pipe()
	go func() {
		archive := tar.NewWriter(writer)
		err := archive.WriteHeader(&tar.Header{Name: "layer.tar", Typeflag: tar.TypeReg, Size: size, Mode: 0o644})
		_, errCopy := io.CopyN(archive, &fullReader{after: 2 * size}, size)
		writer.CloseWithError(errors.Join(err, errCopy, archive.Close()))
	}()
	err = e.Load(t.Context(), reader)
	reader.Close()
	if !errors.Is(err, container.ErrNoSpace) {
		t.Errorf("got %v", err)
	}
}
