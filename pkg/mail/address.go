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

// parseAddress parses one address as people write it in a mail program, such as
// "Doe, Jane" <jane@example.org>. The name it returns is fit for a header and the
// address for an SMTP command: a non-ASCII domain is in its xn-- form. A local part
// that needs quotes or SMTPUTF8 is an error: few servers accept one.
func parseAddress(s string) (netmail.Address, error) {
	a, err := netmail.ParseAddress(s)
	if err != nil {
		return netmail.Address{}, fmt.Errorf("address %q: %w", s, withoutPrefix(err))
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

// withoutPrefix returns err without the prefix of net/mail's errors.
func withoutPrefix(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "mail: "))
}

func checkLocal(local string) error {
	if len(local) > maxLocal {
		return fmt.Errorf("local part is longer than %d octets", maxLocal)
	}
	for _, r := range local {
		if r > '~' {
			return errors.New("a non-ASCII local part needs SMTPUTF8, which few servers support")
		}
		if r != '.' && !isAtext(byte(r)) {
			return errors.New("quoted local parts are not supported")
		}
	}
	if local == "" || local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return errors.New("quoted local parts are not supported")
	}
	return nil
}

// isAtext reports whether c is allowed in an atom (RFC 5322, 3.2.3).
func isAtext(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// asciiDomain returns domain as SMTP transmits it: an address literal unchanged, a name
// in ASCII.
func asciiDomain(domain string) (string, error) {
	if strings.HasPrefix(domain, "[") {
		if !isAddressLiteral(domain) {
			return "", fmt.Errorf("%q is not an address literal", domain)
		}
		return domain, nil
	}
	name, err := idna.Lookup.ToASCII(domain)
	if err != nil || !isHostName(name) {
		return "", fmt.Errorf("%q is not a domain name", domain)
	}
	return name, nil
}

// isAddressLiteral reports whether s is of the form [192.0.2.1] or [IPv6:2001:db8::1].
func isAddressLiteral(s string) bool {
	inner, found := strings.CutPrefix(s, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !found || !closed {
		return false
	}
	inner, six := strings.CutPrefix(inner, "IPv6:")
	addr, err := netip.ParseAddr(inner)
	return err == nil && addr.Zone() == "" && addr.Is6() == six
}

// isHostName reports whether s is one or more labels of letters, digits and hyphens.
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; c != '-' && !isAlphanumeric(c) {
				return false
			}
		}
	}
	return true
}

// checkWireAddress checks an address of an envelope: between < and > in an SMTP command,
// it must not be able to contain another command.
func checkWireAddress(s string) error {
	a, err := parseAddress(s)
	if err != nil {
		return err
	}
	if a.Address != s {
		return fmt.Errorf("address %q: not in the form for SMTP, %q", s, a.Address)
	}
	return nil
}
