package container

import (
	"fmt"
	"regexp"
	"strings"

	"runtests/pkg/hint"
)

// validName is Docker's rule for the name of a container (RestrictedNamePattern in moby's
// daemon/names), which Podman shares.
var validName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// CheckName returns an error if name cannot be the name of a container.
func CheckName(name string) error {
	if validName.MatchString(name) {
		return nil
	}
	return hint.Wrap(fmt.Errorf("%q is not a container's name", name),
		"use two or more of a-z A-Z 0-9 _ . -, the first one a letter or a digit")
}

// SafeName returns text with each character that a container's name cannot hold replaced by an
// underscore. It is meant for a part of a name: it may be empty, or begin with any of the
// characters that a name can hold.
func SafeName(text string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x80 && (strings.ContainsRune("-_.", c) || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return c
		}
		return '_'
	}, text)
}
