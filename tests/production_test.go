package tests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/net/websocket"
	"golang.org/x/sys/unix"

	"runtests/tests/dockerd"
	"runtests/tests/needs"
)

// production is a machine that applications are deployed to: an engine and a network of its
// own, and a user's home, behind a real sshd on loopback.
type production struct {
	engine *privateEngine
	dir    string // of what is ours here: keys, ssh's configuration, programs
	port   string
	sshd   *exec.Cmd
	apache *exec.Cmd
}

// sshdPath is where Debian has it; it wants to be called by its whole path.
const sshdPath = "/usr/sbin/sshd"

// newProduction starts the machine. Its name for ssh is prod.
func newProduction(dir, disk string) (*production, error) {
	private, err := dockerd.New()
	if err != nil {
		return nil, err
	}
	private.Disk = disk
	p := &production{engine: &privateEngine{private}, dir: dir}
	if err := errors.Join(p.engine.Start(), p.raiseLoopback(), p.engine.provide(), p.keys(), p.programs()); err != nil {
		return nil, errors.Join(err, p.close())
	}
	if err := p.listen(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *production) close() error {
	var errs []error
	if p.apache != nil {
		errs = append(errs, p.apache.Process.Signal(syscall.SIGTERM))
		late := time.AfterFunc(storyBound, func() { _ = p.apache.Process.Kill() })
		_ = p.apache.Wait()
		late.Stop()
	}
	if p.sshd != nil {
		errs = append(errs, p.away())
	}
	return errors.Join(append(errs, p.engine.Close())...)
}

func (p *production) home() string { return filepath.Join(p.engine.Dir, "home") }

// pid is that of the engine's daemon, whose network is the machine's.
func (p *production) pid() (string, error) {
	text, err := os.ReadFile(filepath.Join(p.engine.Dir, "pid"))
	return strings.TrimSpace(string(text)), err
}

func (p *production) raiseLoopback() error {
	pid, err := p.pid()
	if err != nil {
		return err
	}
	out, err := exec.Command("nsenter", "--net=/proc/"+pid+"/ns/net", "ip", "link", "set", "lo", "up").CombinedOutput()
	if err != nil {
		return fmt.Errorf("raise the loopback of production: %w\n%s", err, out)
	}
	return nil
}

func (p *production) keys() error {
	for _, name := range []string{"host", "other-host", "user"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(p.dir, name)).CombinedOutput(); err != nil {
			return fmt.Errorf("ssh-keygen: %w\n%s", err, out)
		}
	}
	public, err := os.ReadFile(filepath.Join(p.dir, "host.pub"))
	if err != nil {
		return err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, p.port, err = net.SplitHostPort(free.Addr().String())
	return errors.Join(err, free.Close(), os.WriteFile(filepath.Join(p.dir, "known_hosts"), append([]byte("prod "), public...), 0o600))
}

// programs writes ssh with its configuration, and inprod, which runs a command as the
// machine's user does.
func (p *production) programs() error {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return err
	}
	inprod := filepath.Join(p.dir, "bin", "inprod")
	// SHLVL: a bash that sshd starts reads the user's .bashrc, which may take a second, except below another shell.
	files := map[string]string{
		"ssh_config": fmt.Sprintf("Host prod\n\tHostName 127.0.0.1\n\tPort %s\n\tUser root\n\tHostKeyAlias prod\n\tIdentityFile %s/user\n\tIdentitiesOnly yes\n\tUserKnownHostsFile %s/known_hosts\n\tGlobalKnownHostsFile none\n", p.port, p.dir, p.dir),
		"sshd_config": fmt.Sprintf("Port %s\nListenAddress 127.0.0.1\nHostKey %s/host\nAuthorizedKeysFile %s/user.pub\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nSetEnv SHLVL=1\nMaxStartups 100\nForceCommand exec %s sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
			p.port, p.dir, p.dir, inprod),
		"bin/ssh": fmt.Sprintf("#!/bin/sh\nexec %s -F %s/ssh_config \"$@\"\n", ssh, p.dir),
		"bin/inprod": fmt.Sprintf("#!/bin/sh\ncd %[1]s && exec nsenter --net=/proc/$(cat %[2]s/pid)/ns/net env -u DOCKER_CONTEXT HOME=%[1]s DOCKER_HOST=%[3]s \"$@\"\n",
			p.home(), p.engine.Dir, p.engine.Host()),
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(p.dir, "bin"), 0o755), os.MkdirAll(p.home(), 0o755), os.MkdirAll("/run/sshd", 0o755)); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// listen lets the machine be reached by ssh.
func (p *production) listen() error {
	log, err := os.OpenFile(filepath.Join(p.dir, "sshd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.sshd = exec.Command(sshdPath, "-D", "-e", "-f", filepath.Join(p.dir, "sshd_config"))
	p.sshd.Stdout, p.sshd.Stderr = log, log
	p.sshd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.sshd.Start(); err != nil {
		return err
	}
	return within(storyBound, func() error {
		conn, err := net.Dial("tcp", "127.0.0.1:"+p.port)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// apacheConfig is all of Apache's configuration but the virtual host.
const apacheConfig = `ServerRoot DIR
ServerName localhost
PidFile DIR/pid
Listen 8080
User www-data
Group www-data
ErrorLog DIR/error.log
DefaultRuntimeDir DIR
Mutex file:DIR default
LoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authz_core_module MODULES/mod_authz_core.so
LoadModule proxy_module MODULES/mod_proxy.so
LoadModule proxy_http_module MODULES/mod_proxy_http.so
LoadModule proxy_wstunnel_module MODULES/mod_proxy_wstunnel.so
LoadModule rewrite_module MODULES/mod_rewrite.so
Include DIR/site.conf
`

// proxy starts Debian's Apache on the machine, at port 8080, with a virtual host of
// examples/ecs/apache.
func (p *production) proxy(site string) error {
	host, err := os.ReadFile(filepath.Join(rootDir, "examples/ecs/apache", site))
	if err != nil {
		return err
	}
	dir := filepath.Join(p.engine.Dir, "apache")
	text := strings.NewReplacer("*:80>", "*:8080>", "/srv/prod-ecs", filepath.Join(p.home(), "web")).Replace(string(host))
	config := strings.NewReplacer("DIR", dir, "MODULES", "/usr/lib/apache2/modules").Replace(apacheConfig)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "site.conf"), []byte(text), 0o644),
		os.WriteFile(filepath.Join(dir, "apache2.conf"), []byte(config), 0o644)); err != nil {
		return err
	}
	p.apache = exec.Command(filepath.Join(p.dir, "bin", "inprod"), "/usr/sbin/apache2", "-f", filepath.Join(dir, "apache2.conf"), "-DFOREGROUND")
	p.apache.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.apache.Start(); err != nil {
		return err
	}
	return within(storyBound, func() error {
		conn, err := p.dial(context.Background(), "tcp", "127.0.0.1:8080")
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// cut breaks all connections.
func (p *production) cut() error {
	pid := strconv.Itoa(p.sshd.Process.Pid)
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	for _, child := range strings.Fields(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
	return err
}

// away is a machine that no longer answers.
func (p *production) away() error {
	err := p.cut()
	_ = p.sshd.Process.Kill()
	_ = p.sshd.Wait()
	p.sshd = nil
	return err
}

// within does something again until it succeeds.
func within(bound time.Duration, do func() error) error {
	deadline := time.NewTimer(bound)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-deadline.C:
			return err
		case <-again.C:
		}
	}
}

// dial connects to an address as somebody on the machine does.
func (p *production) dial(ctx context.Context, network, address string) (net.Conn, error) {
	pid, err := p.pid()
	if err != nil {
		return nil, err
	}
	type dialled struct {
		conn net.Conn
		err  error
	}
	result := make(chan dialled, 1)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine, as its network is another one
		space, err := os.Open("/proc/" + pid + "/ns/net")
		if err != nil {
			result <- dialled{nil, err}
			return
		}
		defer space.Close()
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- dialled{nil, err}
			return
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, address)
		result <- dialled{conn, err}
	}()
	r := <-result
	return r.conn, r.err
}

// get asks a URL on the machine, and returns what it answers with status 200.
func (p *production) get(url string) (string, error) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: p.dial, DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", answer.Status, text)
	}
	return string(text), nil
}

