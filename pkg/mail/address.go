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
	domain := domainOf(a.Address)
	local := strings.TrimSuffix(a.Address, "@"+domain)
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

// domainOf returns what follows the last @ of address.
func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// withoutPrefix returns err without the prefix of net/mail's errors.
func withoutPrefix(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "mail: "))
}

func checkLocal(local string) error {
	switch {
	case len(local) > maxLocal:
		return fmt.Errorf("local part is longer than %d octets", maxLocal)
	case strings.ContainsFunc(local, isNotASCII):
		return errors.New("a non-ASCII local part needs SMTPUTF8, which few servers support")
	case !isDotAtom(local):
		return errors.New("quoted local parts are not supported")
	}
	return nil
}

// isDotAtom reports whether s is one or more atoms with dots between them (RFC 5322,
// 3.2.3).
func isDotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, isNotAtext) {
			return false
		}
	}
	return true
}

// isNotAtext reports whether r is not allowed in an atom.
func isNotAtext(r rune) bool {
	return !isAlphanumeric(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

// isNotASCII reports whether r is the control character DEL or not in ASCII.
func isNotASCII(r rune) bool { return r > '~' }

func isAlphanumeric(c rune) bool {
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
		if label == "" || len(label) > 63 || strings.Trim(label, "-") != label ||
			strings.ContainsFunc(label, func(r rune) bool { return r != '-' && !isAlphanumeric(r) }) {
			return false
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
