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

// holding returns the rule that refuses, as wrong, the texts that ok does not hold for.
func holding(wrong string, ok func(text string) bool) rule {
	return func(text string) (string, error) {
		if !ok(text) {
			return "", errors.New(wrong)
		}
		return text, nil
	}
}

func matching(form *regexp.Regexp, wrong string) rule { return holding(wrong, form.MatchString) }

func hasControl(text string) bool { return strings.ContainsFunc(text, unicode.IsControl) }

var (
	cpusForm     = regexp.MustCompile(`^\d{0,6}(\.\d{1,9})?$`)
	capability   = regexp.MustCompile(`^(?i:ALL|(CAP_)?[A-Z][A-Z0-9_]*)$`)
	hostName     = regexp.MustCompile(`^[a-zA-Z0-9_]([a-zA-Z0-9_.-]*[a-zA-Z0-9_])?$`)
	variableName = regexp.MustCompile(`^[^=\s\x00-\x1f\x7f]+$`)
)

var (
	anything = holding("", func(string) bool { return true })
	notEmpty = holding("must be text on one line", func(text string) bool { return text != "" && !hasControl(text) })

	containerPath = holding("must be an absolute path in the container", func(text string) bool { return path.IsAbs(text) && !hasControl(text) })
	// filePath is the rule for a file on this machine. Its name may contain any byte except NUL.
	filePath  = holding("must be a path", func(text string) bool { return text != "" && !strings.ContainsRune(text, 0) })
	ipAddress = holding("must be an IP address", func(text string) bool { _, err := netip.ParseAddr(text); return err == nil })

	platform    = matching(regexp.MustCompile(`^[a-z0-9]+(/[a-z0-9_]+(/[a-z0-9]+)?)?$`), "must be OS/ARCHITECTURE, as linux/arm64")
	device      = matching(regexp.MustCompile(`^/[^:]*(:/[^:]*)?(:[rwm]{1,3})?$`), "must be HOST[:CONTAINER[:rwm]], absolute paths")
	networkMode = matching(regexp.MustCompile(`^(container:)?[a-zA-Z0-9][a-zA-Z0-9_.-]*$`), "must be bridge, none, host, container:NAME or the name of a network")

	subjectPrefix = holding(fmt.Sprintf("must be one line of at most %d bytes", maxName), func(text string) bool {
		return len(text) <= maxName && utf8.ValidString(text) && !hasControl(text)
	})
)

// properName is the rule for names that become part of a file name, a container's name or a mail.
func properName(text string) (string, error) {
	switch {
	case text == "":
		return "", errors.New("must not be empty")
	case len(text) > maxName:
		return "", fmt.Errorf("must be at most %d bytes long", maxName)
	case text[0] == '.' || text[0] == '-':
		return "", errors.New("must not start with a dot or a dash")
	case strings.ContainsAny(text, "/@"):
		return "", errors.New("must not contain / or @")
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", errors.New("must be printable")
	}
	return text, nil
}

func imageReference(text string) (string, error) {
	if _, err := reference.ParseNormalizedNamed(text); err == nil {
		return text, nil
	}
	if _, err := reference.ParseNormalizedNamed(strings.ToLower(text)); err == nil {
		return "", hint.Errorf("an image's name is in lower case", "must be the name of an image")
	}
	return "", errors.New("must be the name of an image, as debian:12 or registry.example.org/team/image:tag")
}

// macAddress allows "", which removes the address of the defaults.
func macAddress(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	address, err := net.ParseMAC(text)
	switch {
	case err != nil || len(address) != 6:
		return "", errors.New("must be a MAC address such as 02:42:ac:11:00:02")
	case address[0]&1 != 0:
		return "", hint.Errorf("its first byte must be even", "must be a unicast address")
	}
	return text, nil
}

func parseCPUs(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n <= 0 || !cpusForm.MatchString(text) {
		return 0, errors.New("must be a number of processors such as 2 or 0.5")
	}
	return n, nil
}

func parsePidsLimit(text string) (int64, error) {
	i, err := strconv.ParseInt(text, 10, 32)
	if err != nil || i == 0 || i < -1 {
		return 0, errors.New("must be a whole number of processes, or -1 for no limit")
	}
	return i, nil
}

// extraHost is the rule for HOST:ADDRESS or HOST=ADDRESS, and returns the former.
func extraHost(text string) (string, error) {
	host, address, ok := strings.Cut(text, "=")
	if !ok {
		host, address, ok = strings.Cut(text, ":")
	}
	address = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
	if _, err := netip.ParseAddr(address); !ok || !hostName.MatchString(host) || err != nil && address != "host-gateway" {
		return "", errors.New("must be HOST:ADDRESS, with an IP address or host-gateway")
	}
	return host + ":" + address, nil
}

func tmpfsPath(text string) (string, error) {
	if _, err := containerPath(text); err != nil {
		return "", err
	}
	target, _, _ := strings.Cut(text, ":")
	if _, err := checkTarget(target); err != nil {
		return "", hint.Errorf(err.Error(), "cannot be there")
	}
	return text, nil
}

func mailAddress(text string) (string, error) {
	address, err := mail.ParseAddress(text)
	if err == nil && !hasControl(text) && !hasControl(address.Address) {
		return text, nil
	}
	if list, err := mail.ParseAddressList(text); err == nil && len(list) > 1 {
		return "", hint.Errorf("write a list: [a@example.org, b@example.org]", "must be one address")
	}
	return "", errors.New("must be a mail address such as team@example.org or Team <team@example.org>")
}

// pingURL allows "": there is none.
func pingURL(text string) (string, error) {
	u, err := url.Parse(text)
	if text != "" && (err != nil || !isWeb(u)) {
		return "", hint.Errorf("the form is https://HOST/PATH", "must be the URL of a monitor")
	}
	return text, nil
}

// isWeb reports whether u is what an HTTP client can ask for.
func isWeb(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.Fragment == ""
}

// testDirectory is the rule for the directory of a test on this machine.
func testDirectory(text string) (string, error) {
	text, err := filePath(text)
	if err == nil && filepath.Clean(text) == "/" {
		err = errors.New("must not be the root of the file system")
	}
	return text, err
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
	if len(args) == 0 || args[0] == "" {
		return nil, errors.New("the command is empty")
	}
	return args, nil
}