// converse says a word on a WebSocket of the machine, and returns the answer.
func (p *production) converse(url, word string) (string, error) {
	config, err := websocket.NewConfig(url, "http://localhost/")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := p.dial(ctx, "tcp", config.Location.Host)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	socket, err := websocket.NewClient(config, conn)
	if err != nil {
		return "", err
	}
	var answer string
	err = errors.Join(websocket.Message.Send(socket, word), websocket.Message.Receive(socket, &answer))
	return answer, err
}

// asker asks a URL ten times a second.
type asker struct {
	stop    chan struct{}
	once    sync.Once // stop is closed
	ended   sync.WaitGroup
	total   int
	failed  []string
	longest time.Duration // without an answer
}

const askPause = 100 * time.Millisecond

func (p *production) ask(url string) *asker {
	a := &asker{stop: make(chan struct{})}
	a.ended.Go(func() {
		tick := time.NewTicker(askPause)
		defer tick.Stop()
		last, failing := time.Now(), false
		for {
			_, err := p.get(url)
			a.total++
			now := time.Now()
			if failing || err != nil {
				a.longest = max(a.longest, now.Sub(last))
			}
			if failing = err != nil; failing {
				a.failed = append(a.failed, now.Format("15:04:05.000 ")+err.Error())
			} else {
				last = now
			}
			select {
			case <-a.stop:
				return
			case <-tick.C:
			}
		}
	})
	return a
}

