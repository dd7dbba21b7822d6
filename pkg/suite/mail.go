package suite

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"runtests/pkg/hint"
)

// mailSection is the section `mail` while it is read.
type mailSection struct {
	Mail
	at map[string]*yaml.Node
}

func (m *mailSection) mark(key string, n *yaml.Node) { m.at[key] = n }

var mailKeys = keys[mailSection]{what: "mail", extensions: true, set: map[string]setter[mailSection]{
	"server":           setServer,
	"from":             textKey(mailAddress, func(m *mailSection) *string { return &m.From }),
	"to":               textsKey(true, mailAddress, func(m *mailSection) *[]string { return &m.To }),
	"send":             choiceKey(func(m *mailSection) *Send { return &m.Send }, SendAlways, SendFailure, SendChange),
	"subject_prefix":   textKey(noControls, func(m *mailSection) *string { return &m.SubjectPrefix }),
	"user":             textKey(notEmpty, func(m *mailSection) *string { return &m.User }),
	"password":         setPassword,
	"password_file":    setPasswordFile,
	"ca_file":          setCAFile,
	"allow_plain_auth": boolKey(func(m *mailSection) *bool { return &m.PlainAuth }),
	"timeout":          durationKey(time.Nanosecond, func(m *mailSection) *time.Duration { return &m.Timeout }),
	"retry_for":        durationKey(0, func(m *mailSection) *time.Duration { return &m.RetryFor }),
	"max_size":         sizeKey(16<<10, func(m *mailSection) *int64 { return &m.MaxSize }),
}}

// mail reads the section `mail` and checks that its keys fit together.
func (d *decoder) mail(n *yaml.Node) *Mail {
	m := mailSection{
		Mail: Mail{Send: SendAlways, Timeout: time.Minute, RetryFor: 5 * time.Minute, MaxSize: mib},
		at:   map[string]*yaml.Node{},
	}
	mailKeys.decode(d, &m, n)
	for _, key := range []string{"server", "from", "to"} {
		if m.at[key] == nil {
			d.fail(n, "", "mail has no %s", key)
		}
	}
	if to := m.at["to"]; to != nil && deref(to).Kind == yaml.SequenceNode && len(deref(to).Content) == 0 {
		d.fail(to, "", "mail: to must have at least one address")
	}
	d.checkLogin(&m)
	return &m.Mail
}

func (d *decoder) checkLogin(m *mailSection) {
	password, file, user := m.at["password"], m.at["password_file"], m.at["user"]
	switch {
	case password != nil && file != nil:
		d.fail(file, "", "mail takes password or password_file, not both")
	case user != nil && password == nil && file == nil:
		d.fail(user, "add password: ${VARIABLE} or password_file: PATH", "mail has a user but no password")
	case user == nil && password != nil:
		d.fail(password, "", "mail has a password but no user")
	case user == nil && file != nil:
		d.fail(file, "", "mail has a password_file but no user")
	}
	if password != nil && deref(password).Kind == yaml.ScalarNode && !strings.Contains(deref(password).Value, "$") {
		d.warnIfReadable()
	}
}

// mailPorts are the schemes of mail.server with their ports.
var mailPorts = map[string]string{"smtp": "25", "smtp+starttls": "587", "smtps": "465"}

func setServer(d *decoder, m *mailSection, n *yaml.Node) {
	s, ok := d.scalar(n)
	if !ok {
		return
	}
	server, err := mailServer(s.text)
	if err != nil {
		d.failErr(s.node, err)
		return
	}
	m.Server = server
}

// mailServer checks the URL of a mail server and adds the port. Its errors do not repeat the URL: it
// may contain a password.
func mailServer(text string) (string, error) {
	const form = "the form is smtp://HOST:PORT; the schemes are smtp, smtp+starttls and smtps"
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || mailPorts[u.Scheme] == "" {
		return "", hint.Errorf(form, "not the address of a mail server")
	}
	if u.User != nil {
		return "", hint.Errorf("use the keys user, and password or password_file", "the address must not have a user or a password")
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return "", hint.Errorf(form, "the address must end with the host and the port")
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = mailPorts[u.Scheme]
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", hint.Errorf("a port is from 1 to 65535", "the port is not valid")
	}
	if net.ParseIP(host) == nil && !hostName.MatchString(host) {
		return "", hint.Errorf(form, "the host name is not valid")
	}
	return u.Scheme + "://" + net.JoinHostPort(host, port), nil
}

// setPassword postpones the error for a variable that is not set: a developer who runs a test by
// hand sends no mail, and may not have the password.
func setPassword(d *decoder, m *mailSection, n *yaml.Node) {
	if deref(n).Kind == yaml.SequenceNode || deref(n).Kind == yaml.MappingNode {
		d.hasSecret = true
		d.fail(n, "", "password must have a single value, not %s", kindOf(n))
		return
	}
	before := len(d.problems)
	m.Password, _ = d.text(n, notEmpty)
	d.postpone(m, before)
}

// postpone moves the problems from index before on to PasswordError.
func (d *decoder) postpone(m *mailSection, before int) {
	if len(d.problems) > before {
		m.PasswordError = &Errors{slices.Clone(d.problems[before:])}
		d.problems = d.problems[:before]
	}
}

// setPasswordFile postpones the error for a file that cannot be read, as setPassword does: only
// the user who runs cron may be able to read it.
func setPasswordFile(d *decoder, m *mailSection, n *yaml.Node) {
	text, ok := d.text(n, filePath)
	if !ok {
		return
	}
	before := len(d.problems)
	defer func() { d.postpone(m, before) }()
	file := d.from.abs(text)
	data, err := d.files.read(file, maxEnvFile)
	if err != nil {
		d.fail(n, "", "read password_file: %v", err)
		return
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if wrong, _ := notEmpty(password); wrong != "" {
		d.fail(n, "", "the password in password_file %s", wrong)
		return
	}
	m.Password = password
	d.warnIfOpen("password file", file, 0o077)
}

func setCAFile(d *decoder, m *mailSection, n *yaml.Node) {
	text, ok := d.text(n, filePath)
	if !ok {
		return
	}
	m.CAFile = d.from.abs(text)
	if _, err := d.files.read(m.CAFile, maxEnvFile); err != nil {
		d.fail(n, "", "read ca_file: %v", err)
	}
}
