package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"runtests/pkg/hint"
	"runtests/pkg/regular"
)

// maxConfig bounds a configuration file, in bytes. One with ten thousand branches has 1 MB.
const maxConfig = 4 << 20

// config has the values of a configuration that we look at: the last of each key. Keys are in lower case.
type config map[string]string

// harmless are the keys whose values git gets from the repository: they say how files on disk
// compare with those of a commit, and name no file and no program.
var harmless = []string{
	"core.filemode", "core.ignorecase", "core.symlinks", "core.precomposeunicode", "core.autocrlf", "core.eol",
	"core.checkstat", "core.trustctime", "core.sparsecheckout", "core.sparsecheckoutcone", "index.sparse",
	"extensions.objectformat",
}

// harmlessValue matches the values of harmless keys: true, input, crlf, minimal, sha256.
var harmlessValue = regexp.MustCompile(`^[A-Za-z0-9]{1,16}$`)

// extensions are the extensions of the repository's format that do not change what we read.
var extensions = map[string]bool{
	"objectformat": true, "compatobjectformat": true, "worktreeconfig": true, "partialclone": true, "noop": true,
	"noop-v1": true, "preciousobjects": true, "relativeworktrees": true,
}

// readConfig reads the configuration of the repository and its work tree as data: git lists the
// values in it, and includes nothing.
func (r *repository) readConfig(ctx context.Context) (config, error) {
	c, err := r.parseConfig(ctx, r.commonRoot, "config")
	if err != nil {
		return nil, err
	}
	if c.on("extensions.worktreeconfig") {
		own, err := r.parseConfig(ctx, r.gitRoot, "config.worktree")
		if err != nil {
			return nil, err
		}
		for key, value := range own {
			c[key] = value
		}
	}
	return c, c.check(r.gitDir == r.commonDir)
}

func (r *repository) parseConfig(ctx context.Context, dir *os.Root, name string) (config, error) {
	data, err := regular.ReadIn(dir, name, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return config{}, nil
	}
	if err != nil {
		return nil, err
	}
	p := private{repository: r, dir: os.DevNull} // no repository
	out, err := p.git(ctx, bytes.NewReader(data), "config", "--file", "-", "--no-includes", "--null", "--list")
	if err != nil {
		return nil, err
	}
	return parseConfig(out), nil
}

// parseConfig reads what git config --null --list prints: a key, a line feed and a value, or only a key,
// which means true.
func parseConfig(list []byte) config {
	c := config{}
	for pair := range bytes.SplitSeq(list, []byte{0}) {
		key, value, ok := strings.Cut(string(pair), "\n")
		if !ok {
			value = "true"
		}
		if key != "" {
			c[key] = value
		}
	}
	return c
}

// on reports whether a value is true.
func (c config) on(key string) bool {
	switch strings.ToLower(c[key]) {
	case "true", "yes", "on", "1":
		return true
	}
	return false
}

// check returns an error if a repository with this configuration is not stored as we read it. own is
// whether no other work tree shares it.
func (c config) check(own bool) error {
	if own && c.on("core.bare") {
		return errors.New("the repository is bare: it has no work tree")
	}
	for key, value := range c {
		name, ok := strings.CutPrefix(key, "extensions.")
		switch {
		case !ok || extensions[name] || name == "refstorage" && value == "files":
		case name == "refstorage":
			return hint.Errorf("run: git refs migrate --ref-format=files", "the repository keeps its references in another format than files")
		case c["core.repositoryformatversion"] != "0":
			return errors.New("the repository has an extension that is not known")
		}
	}
	return nil
}

// text returns the configuration for git: the harmless values of the repository, and ours.
func (c config) text() string {
	var text strings.Builder
	version := 0
	if c["extensions.objectformat"] != "" {
		version = 1
	}
	fmt.Fprintf(&text, "[core]\nrepositoryFormatVersion = %d\n", version)
	for _, key := range harmless {
		if value := c[key]; harmlessValue.MatchString(value) {
			section, name, _ := strings.Cut(key, ".")
			fmt.Fprintf(&text, "[%s]\n%s = %s\n", section, name, value)
		}
	}
	return text.String() + ourConfig
}

// ourConfig stands after what comes from the repository. Each value is what git has by default; they are
// written out so that no later default of git executes or fetches anything.
const ourConfig = `[core]
	bare = false
	fsmonitor = false
	untrackedCache = false
	hooksPath = /dev/null
	attributesFile = /dev/null
	excludesFile = /dev/null
	pager = cat
[log]
	mailmap = false
	showSignature = false
[protocol]
	allow = never
[gc]
	auto = 0
[maintenance]
	auto = false
[submodule]
	recurse = false
`
