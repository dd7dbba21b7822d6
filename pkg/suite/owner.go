package suite

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"runtests/pkg/hint"
	"runtests/pkg/region"
)

// owner is the value of a test's key user that stands for the owner of its directory.
const owner = "owner"

func (s *settings) setUser(v value) {
	textVar(&s.User, notEmpty)(v)
	if s.HostUser = s.User == owner; s.HostUser {
		s.User = ""
	}
}

// deployedUser is the rule for the user of a deployment, which has no directory of a test.
func deployedUser(text string) (string, error) {
	if text == owner {
		return "", hint.Errorf("write the user's number", "must be a user of the image: it is only in a test that owner stands for the owner of its directory")
	}
	return notEmpty(text)
}

// MayBeRoot reports whether the step's container may run as root: its user is root, or that of its
// image.
func (s Step) MayBeRoot() bool {
	user, _, _ := strings.Cut(s.Container.User, ":")
	return !s.Container.HostUser && (user == "" || user == "0" || user == "root")
}

// WithOwner returns the step with the owner of its directory, as UID:GID, as the container's user, if
// its suite says user: owner. It returns other steps as they are. It follows no link in a region:
// the error is then a *region.LinkError.
func (s Step) WithOwner(regions *region.Set) (Step, error) {
	if !s.Container.HostUser {
		return s, nil
	}
	dir, err := regions.Resolve(s.Dir)
	if err != nil {
		return s, err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return s, hint.Errorf("user: owner needs the test's directory on this machine; write a number in its place", "find the owner of %s: %w", dir, bare(err))
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return s, fmt.Errorf("find the owner of %s: %w", dir, errors.ErrUnsupported)
	}
	s.Container.User = fmt.Sprintf("%d:%d", stat.Uid, stat.Gid)
	return s, nil
}
