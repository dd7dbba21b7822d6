package container

import "strings"

// NoSpaceHint is the remedy for ErrNoSpace.
const NoSpaceHint = "`runtests clean` and `docker system df` say what can go"

// SaysNoSpace reports whether a message says that a disk is full.
func SaysNoSpace(message string) bool {
	return strings.Contains(strings.ToLower(message), "no space left on device")
}
