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
	"runtests/pkg/plain"
)

func (m *Mail) keys() keys {
	return keys{what: "mail", extensions: true, set: map[string]setter{
		"server":           unshownVar(&m.Server, mailServer),
		"from":             textVar(&m.From, mailAddress),
		"to":               textsVar(&m.To, true, mailAddress),
		"send":             choiceVar(&m.Send, SendAlways, SendFailure, SendChange),
		"subject_prefix":   textVar(&m.SubjectPrefix, subjectPrefix),
		"user":             textVar(&m.User, notEmpty),
		"password":         m.setPassword,
		"password_file":    m.setPasswordFile,
		"ca_file":          m.setCAFile,
		"allow_plain_auth": boolVar(&m.PlainAuth),
		"timeout":          durationVar(&m.Timeout, time.Nanosecond),
		"retry_for":        durationVar(&m.RetryFor, 0),
		"max_size":         sizeVar(&m.MaxSize, 16<<10),
	}}
}

// mail reads the section `mail` and checks that its keys fit together.
func (d *decoder) mail(v value) *Mail {
	m := &Mail{Send: SendAlways, Timeout: time.Minute, RetryFor: 5 * time.Minute, MaxSize: mib}
	read := m.keys().decode(v)
	for _, key := range []string{"server", "from", "to"} {
		if !read[key].given() {
			v.fail("", "mail has no %s", key)
		}
	}
	if to := read["to"]; to.given() && to.isList() && len(to.node.Content) == 0 {
		to.fail("", "mail: to must have at least one address")
	}
	d.checkLogin(read["user"], read["password"], read["password_file"])
	return m
}

func (d *decoder) checkLogin(user, password, file value) {
	switch {
	case password.given() && file.given():
		file.fail("", "mail takes password or password_file, not both")
	case user.given() && !password.given() && !file.given():
		user.fail("add password: ${VARIABLE} or password_file: PATH", "mail has a user but no password")
	case !user.given() && password.given():
		password.fail("", "mail has a password but no user")
	case !user.given() && file.given():
		file.fail("", "mail has a password_file but no user")
	}
	if password.given() && password.node.Kind == yaml.ScalarNode && !strings.Contains(password.node.Value, "$") && d.isOpen(d.path, 0o044) {
		d.warn("the suite file %s holds a password and can be read by others: use password: ${VARIABLE} or password_file", plain.Clean(d.file))
	}
}

// mailPorts are the schemes of mail.server with their ports.
var mailPorts = map[string]string{"smtp": "25", "smtp+starttls": "587", "smtps": "465"}

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
func (m *Mail) setPassword(v value) {
	if v.isList() || v.isMapping() {
		v.d.hasSecret = true
		v.fail("", "password must have a single value, not %s", v.kind())
		return
	}
	m.postpone(v.d, func() { textVar(&m.Password, notEmpty)(v) })
}

// postpone moves the problems that read reports to PasswordError.
func (m *Mail) postpone(d *decoder, read func()) {
	before := len(d.problems)
	if !d.faultless(read) {
		m.PasswordError = &Errors{slices.Clone(d.problems[before:])}
		d.problems = d.problems[:before]
	}
}

// setPasswordFile postpones the error for a file that cannot be read, as setPassword does: only
// the user who runs cron may be able to read it.
func (m *Mail) setPasswordFile(v value) {
	if name, ok := parsed(v, filePath); ok {
		m.postpone(v.d, func() { m.readPassword(v, v.d.from.abs(name)) })
	}
}

func (m *Mail) readPassword(v value, file string) {
	v.d.protect("the password_file", file)
	data, err := v.d.files.read(file, maxEnvFile)
	if err != nil {
		v.fail("", "read password_file: %v", err)
		return
	}
	password, err := notEmpty(strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"))
	if err != nil {
		v.fail("", "the password in password_file %v", err)
		return
	}
	m.Password = password
	v.d.warnIfOpen("password file", file, 0o077)
}

func (m *Mail) setCAFile(v value) {
	name, ok := parsed(v, filePath)
	if !ok {
		return
	}
	m.CAFile = v.d.from.abs(name)
	v.d.protect("the ca_file", m.CAFile)
	if _, err := v.d.files.read(m.CAFile, maxEnvFile); err != nil {
		v.fail("", "read ca_file: %v", err)
	}
}
