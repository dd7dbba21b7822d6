package suite

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

var update = flag.Bool("update", false, "write the golden files")

// environment is the one that the tests' suites see.
var environment = map[string]string{
	"HOME": "/home/ci", "JOBS": "3", "EMPTY": "", "IMAGE": "debian:12", "SMTP_PASSWORD": "s3cret-word", "DB_PASSWORD": "hunter2-word",
}

func env(dir string) Env {
	return Env{Dir: dir, Lookup: func(name string) (string, bool) { v, ok := environment[name]; return v, ok }}
}

// load writes text to a suite file in a fresh directory and loads it.
func load(t *testing.T, text string, o Overrides) (*Suite, string, error) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "runtests.yaml"), text)
	s, err := Load("runtests.yaml", env(dir), o)
	return s, dir, err
}

func mustLoad(t *testing.T, text string, o Overrides) (*Suite, string) {
	t.Helper()
	s, dir, err := load(t, text, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Every testdata/*.yaml is a bad file; the .golden beside it is all that is printed.
func TestProblemsOfBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test files", err)
	}
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := Load(filepath.Base(file), env(dir), Overrides{})
			if err == nil {
				t.Fatal("the file is bad, and was loaded")
			}
			got := strings.ReplaceAll(err.Error(), dir, "DIR") + "\n"
			for _, secret := range []string{"s3cret-word", "hunter2-word"} {
				if strings.Contains(got, secret) {
					t.Errorf("a password is printed:\n%s", got)
				}
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				write(t, golden, got)
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The sample of the contract, without deploy.
const sample = `name: ecs
logs: /var/log/runtests/ecs        # default: ./logs
lines: 40                          # log lines kept per failure (the N of the original)
jobs: 1
defaults:                          # any test may override
  timeout: 2h                      # default 1h
  mac_address: aa:bb:cc:dd:ee:ff   # the one in the Maple licence
  volumes: ["/maple:/maple:ro"]
  dns: [8.8.8.8, 172.21.8.87]
images:
  specfun-debian-opam:   { build: docker/debian/opam }
  specfun-debian-deps:   { build: docker/debian/ocaml-4.02.3-dynamow-deps, rebuild: weekly }
  specfun-ubuntu-deps:   { image: "registry.example.org/specfun/deps:1.10", pull_policy: always }
tests:
  ecs:     { dir: tests/ecs, image: [specfun-debian-deps, specfun-ubuntu-deps] }
  dynamow: { dir: tests/dynamow, image: specfun-debian-deps }
mail:
  server: smtp://smtp.example.org:25
  from: runtests@ci.example.org
  to: [team@example.org]
  send: always
keep_runs: 30
`

func TestSampleOfTheContract(t *testing.T) {
	s, dir := mustLoad(t, sample, Overrides{})
	step := func(test, image, reference string, pull PullPolicy) Step {
		return Step{
			Name: test + "@" + image, Test: test, Image: image, Dir: filepath.Join(dir, "tests", test),
			Mount: ReadWrite, Script: true, Timeout: 2 * time.Hour, PullPolicy: pull,
			Container: container.Container{
				Image: reference, Command: []string{"/test/test.sh"}, MacAddress: "aa:bb:cc:dd:ee:ff",
				Mounts: []container.Mount{{Source: filepath.Join(dir, "tests", test), Target: "/test"}, {Source: "/maple", Target: "/maple", ReadOnly: true}},
				DNS:    []string{"8.8.8.8", "172.21.8.87"}, StopGrace: 10 * time.Second, SecurityOpt: []string{"no-new-privileges"},
			},
		}
	}
	built := func(name, context string, rebuild Rebuild) Image {
		context = filepath.Join(dir, "docker/debian", context)
		return Image{Name: name, Reference: name, Build: &Build{Context: context, Dockerfile: filepath.Join(context, "Dockerfile"), Rebuild: rebuild, Timeout: time.Hour}}
	}
	want := &Suite{
		Name: "ecs", File: filepath.Join(dir, "runtests.yaml"), Dir: dir, Logs: "/var/log/runtests/ecs", Lines: 40, Jobs: 1, KeepRuns: 30, KeepImages: 2, MinFreeDisk: 5 << 30, MaxLog: 1 << 30,
		Diagnose: true, DiagnoseTimeout: 30 * time.Minute,
		Images: []Image{
			built("specfun-debian-opam", "opam", Rebuild{}),
			built("specfun-debian-deps", "ocaml-4.02.3-dynamow-deps", Rebuild{Days: 7}),
			{Name: "specfun-ubuntu-deps", Reference: "registry.example.org/specfun/deps:1.10", PullPolicy: PullAlways},
		},
		Steps: []Step{
			step("ecs", "specfun-debian-deps", "specfun-debian-deps", PullNever),
			step("ecs", "specfun-ubuntu-deps", "registry.example.org/specfun/deps:1.10", PullAlways),
			step("dynamow", "specfun-debian-deps", "specfun-debian-deps", PullNever),
		},
		Mail: &Mail{
			Server: "smtp://smtp.example.org:25", From: "runtests@ci.example.org", To: []string{"team@example.org"}, Send: SendAlways,
			Timeout: time.Minute, RetryFor: 5 * time.Minute, MaxSize: 1 << 20,
		},
	}
	s.outside, s.protected = outside{}, nil
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(Suite{}, outside{}, settings{}, overrides{})); diff != "" {
		t.Error(diff)
	}
}

// A container key each: what it says is what the engine is asked for.
func TestContainerKeys(t *testing.T) {
	for _, c := range []struct {
		yaml string
		want func(c *container.Container)
	}{
		{"command: make check 'a b'", func(c *container.Container) { c.Command = []string{"make", "check", "a b"} }},
		{"command: [sh, -c, 'make && make check']", func(c *container.Container) { c.Command = []string{"sh", "-c", "make && make check"} }},
		{"user: 1000:1000", func(c *container.Container) { c.User = "1000:1000" }},
		{"working_dir: /test", func(c *container.Container) { c.WorkingDir = "/test" }},
		{"mem_limit: 1.5g", func(c *container.Container) { c.Memory = 3 << 29 }},
		{"mem_limit: 6291456", func(c *container.Container) { c.Memory = 6 << 20 }},
		{"shm_size: 64m", func(c *container.Container) { c.ShmSize = 64 << 20 }},
		{"cpus: 1.5", func(c *container.Container) { c.CPUs = 1.5 }},
		{"cpus: '.5'", func(c *container.Container) { c.CPUs = .5 }},
		{"pids_limit: -1", func(c *container.Container) { c.PidsLimit = -1 }},
		{"tmpfs: /tmp", func(c *container.Container) { c.Tmpfs = []string{"/tmp"} }},
		{"tmpfs: ['/run:size=1m,mode=755']", func(c *container.Container) { c.Tmpfs = []string{"/run:size=1m,mode=755"} }},
		{"network_mode: none", func(c *container.Container) { c.NetworkMode = "none" }},
		{"network_mode: container:db", func(c *container.Container) { c.NetworkMode = "container:db" }},
		{"extra_hosts: ['a=10.0.0.1', 'b:::1', 'c=[::1]', 'd:host-gateway']", func(c *container.Container) {
			c.ExtraHosts = []string{"a:10.0.0.1", "b:::1", "c:::1", "d:host-gateway"}
		}},
		{"extra_hosts: {a: 10.0.0.1}", func(c *container.Container) { c.ExtraHosts = []string{"a:10.0.0.1"} }},
		{"init: yes", func(c *container.Container) { c.Init = true }},
		{"privileged: ${PRIVILEGED:-true}", func(c *container.Container) { c.Privileged, c.SecurityOpt = true, nil }},
		{"read_only: true", func(c *container.Container) { c.ReadOnly = true }},
		{"cap_add: [NET_ADMIN]", func(c *container.Container) { c.CapAdd = []string{"NET_ADMIN"} }},
		{"cap_drop: [ALL]", func(c *container.Container) { c.CapDrop = []string{"ALL"} }},
		{"security_opt: [no-new-privileges]", func(c *container.Container) { c.SecurityOpt = []string{"no-new-privileges"} }},
		{"security_opt: ['no-new-privileges:false']", func(c *container.Container) { c.SecurityOpt = []string{"no-new-privileges:false"} }},
		{"security_opt: ['no-new-privileges=true']", func(c *container.Container) { c.SecurityOpt = []string{"no-new-privileges=true"} }},
		{"security_opt: [seccomp=unconfined]", func(c *container.Container) {
			c.SecurityOpt = []string{"no-new-privileges", "seccomp=unconfined"}
		}},
		{"devices: ['/dev/fuse', '/dev/a:/dev/b:r']", func(c *container.Container) { c.Devices = []string{"/dev/fuse", "/dev/a:/dev/b:r"} }},
		{"platform: linux/arm64", func(c *container.Container) { c.Platform = "linux/arm64" }},
		{"stop_grace_period: 1m30s", func(c *container.Container) { c.StopGrace = 90 * time.Second }},
		{"mac_address: 02:42:ac:11:00:02", func(c *container.Container) { c.MacAddress = "02:42:ac:11:00:02" }},
		{"dns: 1.1.1.1", func(c *container.Container) { c.DNS = []string{"1.1.1.1"} }},
		{"volumes: ['data:/data', './a:/b:z,ro', '~/x:/x', '/anonymous']", func(c *container.Container) {
			c.Mounts = append(c.Mounts, container.Mount{Source: "data", Target: "/data"},
				container.Mount{Source: "DIR/a", Target: "/b", ReadOnly: true, Options: []string{"z"}},
				container.Mount{Source: "/home/ci/x", Target: "/x"}, container.Mount{Target: "/anonymous"})
		}},
		{"volumes: [{type: bind, source: 'a:b,c', target: /a, read_only: true, bind: {selinux: z}}]", func(c *container.Container) {
			c.Mounts = append(c.Mounts, container.Mount{Source: "DIR/a:b,c", Target: "/a", ReadOnly: true, Options: []string{"z"}})
		}},
		{"volumes: [{type: volume, source: data, target: /a}, '/net:/net:rslave', '/b:/b:cached']", func(c *container.Container) {
			c.Mounts = append(c.Mounts, container.Mount{Source: "data", Target: "/a"},
				container.Mount{Source: "/net", Target: "/net", Options: []string{"rslave"}}, container.Mount{Source: "/b", Target: "/b", Options: []string{"cached"}})
		}},
		{"volumes: [{type: tmpfs, target: /a, tmpfs: {size: 1m, mode: 1777}}]", func(c *container.Container) {
			c.Tmpfs = []string{"/a:size=1048576,mode=1777"}
		}},
		{"mount: ro", func(c *container.Container) { c.Mounts[0].ReadOnly = true }},
		{"mount: copy", func(c *container.Container) {
			c.Mounts, c.Copies = nil, []container.Copy{{Source: "DIR/tests/t", Target: "/test"}}
		}},
		{"dir: 'with:colon,comma'", func(c *container.Container) { c.Mounts[0].Source = "DIR/with:colon,comma" }},
		{"environment: {A: 1.10, B: 012, C: yes, D: 3:25, E: '', HOME:, NOT_SET:, F: $$x}", func(c *container.Container) {
			c.Env = []container.Variable{{Name: "A", Value: "1.10"}, {Name: "B", Value: "012"}, {Name: "C", Value: "yes"}, {Name: "D", Value: "3:25"},
				{Name: "E"}, {Name: "HOME", Value: "/home/ci", Inherited: true}, {Name: "F", Value: "$x"}}
		}},
		{"environment: [A=1=2, JOBS, 'API_TOKEN=x', 'X=${DB_PASSWORD}']", func(c *container.Container) {
			c.Env = []container.Variable{{Name: "A", Value: "1=2"}, {Name: "JOBS", Value: "3", Inherited: true},
				{Name: "API_TOKEN", Value: "x", Secret: true}, {Name: "X", Value: "hunter2-word", Secret: true}}
		}},
		{"environment: {A: {value: a-word, secret: true}, B: {secret: true}, HOME: {secret: yes}, A_TOKEN: {value: x, secret: false}, D: {value: 1}}", func(c *container.Container) {
			c.Env = []container.Variable{{Name: "A", Value: "a-word", Secret: true}, {Name: "HOME", Value: "/home/ci", Secret: true, Inherited: true}, {Name: "A_TOKEN", Value: "x"}, {Name: "D", Value: "1", Secret: true}}
		}},
	} {
		t.Run(c.yaml, func(t *testing.T) {
			s, dir := mustLoad(t, "tests:\n  t:\n    image: a:1.10\n    "+c.yaml+"\n", Overrides{})
			want := container.Container{
				Image: "a:1.10", Command: []string{"/test/test.sh"}, StopGrace: 10 * time.Second, SecurityOpt: []string{"no-new-privileges"},
				Mounts: []container.Mount{{Source: "DIR/tests/t", Target: "/test"}},
			}
			c.want(&want)
			got := s.Steps[0].Container
			for i := range got.Mounts {
				got.Mounts[i].Source = strings.Replace(got.Mounts[i].Source, dir, "DIR", 1)
			}
			for i := range got.Copies {
				got.Copies[i].Source = strings.Replace(got.Copies[i].Source, dir, "DIR", 1)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if script := want.Command[0] == "/test/test.sh"; s.Steps[0].Script != script {
				t.Errorf("Script = %v, want %v", s.Steps[0].Script, script)
			}
		})
	}
}

// The limits of a whole run, and who is told of it.
func TestRunKeys(t *testing.T) {
	environment["PING_URL"] = "https://hc.example.org/t0ken-word"
	t.Cleanup(func() { delete(environment, "PING_URL") })
	s, _ := mustLoad(t, "run_timeout: 6h\ndiagnose: no\ndiagnose_timeout: 2h\nmax_log: 200m\nping: ${PING_URL}\n", Overrides{})
	if s.RunTimeout != 6*time.Hour || s.Diagnose || s.DiagnoseTimeout != 2*time.Hour || s.MaxLog != 200<<20 || s.Ping != "https://hc.example.org/t0ken-word" {
		t.Errorf("%+v", s)
	}
	if s.PingHost() != "https://hc.example.org" {
		t.Error("for people:", s.PingHost())
	}
	s, _ = mustLoad(t, "ping: ${NOT_SET:-}\n", Overrides{})
	if s.Ping != "" || s.PingHost() != "" || s.RunTimeout != 0 || s.MaxLog != 1<<30 {
		t.Errorf("defaults: %+v", s)
	}
	for _, ping := range []string{
		"hc.example.org/t0ken-word", "ftp://h/t0ken-word", "http:///t0ken-word", "'http://h/%zz#t0ken-word'", "[http://h/t0ken-word]", "{a: t0ken-word}", "'http://h /t0ken-word'",
	} {
		for _, key := range []string{"ping", "PING", "pong"} {
			_, _, err := load(t, key+": "+ping+"\n", Overrides{})
			if err == nil || strings.Contains(err.Error(), "t0ken-word") {
				t.Errorf("%s: %s: %v", key, ping, err)
			}
		}
	}
}

// Secrets are what the file says is secret, what has a secret's name, and what an
// env_file or the mail section holds; an inherited variable alone is none.
func TestSecrets(t *testing.T) {
	_, dir := mustLoad(t, "name: x\n", Overrides{})
	write(t, dir+"/ci.env", "FROM_FILE=file-word\nSHORT=abc\n")
	write(t, dir+"/runtests.yaml", `
ping: https://u:url-word@hc.example.org/0123456789abcdef/start?k=v
defaults: {image: x, env_file: ci.env, environment: {ALLOW_EMPTY_PASSWORD: yes, HOME: }}
tests:
  a: {environment: {MARKED: {value: marked-word, secret: true}, TOKENIZER: {value: shown, secret: false}}}
  b: {command: [curl, "-u:${DB_PASSWORD}"], environment: ["API_TOKEN=token-word", "PLAIN=plain-word"]}
mail: {server: smtps://h, from: a@b, to: c@d, user: u, password: "${SMTP_PASSWORD}"}
`)
	s, err := Load("runtests.yaml", env(dir), Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"0123456789abcdef", "0123456789abcdef/start", "file-word", "hunter2-word", "marked-word", "s3cret-word", "token-word", "url-word"}
	if diff := cmp.Diff(want, s.Secrets); diff != "" {
		t.Error(diff)
	}
	if s.Mail.Password != "s3cret-word" || s.PingHost() != "https://hc.example.org" {
		t.Error("the secrets themselves are changed")
	}
}

// A secret that stands on a line without its key is not printed either.
func TestSecretsOfProblems(t *testing.T) {
	for _, text := range []string{
		"ping:\n  hc.example.org/hidden-word\n", "ping: >-\n  hc.example.org/hidden-word\n",
		"tests: {a: {environment: {A: {value: hidden-word, secret: maybe}}}}", "tests: {a: {environment: {A: {value: [hidden-word]}}}}",
		"tests: {a: {environment: {A: {valeu: hidden-word}}}}", "tests:\n  a:\n    environment:\n      A_TOKEN:\n        hidden-word${NOPE}\n",
		"tests:\n  a:\n    environment:\n      A:\n        secret: true\n        value: hidden-word${NOPE}\n",
		"mail:\n  password:\n    - hidden-word\n",
	} {
		s, _, err := load(t, text, Overrides{})
		if err == nil || strings.Contains(err.Error(), "hidden-word") {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
}

// Problems show the lines of a file unless it has a secret in it, wherever that is.
func TestExcerpts(t *testing.T) {
	for text, shown := range map[string]bool{
		"":                                                            true,
		"mail: {password: \"${SMTP_PASSWORD}\"}":                      true,
		"mail: {password_file: /etc/password}":                        true,
		"ping: ${PING_URL:-}":                                         true,
		"x-note: [https://example.org/passwd]":                        true,
		"tests: {a: {environment: [DB_PASSWORD]}}":                    true,
		"tests: {a: {environment: {X: \"a${DB_PASSWORD}b\"}}}":        true,
		"mail: {password: word}":                                      false,
		"mail: {password_file: x, password: word}":                    false,
		"mail: {pasword: word}":                                       false,
		"mail: {psasword: word}":                                      false,
		"mail:\n  password:\n    word":                                false,
		"mail: {server: smtp://u:word@h}":                             false,
		"# password: word":                                            false,
		"ping: https://example.org/word":                              false,
		"pign: https://example.org/word":                              false,
		"x-a: {API_TOKEN: word":                                       false, // not YAML
		"tests: {a: {environment: [A_TOKEN=word]}}":                   false,
		"tests: {a: {environment: {A: {value: word, secret: true}}}}": false,
		"tests: {a: {environment: {A: \"${DB_PASSWORD-word}\"}}}":     false,
	} {
		_, _, err := load(t, "name: ..\n"+text+"\n", Overrides{})
		var all *Errors
		if !errors.As(err, &all) {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, p := range all.Problems {
			if (p.Excerpt != "") != shown {
				t.Errorf("%s: the excerpt of line %d is %q, want one: %v", text, p.Line, p.Excerpt, shown)
			}
		}
	}
}

// The engine's socket is mounted by its name, and not by that of a directory above it.
func TestEngineSocket(t *testing.T) {
	environment["DOCKER_HOST"] = "unix:///srv/engine/docker.sock"
	environment["XDG_RUNTIME_DIR"] = "/run/user/1000"
	t.Cleanup(func() { delete(environment, "DOCKER_HOST"); delete(environment, "XDG_RUNTIME_DIR") })
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/run", link); err != nil {
		t.Fatal(err)
	}
	const socket = "/var/run/docker.sock:/var/run/docker.sock"
	for yaml, refused := range map[string]string{
		"volumes: ['/:/host:ro']":                               "/run/docker.sock",
		"volumes: ['/var/run/:/x']":                             "/var/run/docker.sock",
		"volumes: [{type: bind, source: /run, target: /x}]":     "/run/docker.sock",
		"volumes: ['" + link + ":/x']":                          "/run/docker.sock",
		"volumes: ['/run/podman:/x']":                           "/run/podman/podman.sock",
		"volumes: ['/run/user/1000:/x']":                        "/run/user/1000/docker.sock",
		"volumes: ['/srv:/x']":                                  "/srv/engine/docker.sock",
		"dir: /var":                                             "/var/run/docker.sock",
		"dir: /srv/engine/..":                                   "/srv/engine/docker.sock",
		"volumes: ['" + socket + "']":                           "",
		"volumes: ['" + socket + "', '/run:/x']":                "",
		"volumes: ['/srv/engine/docker.sock:/s', '/srv:/x']":    "",
		"volumes: ['/run/lock:/x', '/runner:/y', 'run:/z', /a]": "",
		"dir: /var\n    mount: copy":                            "",
		"volumes: [{type: tmpfs, target: /run}]":                "",
	} {
		_, _, err := load(t, "tests:\n  t:\n    image: x\n    "+yaml+"\n", Overrides{})
		if (err != nil) != (refused != "") || err != nil && !strings.Contains(err.Error(), "engine ("+refused+")") {
			t.Errorf("%s: %v", yaml, err)
		}
	}
	_, _, err := load(t, "tests: {t: {image: x}}\n", Overrides{Volumes: []string{"/var/run:/x"}})
	if err == nil {
		t.Error("--volume gives the engine away")
	}
	if _, err := FromDirs([]string{"/run"}, env("/"), Overrides{Image: "x"}); err == nil || hint.Of(err) == "" {
		t.Error("a directory on the command line gives the engine away:", err)
	}
}

// What a test says goes before the defaults: variables by name, volumes by target, the
// rest as a whole.
func TestMerging(t *testing.T) {
	s, dir := mustLoad(t, `
x-common: &common
  environment: {A: merged, D: merged}
  cap_add: [SYS_PTRACE]
defaults:
  image: [a, b]
  environment: {A: "1", B: "2"}
  volumes: ["/one:/data", "/two:/more/"]
  dns: [1.1.1.1, 2.2.2.2]
  mac_address: aa:bb:cc:dd:ee:ff
  cap_add: [NET_ADMIN]
  x-note: ignored
tests:
  own:
    <<: *common
    image: c
    environment: [B=own, C=own]
    volumes: ["/three:/more"]
    dns: 3.3.3.3
    mac_address: ""
  plain:
`, Overrides{})
	own := s.Steps[0].Container
	if s.Steps[0].Name != "own@c" || s.Steps[1].Name != "plain@a" || s.Steps[2].Name != "plain@b" || len(s.Steps) != 3 {
		t.Errorf("steps: %v", s.Steps)
	}
	want := container.Container{
		Image: "c", Command: []string{"/test/test.sh"}, StopGrace: 10 * time.Second, DNS: []string{"3.3.3.3"}, CapAdd: []string{"SYS_PTRACE"}, SecurityOpt: []string{"no-new-privileges"},
		Env:    []container.Variable{{Name: "A", Value: "1"}, {Name: "B", Value: "own"}, {Name: "C", Value: "own"}},
		Mounts: []container.Mount{{Source: dir + "/tests/own", Target: "/test"}, {Source: "/one", Target: "/data"}, {Source: "/three", Target: "/more"}},
	}
	if diff := cmp.Diff(want, own); diff != "" {
		t.Error(diff)
	}
	plain := s.Steps[1].Container
	if len(plain.DNS) != 2 || plain.MacAddress == "" || plain.Env[1].Value != "2" || plain.Mounts[2].Source != "/two" || plain.CapAdd[0] != "NET_ADMIN" {
		t.Errorf("a test changed the defaults: %+v", plain)
	}
}

func TestOverrides(t *testing.T) {
	text := "defaults: {volumes: ['/a:/data', '/b:/more'], image: [x, y], timeout: 2m}\ntests: {t: }\n"
	s, dir := mustLoad(t, text, Overrides{
		Image: "debian:12", Timeout: time.Second, Volumes: []string{"./here:/data"}, MacAddress: "02:00:00:00:00:01",
	})
	step := s.Steps[0]
	if len(s.Steps) != 1 || step.Name != "t@debian:12" || step.Timeout != time.Second || step.Container.MacAddress != "02:00:00:00:00:01" {
		t.Errorf("step: %+v", step)
	}
	want := []container.Mount{{Source: dir + "/tests/t", Target: "/test"}, {Source: dir + "/here", Target: "/data"}, {Source: "/b", Target: "/more"}}
	if diff := cmp.Diff(want, step.Container.Mounts); diff != "" {
		t.Error(diff)
	}
	_, _, err := load(t, text, Overrides{Image: "UP", MacAddress: "x", Volumes: []string{"a"}, Timeout: -1})
	for _, part := range []string{"image", "MAC", "volume", "timeout"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s is wrong and is not named: %v", part, err)
		}
	}
}

func TestTestsFromGlobs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]*c")
	for _, d := range []string{"tests/b", "tests/a", "tests/.git", "more/c"} {
		write(t, filepath.Join(dir, d, "file"), "")
	}
	write(t, filepath.Join(dir, "tests/README"), "")
	for _, c := range []struct{ yaml, want string }{
		{"tests/*", "a b"}, {"[more/*, tests/*, tests/a]", "c a b"}, {"tests/[a]", "a"}, {"tests/b", "b"},
	} {
		write(t, filepath.Join(dir, "s.yaml"), "defaults: {image: i}\ntests: "+c.yaml)
		s, err := Load(filepath.Join(dir, "s.yaml"), env("/"), Overrides{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, step := range s.Steps {
			got = append(got, step.Test)
		}
		if strings.Join(got, " ") != c.want || s.Steps[0].Container.Mounts[0].Source != s.Steps[0].Dir {
			t.Errorf("%s: %v, want %s", c.yaml, got, c.want)
		}
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "empty"), " \n\t\n")
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "huge"), strings.Repeat("# 45678\n", 4<<20/8)+"\n")
	for file, want := range map[string]string{
		"none":  `read suite file "none": no such file or directory`,
		".":     `read suite file ".": not a regular file`,
		"pipe":  `read suite file "pipe": not a regular file`,
		"empty": `read suite file "empty": it is empty`,
		"huge":  `read suite file "huge": larger than 4 MiB`,
	} {
		_, err := Load(file, env(dir), Overrides{})
		if err == nil || err.Error() != want || errors.Is(err, fs.ErrNotExist) != (file == "none") {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}

func TestMailPassword(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "password"), "from file \n")
	for _, c := range []struct{ yaml, password, wrong, warning string }{
		{"password: ${SMTP_PASSWORD}", "s3cret-word", "", ""},
		{"password_file: password", "from file ", "", ""},
		{"password: literal", "literal", "", "holds a password"},
		{"password: ${NOT_SET}", "", "NOT_SET is not set", ""},
		{"password_file: none", "", "no such file", ""},
	} {
		write(t, filepath.Join(dir, "s.yaml"), "mail:\n  server: smtps://h\n  from: a@b\n  to: c@d\n  user: u\n  "+c.yaml+"\n")
		if err := os.Chmod(filepath.Join(dir, "s.yaml"), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Load("s.yaml", env(dir), Overrides{})
		if err != nil {
			t.Fatalf("a password is needed to mail only: %v", err)
		}
		failed := s.Mail.PasswordError
		if s.Mail.Password != c.password || (failed == nil) != (c.wrong == "") || failed != nil && !strings.Contains(failed.Error(), c.wrong) {
			t.Errorf("%s: %q, %v", c.yaml, s.Mail.Password, failed)
		}
		if got := strings.Join(s.Warnings, "\n"); !strings.Contains(got, c.warning) || c.warning == "" && got != "" {
			t.Errorf("%s: warnings %q", c.yaml, got)
		}
	}
}

func TestMailServer(t *testing.T) {
	for text, want := range map[string]string{
		"smtp://h": "smtp://h:25", "smtp+starttls://h/": "smtp+starttls://h:587", "smtps://h": "smtps://h:465", "smtp://[::1]:2525": "smtp://[::1]:2525",
		"smtp://u:p@h": "", "http://h": "", "h:25": "", "smtp://h/x": "", "smtp://h:0": "", "smtp://h:99999": "", "smtp://h?x": "", "smtp://a b": "", "": "",
	} {
		got, err := mailServer(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Error("a password is printed:", err)
		}
	}
}

func TestWarningWhenOthersCanChangeTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "s.yaml")
	write(t, file, "name: x\n")
	e := env(dir)
	for _, c := range []struct {
		mode fs.FileMode
		root bool
		want int
	}{{0o666, true, 1}, {0o644, true, 0}, {0o666, false, 0}} {
		e.Root = c.root
		if err := os.Chmod(file, c.mode); err != nil {
			t.Fatal(err)
		}
		s, err := Load("s.yaml", e, Overrides{})
		if err != nil || len(s.Warnings) != c.want {
			t.Errorf("%v: %v, %v", c, s, err)
		}
	}
}

// Who can write the directory can put another file in the place of the suite file.
func TestWarningWhenOthersCanReplaceTheFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "s.yaml"), "name: x\n")
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(filepath.Join(dir, "s.yaml"), link); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[fs.FileMode]int{0o755: 0, 0o777: 1, 0o775: 1, 0o777 | fs.ModeSticky: 0} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"s.yaml", link} {
			e := env(dir)
			e.Root = true
			s, err := Load(file, e, Overrides{})
			if err != nil || len(s.Warnings) != want || want == 1 && !strings.Contains(s.Warnings[0], "replaced by others") {
				t.Errorf("%v: %v, %v", mode, s, err)
			}
		}
	}
}

func TestWarningWhenOthersCanReadSecrets(t *testing.T) {
	for _, c := range []struct {
		text string
		mode fs.FileMode
		want int
	}{{"DB_PASSWORD=x", 0o644, 1}, {"DB_PASSWORD=x", 0o640, 0}, {"LANG=C", 0o644, 0}} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "ci.env"), c.text)
		if err := os.Chmod(filepath.Join(dir, "ci.env"), c.mode); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "s.yaml"), "defaults: {image: x}\ntests: {a: {env_file: ci.env}, b: {env_file: ci.env}}\n")
		s, err := Load("s.yaml", env(dir), Overrides{})
		if err != nil || len(s.Warnings) != c.want {
			t.Errorf("%v: %v, %v", c, s.Warnings, err)
		}
	}
}
