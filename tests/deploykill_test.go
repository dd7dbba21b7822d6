package tests

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// defaultDeployKills is how many deployments TestDeploymentKilledAtAnyMoment kills where
// RUNTESTS_KILLS does not say so.
const defaultDeployKills = 3

const killedDeployment = `
tests: { app: { dir: t, mount: ro, image: ` + baseImage + ` } }
deploy:
  web:
    from: app
    host: ssh://prod
    command: [/app/deployed, /prod/config]
    ports: ["10001:9080"]
    volumes: ["HOME/web:/prod"]
    files: { config: HOME/web/config }
    healthcheck: { http: "http://127.0.0.1:10001/", timeout: 1m }
    stop_grace_period: 5s
    keep: 1
`

// When a deployment is killed at any moment, production answers with the old or the new
// version, never with none, and with that version's file; the next deployment succeeds, and
// leaves nothing of the killed one.
func TestDeploymentKilledAtAnyMoment(t *testing.T) {
	kills, err := number(killsVariable, defaultDeployKills)
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%d kills, seed %d", kills, seed)
	k := newKilledDeployments(t, rand.New(rand.NewPCG(seed, 0)))
	k.deployWhole() // sends what all versions share
	started := time.Now()
	k.deployWhole()
	k.lasts = time.Since(started)
	for i := range kills {
		k.killOne(i%2 == 1)
		k.deployWhole()
		if t.Failed() {
			t.Fatalf("kill %d", i+1)
		}
	}
	if k.late == kills {
		t.Error("every deployment had ended before it was killed")
	}
	t.Logf("of %d deployments that were killed, %d of them in the exchange, %d too late: %d left the old version, %d the new one; %d were recovered",
		kills, kills/2, k.late, k.old, k.new, k.recovered)
}

// killedDeployments is an application whose deployments are killed.
type killedDeployments struct {
	t          *testing.T
	dir        string
	random     *rand.Rand
	env        []string
	production *production
	lasts      time.Duration // a deployment that nothing happens to
	version    int           // the one that was deployed last

	old, new, recovered, late int
}

// exchangeLasts is about how long the exchange of the containers takes.
const exchangeLasts = 2 * time.Second

func newKilledDeployments(t *testing.T, random *rand.Rand) *killedDeployments {
	t.Helper()
	k := &killedDeployments{t: t, dir: t.TempDir(), random: random}
	k.production, k.env = startProduction(t, k.dir)
	app, err := deployedApp()
	if err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nset -e\nmkdir /app\ncp /test/version /test/deployed /app/\n"
	err = errors.Join(os.Mkdir(filepath.Join(k.dir, "t"), 0o755),
		os.WriteFile(filepath.Join(k.dir, "runtests.yaml"), []byte(strings.ReplaceAll(killedDeployment, "HOME", k.production.home())), 0o644),
		os.WriteFile(filepath.Join(k.dir, "t", "test.sh"), []byte(script), 0o755),
		os.Link(app, filepath.Join(k.dir, "t", "deployed")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if ids, err := containersOf(k.dir); err == nil && len(ids) > 0 {
			_, _ = docker(append([]string{"rm", "-fv"}, ids...)...)
		}
	})
	return k
}

// next makes a version that is not there yet, and a deployment of it.
func (k *killedDeployments) next() *exec.Cmd {
	k.version++
	version := fmt.Sprint(k.version)
	err := errors.Join(os.WriteFile(filepath.Join(k.dir, "t", "version"), []byte(version), 0o644),
		os.WriteFile(filepath.Join(k.dir, "config"), []byte("name="+version+"\n"), 0o644))
	if err != nil {
		k.t.Fatal(err)
	}
	cmd := limited(k.t, commandLimit, filepath.Join(binDir, "runtests-fast"), "deploy", "web")
	cmd.Dir, cmd.Env = k.dir, k.env
	return cmd
}

func answerOf(version int) string { return fmt.Sprintf("version %d config %d\n", version, version) }

// deployWhole lets a deployment come to its end.
func (k *killedDeployments) deployWhole() {
	k.t.Helper()
	out, err := k.next().CombinedOutput()
	if err != nil {
		k.t.Fatalf("deploy: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "note: an exchange that was cut off") {
		k.recovered++
	}
	if answer, err := k.ask(); err != nil || answer != answerOf(k.version) {
		k.t.Errorf("after a deployment of version %d: %q, %v", k.version, answer, err)
	}
	names, err := k.production.engine.Docker("ps", "-a", "--format", "{{.Names}}")
	if err != nil || strings.Contains(names, "-next") || strings.Contains(names, "-outgoing") {
		k.t.Errorf("containers are left: %s, %v", names, err)
	}
	images, err := k.production.engine.Docker("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=runtests-deploy/*")
	if err != nil || len(strings.Fields(images)) > 2 {
		k.t.Errorf("images are left there: %s, %v", images, err)
	}
	if here, err := docker("images", "-q", "runtests-deploy/web"); err != nil || here != "" {
		k.t.Errorf("an image is left here: %s, %v", here, err)
	}
}

func (k *killedDeployments) ask() (string, error) { return k.production.get("http://127.0.0.1:10001/") }

// killOne starts a deployment, kills it at a moment of the whole or of the exchange, and
// looks at production.
func (k *killedDeployments) killOne(inExchange bool) {
	before := k.version
	cmd := k.next()
	stderr, err := os.Create(filepath.Join(k.dir, "stderr"))
	if err != nil {
		k.t.Fatal(err)
	}
	defer stderr.Close()
	cmd.Stderr = stderr
	ended := started(k.t, cmd)
	after := time.Duration(k.random.Int64N(int64(k.lasts)))
	if inExchange {
		after = time.Duration(k.random.Int64N(int64(exchangeLasts)))
		k.awaitExchange(stderr.Name(), ended)
	}
	if killAfter(cmd, ended, after) {
		k.late++
	}
	k.untilFree()
	switch answer, err := k.ask(); {
	case err != nil:
		k.t.Errorf("killed after %s, production does not answer: %v", after, err)
	case answer == answerOf(before):
		k.old++
	case answer == answerOf(k.version):
		k.new++
	default:
		k.t.Errorf("killed after %s, of version %d before and version %d now, production says %q", after, before, k.version, answer)
	}
}

// awaitExchange returns when a deployment says that it has begun.
func (k *killedDeployments) awaitExchange(stderr string, ended <-chan struct{}) {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		said, err := os.ReadFile(stderr)
		if err != nil {
			k.t.Fatal(err)
		}
		if strings.Contains(string(said), "moving the files into place") {
			return
		}
		select {
		case <-ended:
			return
		case <-again.C:
		}
	}
}

// untilFree waits until nothing holds the deployment's lock on the production machine.
func (k *killedDeployments) untilFree() {
	lock := filepath.Join(k.production.home(), ".local/state/runtests/deploy/web/lock")
	err := within(2*time.Minute, func() error { return exec.Command("flock", "-n", lock, "true").Run() })
	if err != nil {
		k.t.Fatalf("the lock is not given back: %v", err)
	}
}
