package suite

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/distribution/reference"
	"github.com/mattn/go-shellwords"

	"runtests/pkg/hint"
)

// maxName is the longest name of a suite, a test or an image, and maxStepName that of a
// step, in bytes: a step's name and a date make the name of a file, of at most 255.
const (
	maxName     = 100
	maxStepName = 200
)

func anything(string) (string, string) { return "", "" }

func notEmpty(text string) (string, string) {
	if text == "" || strings.IndexFunc(text, unicode.IsControl) >= 0 {
		return "must be text on one line", ""
	}
	return "", ""
}

// properName is the rule for names that become part of a file name, a container's name or a mail.
func properName(text string) (string, string) {
	switch {
	case text == "":
		return "must not be empty", ""
	case len(text) > maxName:
		return fmt.Sprintf("must be at most %d bytes long", maxName), ""
	case text[0] == '.' || text[0] == '-':
		return "must not start with a dot or a dash", ""
	case strings.ContainsAny(text, "/@"):
		return "must not contain / or @", ""
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "must be printable", ""
	}
	return "", ""
}

func imageReference(text string) (string, string) {
	if _, err := reference.ParseNormalizedNamed(text); err == nil {
		return "", ""
	}
	if _, err := reference.ParseNormalizedNamed(strings.ToLower(text)); err == nil {
		return "must be the name of an image", "an image's name is in lower case"
	}
	return "must be the name of an image, as debian:12 or registry.example.org/team/image:tag", ""
}

func containerPath(text string) (string, string) {
	if !path.IsAbs(text) || strings.IndexFunc(text, unicode.IsControl) >= 0 {
		return "must be an absolute path in the container", ""
	}
	return "", ""
}

// macAddress allows "", which removes the address of the defaults.
func macAddress(text string) (string, string) {
	if text == "" {
		return "", ""
	}
	address, err := net.ParseMAC(text)
	switch {
	case err != nil || len(address) != 6:
		return "must be a MAC address such as 02:42:ac:11:00:02", ""
	case address[0]&1 != 0:
		return "must be a unicast address", "its first byte must be even"
	}
	return "", ""
}

var (
	cpusForm      = regexp.MustCompile(`^\d{0,6}(\.\d{1,9})?$`)
	capability    = regexp.MustCompile(`^(?i:ALL|(CAP_)?[A-Z][A-Z0-9_]*)$`)
	platformForm  = regexp.MustCompile(`^[a-z0-9]+(/[a-z0-9_]+(/[a-z0-9]+)?)?$`)
	hostName      = regexp.MustCompile(`^[a-zA-Z0-9_]([a-zA-Z0-9_.-]*[a-zA-Z0-9_])?$`)
	networkName   = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
	devicePattern = regexp.MustCompile(`^/[^:]*(:/[^:]*)?(:[rwm]{1,3})?$`)
	variableName  = regexp.MustCompile(`^[^=\s\x00-\x1f\x7f]+$`)
)

func parseCPUs(text string) (float64, string, string) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n <= 0 || !cpusForm.MatchString(text) {
		return 0, "must be a number of processors such as 2 or 0.5", ""
	}
	return n, "", ""
}

func matching(form *regexp.Regexp, wrong string) rule {
	return func(text string) (string, string) {
		if !form.MatchString(text) {
			return wrong, ""
		}
		return "", ""
	}
}

func networkMode(text string) (string, string) {
	mode, of, found := strings.Cut(text, ":")
	if found && mode == "container" && networkName.MatchString(of) || !found && networkName.MatchString(text) {
		return "", ""
	}
	return "must be bridge, none, host, container:NAME or the name of a network", ""
}

func ipAddress(text string) (string, string) {
	if _, err := netip.ParseAddr(text); err != nil {
		return "must be an IP address", ""
	}
	return "", ""
}

// hostAddress splits HOST:ADDRESS or HOST=ADDRESS.
func hostAddress(text string) (host, address string, ok bool) {
	host, address, ok = strings.Cut(text, "=")
	if !ok {
		host, address, ok = strings.Cut(text, ":")
	}
	address = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
	_, err := netip.ParseAddr(address)
	return host, address, ok && hostName.MatchString(host) && (err == nil || address == "host-gateway")
}

func extraHost(text string) (string, string) {
	if _, _, ok := hostAddress(text); !ok {
		return "must be HOST:ADDRESS, with an IP address or host-gateway", ""
	}
	return "", ""
}

func tmpfsPath(text string) (string, string) {
	target, _, _ := strings.Cut(text, ":")
	if wrong, remedy := containerPath(text); wrong != "" {
		return wrong, remedy
	}
	if _, err := checkTarget(target); err != nil {
		return "cannot be there", err.Error()
	}
	return "", ""
}

func mailAddress(text string) (string, string) {
	address, err := mail.ParseAddress(text)
	if err == nil && strings.IndexFunc(text, unicode.IsControl) < 0 && strings.IndexFunc(address.Address, unicode.IsControl) < 0 {
		return "", ""
	}
	if list, err := mail.ParseAddressList(text); err == nil && len(list) > 1 {
		return "must be one address", "write a list: [a@example.org, b@example.org]"
	}
	return "must be a mail address such as team@example.org or Team <team@example.org>", ""
}

func noControls(text string) (string, string) {
	if len(text) > maxName || !utf8.ValidString(text) || strings.IndexFunc(text, unicode.IsControl) >= 0 {
		return fmt.Sprintf("must be one line of at most %d bytes", maxName), ""
	}
	return "", ""
}

// pingURL allows "": there is none.
func pingURL(text string) (string, string) {
	if text == "" {
		return "", ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" {
		return "must be the URL of a monitor", "the form is https://HOST/PATH"
	}
	return "", ""
}

// filePath is the rule for a file on this machine. Its name may contain any byte except NUL.
func filePath(text string) (string, string) {
	if text == "" || strings.ContainsRune(text, 0) {
		return "must be a path", ""
	}
	return "", ""
}

// testDirectory is the rule for the directory of a test on this machine.
func testDirectory(text string) (string, string) {
	if wrong, remedy := filePath(text); wrong != "" {
		return wrong, remedy
	}
	if filepath.Clean(text) == "/" {
		return "must not be the root of the file system", ""
	}
	return "", ""
}

// words splits a command into words as a shell does. No shell runs it.
func words(text string) ([]string, error) {
	p := shellwords.NewParser()
	args, err := p.Parse(text)
	if err != nil {
		return nil, hint.Errorf("close each quote and parenthesis, or write a list: [make, check]", "cannot be split into words")
	}
	if p.Position >= 0 {
		return nil, hint.Errorf("write [sh, -c, '…'], or quote the operator", "no shell runs the command, but it has a shell operator at character %d", p.Position+1)
	}
	if len(args) == 0 || slices.Contains(args[:1], "") {
		return nil, errors.New("the command is empty")
	}
	return args, nil
}
