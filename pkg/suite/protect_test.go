package suite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/hint"
)

// exposing is a suite whose parts are in the usual places, and its test as the line says.
func exposing(line string) string {
	return `
images: { built: { build: { context: docker, dockerfile: build/Dockerfile } }, above: { build: . } }
tests: { t: { ` + line + `, image: debian, env_file: conf/ci.env } }
mail: { server: "smtp://127.0.0.1", from: a@example.org, to: b@example.org, user: u, password_file: secret/password, ca_file: ca/ca.pem }
deploy: { prod: { from: t, env_file: deployed/prod.env, files: { files/config.json: /srv/config.json } } }
`
}

// exposingDir returns a directory with what exposing names.
func exposingDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"docker/build/Dockerfile", "conf/ci.env", "secret/password", "ca/ca.pem", "deployed/prod.env", "files/config.json", "tests/t/test.sh", "Dockerfile"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), "A=1")
	}
	return dir
}

func TestWhatATestMayNotWrite(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"dir: tests/t", ""},
		{"dir: tests/t, volumes: [cache:/cache, /dev/null:/x, ./tests:/y]", ""},
		{"dir: ., mount: ro", ""},
		{"dir: ., mount: copy", ""},
		{"dir: .", `the suite file DIR/runtests.yaml and 10 more through its directory DIR`},
		{"dir: ..", `the suite file DIR/runtests.yaml and 10 more through its directory ABOVE`},
		{"dir: tests/t, volumes: ['.:/src:ro']", ""},
		{"dir: tests/t, volumes: ['.:/src']", `the suite file DIR/runtests.yaml and 10 more through its volume DIR`},
		{"dir: tests/t, volumes: [{type: bind, source: conf, target: /conf}]", `the env_file DIR/conf/ci.env through its volume DIR/conf`},
		{"dir: tests/t, volumes: [{type: bind, source: conf, target: /conf, read_only: true}]", ""},
		{"dir: tests/t, volumes: [./conf/ci.env:/e]", `the env_file DIR/conf/ci.env through its volume DIR/conf/ci.env`},
		{"dir: conf", `the env_file DIR/conf/ci.env through its directory DIR/conf`},
		{"dir: docker", `the Dockerfile DIR/docker/build/Dockerfile and 1 more through its directory DIR/docker`},
		{"dir: docker/build", `the Dockerfile DIR/docker/build/Dockerfile through its directory DIR/docker/build`},
		{"dir: secret", `the password_file DIR/secret/password through its directory DIR/secret`},
		{"dir: ca", `the ca_file DIR/ca/ca.pem through its directory DIR/ca`},
		{"dir: deployed", `the env_file DIR/deployed/prod.env through its directory DIR/deployed`},
		{"dir: files", `the deployed file DIR/files/config.json through its directory DIR/files`},
		{"dir: logs", `the folder of the logs DIR/logs through its directory DIR/logs`},
		{"dir: tests/t, volumes: [./logs/spool:/s]", `the folder of the logs DIR/logs/spool through its volume DIR/logs/spool`},
		{"dir: tests/t, volumes: [./logs/latest/x:/s]", `the folder of the logs DIR/logs/latest through its volume DIR/logs/latest/x`},
		{"dir: tests/t, volumes: [./logs/kept:/s]", `the folder of the logs DIR/logs/kept through its volume DIR/logs/kept`},
		{"dir: tests/t, volumes: [./logs/results:/s]", ""},
		{"dir: tests/t, security_opt: ['seccomp=DIR/tests/t/seccomp.json']", `the seccomp profile DIR/tests/t/seccomp.json through its directory DIR/tests/t`},
	} {
		t.Run(test.line, func(t *testing.T) {
			dir := exposingDir(t)
			write(t, filepath.Join(dir, "runtests.yaml"), strings.ReplaceAll(exposing(test.line), "DIR", dir))
			_, err := Load("runtests.yaml", env(dir), Overrides{})
			var got string
			if err != nil {
				got = err.Error()
			}
			got = strings.ReplaceAll(strings.ReplaceAll(got, dir, "DIR"), filepath.Dir(dir), "ABOVE")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) || strings.Count(got, " can write ") > 1 {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
			write(t, filepath.Join(dir, "runtests.yaml"), strings.ReplaceAll(exposing(test.line), "DIR", dir)+"trusted: true\n")
			if s, err := Load("runtests.yaml", env(dir), Overrides{}); err != nil || !s.Trusted || s.Regions() != nil {
				t.Errorf("trusted: %v", err)
			}
		})
	}
}

