package deploy

import (
	"context"
	"os/exec"
	"strings"
	"time"
)

// Commit is the git commit that a directory is at, with -dirty when files that git knows are
// not as it has them; empty when the directory is in no repository.
func Commit(ctx context.Context, dir string) string {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
