package mail

import (
	"errors"
	"fmt"
	netmail "net/mail"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// The longest local part and the longest address, in octets (RFC 5321, 4.5.3.1).
const (
	maxLocal   = 64
	maxAddress = 254
)

// parseAddress reads one address as people write it in a mail program, such as
// "Doe, Jane" <jane@example.org>, and returns it with a name fit for a header and
// an address fit for an SMTP command: a domain with letters beyond ASCII is in its
// xn-- form. A local part that needs quotes or SMTPUTF8 is an error: servers that
// take one are so rare that a report sent there would more likely be lost.
func parseAddress(s string) (netmail.Address, error) {
	a, err := netmail.ParseAddress(s)
	if err != nil {
		return netmail.Address{}, fmt.Errorf("address %q: %w", s, bare(err))
	}
	at := strings.LastIndexByte(a.Address, '@')
	local, domain := a.Address[:at], a.Address[at+1:]
	if err := checkLocal(local); err != nil {
		return netmail.Address{}, fmt.Errorf("address %q: %w", s, err)
	}
	domain, err = asciiDomain(domain)
	if err != nil {
		return netmail.Address{}, fmt.Errorf("address %q: %w", s, err)
	}
	address := local + "@" + domain
	if len(address) > maxAddress {
		return netmail.Address{}, fmt.Errorf("address %q: longer than %d octets", s, maxAddress)
	}
	return netmail.Address{Name: headerText(a.Name, maxName), Address: address}, nil
}

// bare is err without the prefix that net/mail puts before all it says.
func bare(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "mail: "))
}

func checkLocal(local string) error {
	if len(local) > maxLocal {
		return fmt.Errorf("its local part is longer than %d octets", maxLocal)
	}
	for _, r := range local {
		if r > '~' {
			return errors.New("a local part beyond ASCII needs SMTPUTF8, which few servers take")
		}
		if r != '.' && !atext(byte(r)) {
			return errors.New("a local part that needs quotes is not supported")
		}
	}
	if local == "" || local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return errors.New("a local part that needs quotes is not supported")
	}
	return nil
}

// atext says whether c may stand in an atom (RFC 5322, 3.2.3).
func atext(c byte) bool {
	return alphanumeric(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// asciiDomain is domain as it goes over the wire: an address literal as it is, a
// name in ASCII.
func asciiDomain(domain string) (string, error) {
	if strings.HasPrefix(domain, "[") {
		if !addressLiteral(domain) {
			return "", fmt.Errorf("%q is no address literal", domain)
		}
		return domain, nil
	}
	name, err := idna.Lookup.ToASCII(domain)
	if err != nil || !hostName(name) {
		return "", fmt.Errorf("%q is no domain name", domain)
	}
	return name, nil
}

// addressLiteral says whether s is [192.0.2.1] or [IPv6:2001:db8::1].
func addressLiteral(s string) bool {
	inner, found := strings.CutPrefix(s, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !found || !closed {
		return false
	}
	inner, six := strings.CutPrefix(inner, "IPv6:")
	addr, err := netip.ParseAddr(inner)
	return err == nil && addr.Zone() == "" && addr.Is6() == six
}

// hostName says whether s is one or more labels of letters, digits and hyphens.
func hostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; c != '-' && !alphanumeric(c) {
				return false
			}
		}
	}
	return true
}

// wireAddress checks an address of an envelope: what goes between < and > in an
// SMTP command can hold no other command.
func wireAddress(s string) error {
	a, err := parseAddress(s)
	if err != nil {
		return err
	}
	if a.Address != s {
		return fmt.Errorf("address %q: not in the form that servers take, %q", s, a.Address)
	}
	return nil
}
