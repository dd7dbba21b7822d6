package mail

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	netmail "net/mail"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/mail/smtptest"

	"runtests/tests/needs"
)

// postfix is Debian's MTA with its configuration, queue and mailboxes in a directory of
// its own, and a port of loopback. It does not touch a postfix that the machine runs.
type postfix struct {
	Dir  string
	Port string
	UID  string // owner of the mailboxes
}

var postfixMain = template.Must(template.New("main.cf").Parse(`compatibility_level = 3.6
queue_directory = {{.Dir}}/queue
data_directory = {{.Dir}}/data
maillog_file = {{.Dir}}/log
maillog_file_prefixes = {{.Dir}}
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.runtests.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
default_transport = error:this machine sends nothing out
virtual_mailbox_domains = runtests.test
virtual_mailbox_base = {{.Dir}}/mail
virtual_mailbox_maps = texthash:{{.Dir}}/mailboxes
virtual_uid_maps = static:{{.UID}}
virtual_gid_maps = static:{{.UID}}
virtual_minimum_uid = 1
message_size_limit = 2000000
smtpd_helo_required = yes
smtpd_helo_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {{.Dir}}/cert.pem
smtpd_tls_key_file = {{.Dir}}/key.pem
strict_rfc821_envelopes = yes
`))

var postfixMaster = template.Must(template.New("master.cf").Parse(`127.0.0.1:{{.Port}} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
`))

// startPostfix runs postfix until the test ends.
func startPostfix(t *testing.T) (p postfix, server Server) {
	t.Helper()
	master, err := exec.LookPath("/usr/lib/postfix/sbin/master")
	if err != nil {
		t.Fatal("this test delivers to a real mail server: apt-get install postfix")
	}
	owner, err := user.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: the user postfix must be able to traverse the directory.
	dir, err := os.MkdirTemp("", "runtests-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p = postfix{Dir: dir, Port: closedPort(t), UID: owner.Uid}
	p.configure(t)
	certificate, authority, err := smtptest.Certificate(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "ca.pem"), authority)
	write(t, filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}))
	write(t, filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))

	check := exec.Command("postfix", "-c", dir, "check") // also creates the queue's directories
	if out, err := check.CombinedOutput(); err != nil {
		t.Fatalf("postfix check: %v\n%s", err, out)
	}
	cmd := exec.Command(master, "-c", dir, "-d")
	// master signals its whole process group when it ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("postfix's log:\n%s", log)
		}
	})
	server, err = ParseServer("smtp://127.0.0.1:" + p.Port)
	if err != nil {
		t.Fatal(err)
	}
	server.CAFile = filepath.Join(dir, "ca.pem")
	eventually(t, "an answer of postfix", func() bool {
		_, err := server.Check(t.Context())
		return err == nil
	})
	return p, server
}

func (p postfix) configure(t *testing.T) {
	t.Helper()
	if err := os.Chmod(p.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	owner, err := user.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	var uid, gid int
	if _, err := fmt.Sscan(owner.Uid+" "+owner.Gid, &uid, &gid); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"queue", "data", "mail"} {
		path := filepath.Join(p.Dir, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if name == "queue" {
			continue // owned by root, as postfix check requires
		}
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(p.Dir, "mailboxes"), []byte("team@runtests.test team/\nboss@runtests.test boss/\n"))
	for name, text := range map[string]*template.Template{"main.cf": postfixMain, "master.cf": postfixMaster} {
		var content bytes.Buffer
		if err := text.Execute(&content, p); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(p.Dir, name), content.Bytes())
		if err := os.Chmod(filepath.Join(p.Dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(p.Dir, "mailboxes"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// mailbox waits for the only message in a maildir and returns it.
func (p postfix) mailbox(t *testing.T, name string) []byte {
	t.Helper()
	var files []string
	eventually(t, "a message for "+name, func() bool {
		files, _ = filepath.Glob(filepath.Join(p.Dir, "mail", name, "new", "*"))
		return len(files) > 0
	})
	if len(files) != 1 {
		t.Errorf("%d messages for %s", len(files), name)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// eventually waits up to 30 s for condition, and tests it ten times a second.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("timed out waiting for: %s", what)
		}
	}
}

// TestRealServer delivers to a mailbox through Debian's postfix, with TLS, strict checks
// of EHLO and addresses, and one recipient that does not exist.
func TestRealServer(t *testing.T) {
	needs.Root(t, t.Name(), "postfix starts as root only")
	p, server := startPostfix(t)
	m := report()
	m.To = []string{`"The Team, all" <team@runtests.test>`, "nobody@runtests.test", "boss@runtests.test"}
	m.Subject = "échec: 4 success, 2 failures"
	e, err := m.Compose()
	if err != nil {
		t.Fatal(err)
	}
	d, err := server.Send(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"team@runtests.test", "boss@runtests.test"}, d.Accepted); diff != "" {
		t.Error(diff)
	}
	if len(d.Refused) != 1 || d.Refused[0].Address != "nobody@runtests.test" || Temporary(d.Refused[0].Err) {
		t.Errorf("%+v", d.Refused)
	}
	for _, name := range []string{"team", "boss"} {
		data := p.mailbox(t, name)
		want := wanted(m)
		for who, got := range map[string]parsed{"Go": readByGo(t, data), "Python": readByPython(t, data)} {
			got.Fields = want.Fields // postfix adds fields
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s sees (-want +got):\n%s\n%s", who, diff, data)
			}
		}
		message, err := netmail.ReadMessage(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if got := message.Header.Get("Auto-Submitted"); got != "auto-generated" {
			t.Errorf("Auto-Submitted: %q", got)
		}
	}
	e.Data = append(e.Data, bytes.Repeat([]byte("xxxxxx\r\n"), 300_000)...)
	if _, err := server.Send(t.Context(), e); err == nil || Temporary(err) {
		t.Errorf("over the size limit: %v", err)
	}
}