// A link hides nothing, whoever's it is.
func TestWhatATestMayNotWriteByLinks(t *testing.T) {
	dir := exposingDir(t)
	for name, target := range map[string]string{"tests/here": "..", "docker/build/Dockerfile": "../../tests/t/Dockerfile", "tests/t/Dockerfile": "/etc/hosts"} {
		_ = os.Remove(filepath.Join(dir, name))
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"dir: tests/here": "the suite file " + dir + "/runtests.yaml and",
		"dir: tests/t":    "the Dockerfile " + dir + "/docker/build/Dockerfile through",
	} {
		write(t, filepath.Join(dir, "runtests.yaml"), exposing(line))
		if _, err := Load("runtests.yaml", env(dir), Overrides{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v\nwant %s", line, err, want)
		}
	}
}

func TestExposureIsReportedWhereItIs(t *testing.T) {
	_, dir, err := load(t, `defaults: { image: x }
tests:
  a: { mount: copy, dir: . }
  b:
    mount: rw
    dir: .
    volumes: ["./:/src"]
  c: { volumes: ["./:/src", "./logs:/logs"] }
`, Overrides{})
	const hint = "; if the tests may rewrite what runs them, write trusted: true at the top of the suite"
	want := `runtests.yaml:6:10: test "b" can write the suite file DIR/runtests.yaml and 1 more through its directory DIR
      dir: .
           ^
  write mount: ro or mount: copy, or give it a directory of its own` + hint + `
runtests.yaml:7:14: test "b" can write the suite file DIR/runtests.yaml and 1 more through its volume DIR
      volumes: ["./:/src"]
               ^
  write DIR:/src:ro, or mount a directory of its own` + hint + `
runtests.yaml:8:17: test "c" can write the suite file DIR/runtests.yaml and 1 more through its volume DIR
    c: { volumes: ["./:/src", "./logs:/logs"] }
                  ^
  write DIR:/src:ro, or mount a directory of its own` + hint
	if diff := cmp.Diff(want, strings.ReplaceAll(err.Error(), dir, "DIR")); diff != "" {
		t.Error(diff)
	}
}

// The command line can expose a suite, too; a directory on its own has none to expose.
func TestExposureByTheCommandLine(t *testing.T) {
	_, dir, err := load(t, "tests: { t: { image: x } }", Overrides{Volumes: []string{".:/src"}})
	if err == nil || !strings.Contains(err.Error(), "through its volume "+dir) {
		t.Errorf("got %v", err)
	}
	s, dir := mustLoad(t, "defaults: { image: x }\ntests: {}", Overrides{})
	write(t, filepath.Join(dir, "test.sh"), "#!/bin/sh\n")
	if _, err := s.Select([]string{"."}, dir); err == nil || !strings.Contains(err.Error(), "can write the suite file") || !strings.Contains(hint.Of(err), "mount: ro") {
		t.Errorf("got %v (%s)", err, hint.Of(err))
	}
	if s, err := FromDirs([]string{"."}, env(dir), Overrides{Image: "x"}); err != nil || len(s.Steps) != 1 {
		t.Errorf("got %v", err)
	}
}

// TestWhatProductionMayNotWrite: the container of a deployment on the engine's own machine runs while tests are mounted.
func TestWhatProductionMayNotWrite(t *testing.T) {
	for _, c := range []struct{ test, deploy, want string }{
		{"dir: t", "volumes: ['DIR/data:/d']", ""},
		{"dir: t, volumes: ['./data:/d']", "volumes: ['DIR/data:/d']", ""},
		{"dir: t, volumes: ['./data/fix:/d']", "volumes: ['DIR/data:/d:ro']", ""},
		{"dir: t, volumes: ['./data/fix:/d']", "volumes: ['DIR/data:/d'], host: 'ssh://prod'", ""},
		{"dir: t, volumes: ['./data/fix:/d']", "volumes: ['DIR/data:/d']", `test "t" gets DIR/data/fix, which the container of a deployment can replace by a link, because it lies in its volume DIR/data`},
		{"dir: t, volumes: ['./data/fix:/d']", "volumes: ['DIR/data:/d'], host: 'unix:///run/docker.sock'", `test "t" gets DIR/data/fix`},
		{"dir: data/t, mount: copy", "volumes: ['DIR/data:/d']", `test "t" gets DIR/data/t`},
		{"dir: t, mount: ro", "volumes: ['DIR:/d']", `deployment "web" can write the suite file DIR/runtests.yaml and 1 more through its volume DIR`},
	} {
		text := "tests: { t: { image: x, " + c.test + " } }\ndeploy: { web: { from: t, " + c.deploy + " } }\n"
		dir := t.TempDir()
		text = strings.ReplaceAll(text, "DIR", dir)
		write(t, filepath.Join(dir, "runtests.yaml"), text)
		_, err := Load("runtests.yaml", env(dir), Overrides{})
		got := ""
		if err != nil {
			got = strings.ReplaceAll(err.Error(), dir, "DIR")
		}
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s; %s: got %s\nwant %s", c.test, c.deploy, got, c.want)
		}
		write(t, filepath.Join(dir, "runtests.yaml"), text+"trusted: true\n")
		if s, err := Load("runtests.yaml", env(dir), Overrides{}); err != nil || s.Regions() != nil {
			t.Errorf("%s; %s: trusted: %v", c.test, c.deploy, err)
		}
	}
}

// TestRegionsHaveTheDirectories: a commit can put a link in a test's directory, which the test itself cannot write.
func TestRegionsHaveTheDirectories(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"t", "outside"} {
		if err := os.Mkdir(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"t/cache": "../outside", "admin": "outside"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "runtests.yaml"), "tests: { t: { dir: t, image: x, mount: copy, volumes: ['./t/cache:/c', './admin:/a'] } }\n")
	s, err := Load("runtests.yaml", env(dir), Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	regions := s.Regions()
	if got, err := regions.Resolve(filepath.Join(dir, "t/cache")); err == nil {
		t.Errorf("the link in the test's directory leads to %s", got)
	}
	if got, err := regions.Resolve(filepath.Join(dir, "admin")); err != nil || filepath.Base(got) != "outside" {
		t.Errorf("the administrator's link: got %s, %v", got, err)
	}
}
