package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"runtests/pkg/container"
)

func TestMACAddressByVersion(t *testing.T) {
	c := container.Container{Image: "img", MacAddress: "AA:BB:CC:DD:EE:FF"}
	old, err := createOptions(c, dialect{})
	if err != nil || old.Config.MacAddress != "aa:bb:cc:dd:ee:ff" || old.NetworkingConfig != nil {
		t.Errorf("1.43: %+v, %v", old, err)
	}
	for mode, key := range map[string]string{"": "bridge", "default": "bridge", "ci": "ci"} {
		c.NetworkMode = mode
		current, err := createOptions(c, dialect{network: "bridge"})
		if err != nil || current.Config.MacAddress != "" || current.HostConfig.NetworkMode != key || current.NetworkingConfig.EndpointsConfig[key].MacAddress != "aa:bb:cc:dd:ee:ff" {
			t.Errorf("1.44 on %q: %+v, %v", mode, current, err)
		}
	}
}

func TestKeptLog(t *testing.T) {
	e := connect(t)
	for keep, want := range map[bool]string{true: "", false: "none"} {
		c := command("true")
		c.KeepLog = keep
		exit, err := e.Run(t.Context(), c, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		inspected, err := e.inspect(t.Context(), exit.ID)
		if err != nil {
			t.Fatal(err)
		}
		if driver := inspected.HostConfig.LogConfig.Type; (driver == "none") != (want == "none") || driver == "" {
			t.Errorf("kept %v: log driver %q", keep, driver)
		}
		if err := e.Remove(t.Context(), exit.ID); err != nil {
			t.Error(err)
		}
	}
}

func TestParseDevice(t *testing.T) {
	for in, want := range map[string]string{
		"/dev/fuse": "/dev/fuse /dev/fuse rwm", "/dev/a:/dev/b": "/dev/a /dev/b rwm", "/dev/a:r": "/dev/a /dev/a r", "/dev/a:/dev/b:rw": "/dev/a /dev/b rw",
		"": "", "/dev/a:x": "", "/dev/a:/b:rw:c": "", "/dev/a:/b:": "",
	} {
		d, err := parseDevice(in)
		got := d.PathOnHost + " " + d.PathInContainer + " " + d.CgroupPermissions
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestMounts(t *testing.T) {
	c := container.Container{Mounts: []container.Mount{{Source: "/a", Target: "/b", Options: []string{"Z"}, ReadOnly: true}, {Source: "vol", Target: "/v"}, {Source: "/a:b", Target: "/c"}}}
	host, err := hostConfig(c, dialect{})
	if err != nil {
		t.Fatal(err)
	}
	if len(host.Binds) != 1 || host.Binds[0] != "/a:/b:ro,Z" || len(host.Mounts) != 2 || host.Mounts[0].Type != "volume" || host.Mounts[1].Type != "bind" {
		t.Errorf("got %+v", host)
	}
	for _, bad := range []container.Mount{{Source: "/a:b", Target: "/c", Options: []string{"z"}}, {Source: "v", Target: "/b", Options: []string{"nocopy"}}, {Source: "v", Target: "/b", Options: []string{"rslave"}}} {
		c.Mounts = []container.Mount{bad}
		if _, err := hostConfig(c, dialect{}); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestSeccompProfile(t *testing.T) {
	file := t.TempDir() + "/profile.json"
	if err := os.WriteFile(file, []byte(`{"defaultAction":"SCMP_ACT_ALLOW"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	e := connect(t)
	c := command("true")
	for option, ok := range map[string]bool{"seccomp=" + file: true, "seccomp:unconfined": true, "no-new-privileges:true": true, "seccomp=/no/such": false, "seccomp=/etc/hostname": false} {
		c.SecurityOpt = []string{option}
		if _, _, err := run(t.Context(), t, e, c); (err == nil) != ok {
			t.Errorf("%s: %v", option, err)
		}
	}
}

func TestContainersByLabel(t *testing.T) {
	e := connect(t)
	c := command("true")
	c.Name = strings.ToLower(label) + ".list"
	c.Labels = map[string]string{label: "1", "runtests.step": "it's a=b"}
	exit, err := e.Run(t.Context(), c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	found, err := e.Containers(t.Context(), map[string]string{label: "", "runtests.step": "it's a=b"})
	if err != nil || len(found) != 1 {
		t.Fatalf("got %+v, %v", found, err)
	}
	s := found[0]
	if s.ID != exit.ID || s.Name != c.Name || s.State != "exited" || s.Running() || s.Labels["runtests.step"] != "it's a=b" || time.Since(s.Created) > time.Hour {
		t.Errorf("got %+v", s)
	}
	for name, there := range map[string]bool{c.Name: true, c.Name[:len(c.Name)-1]: false, exit.ID[:12]: false, exit.ID: false, "a/b?c": false} {
		s, ok, err := e.ContainerNamed(t.Context(), name)
		if err != nil || ok != there || ok && (s.ID != exit.ID || s.State != "exited" || s.Labels[label] != "1") {
			t.Errorf("%q: %+v, %v, %v", name, s, ok, err)
		}
	}
	if err := e.Rename(t.Context(), exit.ID, c.Name+"2"); err != nil {
		t.Error(err)
	}
	if err := e.Rename(t.Context(), exit.ID, "-no"); err == nil {
		t.Error("a bad name is accepted")
	}
	for range 2 { // the second time it is not there
		if err := e.Remove(t.Context(), exit.ID); err != nil {
			t.Error(err)
		}
	}
	if err := e.Rename(t.Context(), exit.ID, c.Name); !errors.Is(err, container.ErrNoContainer) {
		t.Errorf("rename what is gone: %v", err)
	}
}

func TestImage(t *testing.T) {
	e := connect(t)
	i, err := e.Image(t.Context(), testImage())
	if err != nil || !strings.HasPrefix(i.ID, "sha256:") || i.Size == 0 || i.OS != "linux" || i.Created.IsZero() {
		t.Errorf("got %+v, %v", i, err)
	}
	if _, err := e.Image(t.Context(), "no-such-image"); !errors.Is(err, container.ErrNoImage) {
		t.Errorf("got %v", err)
	}
	if _, err := e.Image(t.Context(), "../containers"); err == nil || errors.Is(err, container.ErrNoImage) {
		t.Errorf("got %v", err)
	}
}

// counter counts what is written, and measures the memory meanwhile.
type counter struct {
	bytes int64
	peak  uint64
}

func (c *counter) Write(p []byte) (int, error) {
	if c.bytes>>27 != (c.bytes+int64(len(p)))>>27 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		c.peak = max(c.peak, m.HeapInuse+m.StackInuse)
	}
	c.bytes += int64(len(p))
	return len(p), nil
}

// BenchmarkOutput reads 1 GiB of a container's output.
func BenchmarkOutput(b *testing.B) {
	e := connect(b)
	const size = 1 << 30
	b.SetBytes(size)
	for b.Loop() {
		out := &counter{}
		exit, err := e.Run(b.Context(), shell(fmt.Sprintf("yes 'a line of a log that is neither short nor long' | head -c %d", size)), out)
		if err != nil || out.bytes != size {
			b.Fatalf("%d bytes, %v", out.bytes, err)
		}
		if out.peak > 16<<20 {
			b.Errorf("%d bytes of memory in use", out.peak)
		}
		b.ReportMetric(float64(out.peak)/(1<<20), "MiB")
		if err := e.Remove(b.Context(), exit.ID); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkContainer creates, runs and removes a container.
func BenchmarkContainer(b *testing.B) {
	e := connect(b)
	for b.Loop() {
		if exit, _, err := run(b.Context(), b, e, command("true")); err != nil || exit.Code != 0 {
			b.Fatal(err)
		}
	}
}
