package conformance

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"al.essio.dev/pkg/shellescape"

	"runtests/pkg/container"
	"runtests/pkg/runner/executortest"
)

// setting is one or more settings of a container, with a program that shows whether they are honoured.
type setting struct {
	name   string
	keys   string // in a suite file, of those that an executor may not honour
	change func(*container.Container)
	script string
	show   func(container.Container) any // what the script shows, from a container in memory
	want   string                        // what is printed where all is honoured, words separated by one blank
}

// settings checks that Check tells the truth. A setting that it does not mention is honoured,
// one that it calls ignored does not keep the container from running, and with any other the
// container does not start.
func settings(t *testing.T, b *bench) {
	for _, s := range slices.Concat(plainSettings(), limitSettings(), securitySettings(t), mountSettings(t)) {
		t.Run(s.name, func(t *testing.T) {
			c := b.container(Program{Script: s.script, Func: func(p *executortest.Process) int {
				shown := s.show(p.Container)
				if list, ok := shown.([]any); ok {
					fmt.Fprintln(p.Stdout, list...)
				} else {
					fmt.Fprintln(p.Stdout, shown)
				}
				return 0
			}})
			s.change(&c)
			b.checkSetting(t, s, c)
		})
	}
}

func (b *bench) checkSetting(t *testing.T, s setting, c container.Container) {
	t.Helper()
	unsupported, err := b.Executor.Check(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	refused := false
	for _, u := range unsupported {
		t.Logf("Check: %+v", u)
		if !slices.Contains(strings.Fields(s.keys), u.Setting) || u.Reason == "" || u.Remedy == "" {
			t.Errorf("a container with %s: %+v", s.keys, u)
		}
		refused = refused || !u.Ignored
	}
	exit, got, err := b.run(t.Context(), t, c)
	got = strings.Join(strings.Fields(got), " ")
	switch {
	case refused && err == nil:
		t.Errorf("Check refuses it, and it ran: %+v, %q", exit, got)
	case refused:
		t.Logf("Run: %v", err)
	case err != nil:
		t.Errorf("Check does not refuse it, and it did not run: %v", err)
	case len(unsupported) == 0 && got != s.want:
		t.Errorf("Check says nothing, and it is not honoured:\n got %q\nwant %q", got, s.want)
	}
}

// constant is for what only the executor can show.
func constant(text string) func(container.Container) any {
	return func(container.Container) any { return text }
}

// plainSettings are those that no known executor fails to honour.
func plainSettings() []setting {
	type of = container.Container
	return []setting{
		{"user, directory, environment, names, memory file systems", "", func(c *of) {
			c.User, c.WorkingDir, c.ReadOnly, c.ShmSize = "1234:567", "/var tmp", true, 3<<20
			c.Env = []container.Variable{{Name: "A", Value: "it's 1=2"}}
			c.DNS = []string{"10.9.8.7"}
			c.ExtraHosts = []string{"db:10.0.0.1", "six:fd00::1", "machine:host-gateway"}
			c.Tmpfs = []string{"/scratch:size=1m,mode=700"}
			c.Mounts = []container.Mount{{Target: "/cache"}}
			c.PidsLimit = -1
			c.MacAddress = "02:42:ac:11:00:99"
			c.Platform = "linux/" + runtime.GOARCH
		}, `echo $(id -u):$(id -g) "$PWD" "$A"
touch /new 2>/dev/null || echo read-only
df -k /dev/shm | awk 'NR==2 {print $2}'
sed -n 's/^nameserver //p' /etc/resolv.conf
awk '$2 == "db" || $2 == "six" {print $2 ":" $1} $2 == "machine" && $1 ~ /^[0-9.]+$/ {print "gateway"}' /etc/hosts
df -k /scratch | awk 'NR==2 {print $1, $2}'
awk '$2 == "/cache" {print $2}' /proc/self/mounts
cat /sys/class/net/eth0/address`, func(c of) any {
			return []any{
				c.User, c.WorkingDir, c.Env[0].Value, map[bool]string{true: "read-only"}[c.ReadOnly], c.ShmSize >> 10, c.DNS[0],
				c.ExtraHosts[0], c.ExtraHosts[1], strings.TrimPrefix(c.ExtraHosts[2], "machine:host-"),
				map[string]string{"/scratch:size=1m,mode=700": "tmpfs 1024"}[c.Tmpfs[0]], c.Mounts[0].Target, c.MacAddress,
			}
		}, "1234:567 /var tmp it's 1=2 read-only 3072 10.9.8.7 db:10.0.0.1 six:fd00::1 gateway tmpfs 1024 /cache 02:42:ac:11:00:99"},
		{"capabilities, privileges, devices", "", func(c *of) {
			c.CapDrop, c.CapAdd = []string{"ALL"}, []string{"CHOWN"}
			c.SecurityOpt = []string{"no-new-privileges:true", "seccomp=unconfined", "apparmor=unconfined", "label=disable"}
			c.Devices = []string{"/dev/null:/dev/mine:rw"}
		}, `field() { sed -n "s/^$1:[[:space:]]*//p" /proc/self/status; }
field CapEff; field NoNewPrivs; field Seccomp; [ -c /dev/mine ] && echo x >/dev/mine && echo /dev/mine`, func(c of) any {
			return []any{
				map[string]string{"CHOWN but ALL": "0000000000000001"}[c.CapAdd[0]+" but "+c.CapDrop[0]],
				map[string]int{"no-new-privileges:true": 1}[c.SecurityOpt[0]], map[string]int{"": 0}[c.SecurityOpt[1]], strings.Split(c.Devices[0], ":")[1],
			}
		}, "0000000000000001 1 0 /dev/mine"},
		{"no network", "", func(c *of) { c.NetworkMode = "none" },
			"[ -e /sys/class/net/eth0 ] || echo none", func(c of) any { return c.NetworkMode }, "none"},
		{"the machine's network", "network_mode", func(c *of) { c.NetworkMode = "host" }, "echo runs", constant("runs"), "runs"},
		{"a user of the machine", "user", func(c *of) { c.User, c.HostUser = "1234:567", true },
			"echo $(id -u):$(id -g)", func(c of) any { return c.User }, "1234:567"},
		{"init", "init", func(c *of) { c.Init = true }, "[ $$ -eq 1 ] || echo true", func(c of) any { return c.Init }, "true"},
		{"tmpfs of a user", "tmpfs", func(c *of) { c.Tmpfs = []string{"/scratch:uid=1234,gid=567"} },
			"stat -c /scratch:uid=%u,gid=%g /scratch", func(c of) any { return c.Tmpfs[0] }, "/scratch:uid=1234,gid=567"},
	}
}

func limitSettings() []setting {
	type of = container.Container
	return []setting{
		{"mem_limit", "mem_limit", func(c *of) { c.Memory = 64 << 20 },
			"cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null", func(c of) any { return c.Memory }, "67108864"},
		{"cpus", "cpus", func(c *of) { c.CPUs = 0.5 },
			"cd /sys/fs/cgroup; set -- $(cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu.max 2>/dev/null); echo $(($1 * 100 / $2))", func(c of) any { return int(c.CPUs * 100) }, "50"},
		{"cpus of a larger machine", "cpus", func(c *of) { c.CPUs = 4096 }, "echo runs", constant("runs"), "runs"},
		{"pids_limit", "pids_limit", func(c *of) { c.PidsLimit = 77 },
			"cd /sys/fs/cgroup; cat pids/pids.max pids.max 2>/dev/null", func(c of) any { return c.PidsLimit }, "77"},
	}
}

// forbidsMkdir is a seccomp profile under which no directory can be made.
const forbidsMkdir = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}`

func securitySettings(t *testing.T) []setting {
	t.Helper()
	type of = container.Container
	profile := filepath.Join(t.TempDir(), "profile.json")
	if err := os.WriteFile(profile, []byte(forbidsMkdir), 0o644); err != nil {
		t.Fatal(err)
	}
	var list []setting
	for _, o := range []struct{ name, option, script string }{
		{"seccomp profile", "seccomp=" + profile, "mkdir /new 2>/dev/null"},
		{"AppArmor profile", "apparmor=runtests-no-such-profile", "grep -q runtests-no-such-profile /proc/self/attr/apparmor/current"},
		{"SELinux type", "label=type:runtests_t", "grep -q runtests_t /proc/self/attr/current"},
		{"open system paths", "systempaths=unconfined", "! grep -q ' /proc/sys ' /proc/self/mounts"},
		{"hidden path", "mask=/proc/version", "! grep -q Linux /proc/version"},
	} {
		script := o.script + " 2>/dev/null && echo '" + o.option + "'"
		if o.name == "seccomp profile" {
			script = o.script + " || echo '" + o.option + "'"
		}
		list = append(list, setting{o.name, "security_opt", func(c *of) { c.SecurityOpt = []string{o.option} }, script,
			func(c of) any { return c.SecurityOpt[0] }, o.option})
	}
	return list
}

// mountSettings are the ways to mount a directory, and directories with names that are hard to say.
func mountSettings(t *testing.T) []setting {
	t.Helper()
	type of = container.Container
	base := t.TempDir()
	mounts := func(names ...string) (list []container.Mount) {
		for _, name := range names {
			source := filepath.Join(base, name)
			if err := os.MkdirAll(source, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(source, "data"), []byte(hex.EncodeToString([]byte(name))+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			list = append(list, container.Mount{Source: source, Target: "/t/" + name, ReadOnly: true})
		}
		return list
	}
	show := func(c of) any {
		var lines []string
		for _, m := range c.Mounts {
			data, err := os.ReadFile(filepath.Join(m.Source, "data"))
			lines = append(lines, string(data))
			if err != nil || !m.ReadOnly {
				return err
			}
		}
		return strings.Join(lines, " ")
	}
	mounted := func(name string, names ...string) setting {
		list := mounts(names...)
		var script strings.Builder
		var want []string
		for i, m := range list {
			fmt.Fprintf(&script, "touch %s/new 2>/dev/null || cat %[1]s/data\n", shellescape.Quote(m.Target))
			want = append(want, hex.EncodeToString([]byte(names[i])))
		}
		return setting{name, "volumes", func(c *of) { c.Mounts = list }, script.String(), show, strings.Join(want, " ")}
	}
	options := mounts("1", "2", "3", "4", "5")
	for i, option := range []string{"z", "Z", "private", "rprivate", "cached"} {
		options[i].Options = []string{option}
	}
	list := []setting{
		mounted("paths", "a b", "a'b", "a\tb", "a=b", `a\b`, "$HOME", "é☃", "a\x01b"),
		mounted("path with a comma", "a,b"),
		mounted("path with a colon", "a:b"),
		mounted("path with a quote", `a"b`),
		mounted("path with a line end", "a\nb"),
		mounted("path with a comma and a colon", "a,b:c"),
		mounted("path with a quote and a colon", `a"b:c`),
		mounted("path with a line end and a colon", "a\nb:c"),
		{"mount options", "volumes", func(c *of) { c.Mounts = options }, "cat /t/*/data", show, "31 32 33 34 35"},
	}
	copied := mounts("copied")[0].Source
	for name, readOnly := range map[string]bool{"copied directory": false, "copied directory, read-only root": true} {
		list = append(list, setting{name, "mount",
			func(c *of) { c.Copies, c.ReadOnly = []container.Copy{{Source: copied, Target: "/t"}}, readOnly },
			"echo x >/t/new && cat /t/data", func(c of) any {
				data, err := os.ReadFile(filepath.Join(c.Copies[0].Source, "data"))
				if err != nil {
					return err
				}
				return string(data)
			}, hex.EncodeToString([]byte("copied"))})
	}
	return list
}
