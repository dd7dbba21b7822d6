package buildcontext

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// IgnoreFile is the name of the file that says which entries of a context are not sent.
const IgnoreFile = ".dockerignore"

// ignoreRules are the lines of a .dockerignore.
type ignoreRules struct {
	*patternmatcher.PatternMatcher
	own bool // they come from DIR/.dockerignore
}

// readIgnore reads DOCKERFILE.dockerignore or else DIR/.dockerignore. Without either, nothing is
// ignored.
func readIgnore(dir, dockerfile string) (*ignoreRules, error) {
	file, own := dockerfile+IgnoreFile, false
	content, _, err := ReadFile(dir, file)
	if errors.Is(err, fs.ErrNotExist) {
		file, own = filepath.Join(dir, IgnoreFile), true
		content, _, err = ReadFile(dir, file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		own, err = false, nil
	}
	if err != nil {
		return nil, err
	}
	rules, err := parseIgnore(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &ignoreRules{rules, own}, nil
}

// parseIgnore parses a .dockerignore. It tries each pattern, as some faults show only then.
func parseIgnore(content []byte) (*patternmatcher.PatternMatcher, error) {
	lines, err := ignorefile.ReadAll(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		alone, err := patternmatcher.New([]string{strings.TrimPrefix(line, "!")})
		if err == nil {
			_, err = alone.MatchesOrParentMatches("x")
		}
		if err == nil && line == "!" {
			err = errors.New(`nothing follows "!"`)
		}
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", line, err)
		}
	}
	return patternmatcher.New(lines)
}

// matches reports whether an entry is ignored; above is the match of its directory.
func (r *ignoreRules) matches(name string, above patternmatcher.MatchInfo) (bool, patternmatcher.MatchInfo, error) {
	return r.MatchesUsingParentResults(name, above)
}

// exceptionBelow reports whether an exception (!) can match something below an ignored directory.
// It may be wrong only if it returns true.
func (r *ignoreRules) exceptionBelow(folder string) bool {
	for _, p := range r.Patterns() {
		if p.Exclusion() && matchesBelow(p.String(), folder) {
			return true
		}
	}
	return false
}

// matchesBelow reports whether a pattern can match something below a directory. A pattern that
// matches the directory itself, or one above it, does not count: a later pattern ignores the
// directory, so that one ignores all below it too.
func matchesBelow(pattern, folder string) bool {
	if strings.ContainsAny(pattern, `[\`) { // a class may match the slash too
		return true
	}
	parts := strings.Split(pattern, "/")
	for i, name := range strings.Split(folder, "/") {
		if i == len(parts) {
			return false
		}
		if strings.Contains(parts[i], "**") {
			return true
		}
		if ok, err := path.Match(parts[i], name); err == nil && !ok {
			return false
		}
	}
	return len(parts) > strings.Count(folder, "/")+1
}
