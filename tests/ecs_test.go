package tests

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runtests/tests/needs"
)

// ecsVariable names the image that TestECSThroughApache compiles the application of
// examples/ecs on: one that its suite has built, which takes longer than make test may.
const ecsVariable = "RUNTESTS_ECS"

// ecsSuite deploys the application twice: where ports are fixed, and where they are handed over.
const ecsSuite = `
name: ecs
tests:
  ecs: { dir: ROOT/examples/ecs/tests/ecs, image: IMAGE, mount: ro, volumes: ["ROOT/examples/ecs/ecs:/src/ecs:ro"], timeout: 20m }
deploy:
  fixed: &ecs
    from: ecs
    host: ssh://prod
    command: [/ecs/run, --config, /prod/config.json]
    ports: ["127.0.0.1:10011:9080", "127.0.0.1:10012:9081"]
    volumes: ["HOME/web:/prod"]
    files: { ROOT/examples/ecs/prod-ecs/config.json: HOME/web/config.json }
    healthcheck: { http: "http://127.0.0.1:10011/", timeout: 60s }
  handed:
    <<: *ecs
    ports: ["127.0.0.1:10001-10002:9080", "127.0.0.1:10003-10004:9081"]
    ports_file: HOME/web/ports
    healthcheck: { http: "http://127.0.0.1:10001/", timeout: 60s }
`

// originScript is the script of the origin, with what it leaves to its reader filled in.
const originScript = `set -e
REMOTE=prod
export CID=$1
echo "exporting prod-ecs to prod-ecs.tar"
docker export --output="prod-ecs.tar" $CID
echo "importing container to ${REMOTE} (prod-ecs.tmp)"
cat prod-ecs.tar | ssh ${REMOTE} "docker import - prod-ecs.tmp"
echo "stopping and deleting remote prod-ecs container, removing prod-ecs image"
ssh ${REMOTE} "docker stop prod-ecs; docker rm prod-ecs; docker rmi prod-ecs" || :
echo "renaming image prod-ecs.tmp to prod-ecs"
ssh ${REMOTE} "docker tag prod-ecs.tmp prod-ecs; docker rmi prod-ecs.tmp"
echo "copying config.json and run-ecs.sh to ${REMOTE}:prod-ecs/"
scp -O -F "$SSH_CONFIG" config.json run-ecs.sh ${REMOTE}:prod-ecs/
echo "launching ecs on ${REMOTE}"
ssh ${REMOTE} "sh prod-ecs/run-ecs.sh"
`

const originLaunch = `#!/bin/sh
docker run -d -v "$HOME/prod-ecs:/prod" -p 127.0.0.1:10021:9080 -p 127.0.0.1:10022:9081 --name prod-ecs prod-ecs /ecs/run --config /prod/config.json
`

// The application of examples/ecs comes to production behind Debian's Apache, and answers
// over HTTP and WebSocket; the outages of its new versions, beside those of the origin's script.
func TestECSThroughApache(t *testing.T) {
	image := os.Getenv(ecsVariable)
	if image == "" {
		needs.Asked(t, t.Name(), "make test-ecs")
	}
	dir := t.TempDir()
	p, env := startProduction(t, dir)
	replace := strings.NewReplacer("ROOT", rootDir, "IMAGE", image, "HOME", p.home())
	if err := os.WriteFile(filepath.Join(dir, "runtests.yaml"), []byte(replace.Replace(ecsSuite)), 0o644); err != nil {
		t.Fatal(err)
	}
	e := &ecsDeployments{t: t, dir: dir, env: append(env, "SSH_CONFIG="+filepath.Join(p.dir, "ssh_config")), p: p}
	e.run("runtests-fast", "deploy", "fixed", "handed")
	if err := p.proxy("handover.conf"); err != nil {
		t.Fatal(err)
	}
	e.through("http://127.0.0.1:8080/", "ws://127.0.0.1:8080/ws")
	e.run("runtests-fast", "deploy", "--status")

	fixed := e.asked("http://127.0.0.1:10011/count/binary-trees/10", func() { e.run("runtests-fast", "deploy", "fixed", "--last") })
	handed := e.asked("http://127.0.0.1:8080/count/binary-trees/10", func() { e.run("runtests-fast", "deploy", "handed", "--last") })
	e.through("http://127.0.0.1:8080/", "ws://127.0.0.1:8080/ws")
	if len(handed.failed) > 0 {
		t.Errorf("%d of %d requests failed while the version was handed over: %s", len(handed.failed), handed.total, handed.failed[0])
	}
	e.origin()
	origin := e.asked("http://127.0.0.1:10021/count/binary-trees/10", e.origin)
	t.Logf("outage: origin's script %s, fixed ports %s (%.2f of it), handed over %d of %d requests failed",
		origin.longest.Round(time.Millisecond), fixed.longest.Round(time.Millisecond), fixed.longest.Seconds()/origin.longest.Seconds(), len(handed.failed), handed.total)
}

// ecsDeployments are the commands of the test.
type ecsDeployments struct {
	t   *testing.T
	dir string
	env []string
	p   *production
}

func (e *ecsDeployments) run(name string, args ...string) {
	e.t.Helper()
	if name == "runtests-fast" {
		name = filepath.Join(binDir, name)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = e.dir, e.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		e.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	e.t.Logf("%s %v\n%s", filepath.Base(name), args, out)
}

// through asks the application as a browser does.
func (e *ecsDeployments) through(page, socket string) {
	e.t.Helper()
	text, err := e.p.get(page)
	if err != nil || !strings.Contains(text, "<title>Combinatorial structures</title>") {
		e.t.Errorf("the page: %q, %v", text, err)
	}
	text, err = e.p.converse(socket, `{"structure":"binary-trees","from":5,"to":5}`)
	if err != nil || !strings.Contains(text, `"count":"42"`) {
		e.t.Errorf("the WebSocket: %q, %v", text, err)
	}
}

// asked does something while the URL is asked ten times a second, and goes on asking until it answers.
func (e *ecsDeployments) asked(url string, do func()) *asker {
	a := e.p.ask(url)
	do()
	if err := within(storyBound, func() error { _, err := e.p.get(url); return err }); err != nil {
		e.t.Error(err)
	}
	a.end()
	e.t.Logf("%s: %d of %d requests failed, longest outage %s", url, len(a.failed), a.total, a.longest)
	return a
}

// origin deploys as the origin's script did.
func (e *ecsDeployments) origin() {
	e.t.Helper()
	config, err := os.ReadFile(filepath.Join(rootDir, "examples/ecs/prod-ecs/config.json"))
	err = errors.Join(err, os.MkdirAll(filepath.Join(e.p.home(), "prod-ecs"), 0o755),
		os.WriteFile(filepath.Join(e.dir, "config.json"), config, 0o644),
		os.WriteFile(filepath.Join(e.dir, "run-ecs.sh"), []byte(originLaunch), 0o644),
		os.WriteFile(filepath.Join(e.dir, "origin.sh"), []byte(originScript), 0o644))
	if err != nil {
		e.t.Fatal(err)
	}
	kept, err := docker("ps", "-aq", "--filter", "label=runtests.keep", "--filter", "label=runtests.run")
	if err != nil {
		e.t.Fatal(err)
	}
	ours, err := containersOf(e.dir)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, id := range ours {
		if strings.Contains(kept, id) {
			e.run("bash", "origin.sh", id)
			return
		}
	}
	e.t.Fatal(fmt.Errorf("no container was kept among %s", kept))
}