// end may be called again.
func (a *asker) end() {
	a.once.Do(func() { close(a.stop) })
	a.ended.Wait()
}

// production start [disk=SIZE]|away|back|cut|freeze|thaw|restart|reboot|proxy SITE: a machine to deploy to, which ssh calls
// prod. From its start on inprod runs a command there, and PROD is its user's home; the
// directory app is a test whose container has an application.
func cmdProduction(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: production start [disk=SIZE]|away|back|cut|freeze|thaw|restart|reboot|proxy site")
	}
	story := ts.Value(storyKey{}).(*story)
	if args[0] == "start" {
		disk := ""
		if len(args) > 1 {
			disk = strings.TrimPrefix(args[1], "disk=")
		}
		dir := ts.MkAbs(".prod")
		ts.Check(os.MkdirAll(dir, 0o700))
		p, err := newProduction(dir, disk)
		ts.Check(err)
		story.production = p
		ts.Defer(func() {
			if err := p.close(); err != nil {
				ts.Logf("remove production: %v", err)
			}
		})
		ts.Setenv("PATH", filepath.Join(dir, "bin")+string(os.PathListSeparator)+ts.Getenv("PATH"))
		ts.Setenv("PROD", p.home())
		app, err := deployedApp()
		ts.Check(err)
		ts.Setenv("APP", app)
		return
	}
	p := story.production
	if p == nil {
		ts.Fatalf("no production was started")
	}
	switch args[0] {
	case "away":
		ts.Check(p.away())
	case "back":
		ts.Check(p.listen())
	case "cut":
		ts.Check(p.cut())
	case "proxy":
		ts.Check(p.proxy(args[1]))
	case "freeze":
		ts.Check(p.engine.Freeze())
	case "thaw":
		ts.Check(p.engine.Thaw())
	case "restart":
		ts.Check(p.engine.Stop())
		ts.Check(p.engine.Start())
		ts.Check(p.raiseLoopback())
	case "reboot":
		ts.Check(p.away())
		ts.Check(p.engine.Stop())
		ts.Check(p.engine.StopContainerd()) // and whatever the daemon did not stop in time
		ts.Check(p.engine.Start())
		ts.Check(p.raiseLoopback())
		ts.Check(p.listen())
	default:
		ts.Fatalf("production: unknown command %q", args[0])
	}
}

// ask start URL|stop: ask the URL on the production machine ten times a second; stop prints
// how many times nothing came of it.
func cmdAsk(ts *testscript.TestScript, neg bool, args []string) {
	story := ts.Value(storyKey{}).(*story)
	switch {
	case neg || len(args) == 0:
		ts.Fatalf("usage: ask start url|stop")
	case args[0] == "start" && len(args) == 2:
		asker := story.production.ask(args[1])
		story.asker = asker
		ts.Defer(asker.end)
	case args[0] == "stop" && story.asker != nil:
		story.asker.end()
		text := fmt.Sprintf("%d of %d requests failed, longest outage %s\n%s\n", len(story.asker.failed), story.asker.total,
			story.asker.longest.Round(time.Millisecond), strings.Join(story.asker.failed, "\n"))
		ts.Logf("%s", text)
		ts.Check(os.WriteFile(ts.MkAbs("asked"), []byte(text), 0o644))
	default:
		ts.Fatalf("ask: unknown command %q", args[0])
	}
}

// converse URL WORD FILE: say the word on a WebSocket of production; the answer goes to the file.
func cmdConverse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: converse url word file")
	}
	answer, err := ts.Value(storyKey{}).(*story).production.converse(args[0], args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(answer), 0o644))
}

// deployedApp is the application of the stories, a static program.
var deployedApp = sync.OnceValues(func() (string, error) {
	app := filepath.Join(binDir, "deployed")
	cmd := exec.Command("go", "build", "-o", app, "./deployed")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the application: %w\n%s", err, out)
	}
	return app, nil
})

// startProduction gives a test a machine to deploy to, and the environment to reach it.
func startProduction(t *testing.T, dir string) (*production, []string) {
	t.Helper()
	needs.Engine(t, t.Name())
	needs.Root(t, t.Name(), "it starts an engine of its own")
	own := filepath.Join(dir, ".prod")
	if err := os.MkdirAll(own, 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := newProduction(own, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Errorf("remove production: %v", err)
		}
	})
	return p, append(os.Environ(), "HOME="+dir, "PATH="+filepath.Join(own, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
}
