package worktree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"runtests/pkg/regular"
)

// The bounds of what is compared of Git LFS. Beyond them a file counts as changed.
const (
	maxModified = 10_000  // changed files, of Git LFS or not
	maxLFS      = 100     // files
	maxLFSBytes = 2 << 30 // bytes of all files; hashing them takes some seconds
	maxLFSEntry = 1024    // bytes of a pointer, by its specification
)

// lfsPointer matches what a commit has in place of a file of Git LFS: the file's SHA-256 and its size
// (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md).
var lfsPointer = regexp.MustCompile(`\Aversion https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize ([0-9]{1,18})\n\z`)

// withoutLFS returns the changed entries of git status without the files of Git LFS that are as
// committed. git cannot know, as it executes no filter: it compares the file with its pointer as soon as
// the file's time differs from the index. Everything else counts as changed.
func (p *private) withoutLFS(ctx context.Context, changed []byte) ([]byte, error) {
	pointers, err := p.lfsPointers(ctx, modified(changed))
	if err != nil || len(pointers) == 0 {
		return changed, err
	}
	tree, err := os.OpenRoot(p.root)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	left := int64(maxLFSBytes)
	var kept [][]byte
	for entry := range bytes.SplitSeq(changed, []byte{0}) {
		path, ok := bytes.CutPrefix(entry, []byte(modifiedMark))
		if !ok || !sameAsPointer(tree, string(path), pointers[string(path)], &left) {
			kept = append(kept, entry)
		}
	}
	return bytes.Join(kept, []byte{0}), nil
}

// modifiedMark begins an entry of git status for a file whose content differs from the index only.
const modifiedMark = " M "

// modified returns the paths of the files whose content differs from the index.
func modified(changed []byte) (paths []string) {
	for entry := range strings.SplitSeq(string(changed), "\x00") {
		if path, ok := strings.CutPrefix(entry, modifiedMark); ok {
			paths = append(paths, path)
		}
	}
	return paths
}

// lfsPointers returns the pointers of those paths that belong to Git LFS.
func (p *private) lfsPointers(ctx context.Context, paths []string) (map[string]string, error) {
	if len(paths) == 0 || len(paths) > maxModified {
		return nil, nil
	}
	out, err := p.git(ctx, strings.NewReader(strings.Join(paths, "\x00")+"\x00"), "check-attr", "-z", "--stdin", "filter")
	if err != nil {
		return nil, err
	}
	var lfs []string
	for fields := range slices.Chunk(strings.Split(string(out), "\x00"), 3) { // path, attribute, value
		if len(fields) == 3 && fields[2] == "lfs" {
			lfs = append(lfs, fields[0])
		}
	}
	if len(lfs) == 0 || len(lfs) > maxLFS {
		return nil, nil
	}
	out, err = p.git(ctx, nil, append([]string{"ls-files", "--stage", "-z", "--"}, lfs...)...)
	if err != nil {
		return nil, err
	}
	return p.contents(ctx, parseStage(out))
}

// parseStage reads what git ls-files --stage -z prints: for each file MODE ID STAGE, a tab and the path.
func parseStage(out []byte) (entries []entry) {
	for line := range strings.SplitSeq(string(out), "\x00") {
		about, path, _ := strings.Cut(line, "\t")
		if fields := strings.Fields(about); len(fields) == 3 && commitID.MatchString(fields[1]) && len(entries) < maxLFS {
			entries = append(entries, entry{fields[0], fields[1], path})
		}
	}
	return entries
}

// contents returns the contents of those entries that are small enough for a pointer, by path.
func (p *private) contents(ctx context.Context, entries []entry) (map[string]string, error) {
	sizes, err := p.sizes(ctx, entries)
	if err != nil {
		return nil, err
	}
	var small []entry
	var smallSizes []int64
	for i, size := range sizes {
		if size <= maxLFSEntry {
			small, smallSizes = append(small, entries[i]), append(smallSizes, size)
		}
	}
	contents := map[string]string{}
	err = p.copyBlobs(ctx, small, smallSizes, func(e entry, content io.Reader) error {
		data, err := io.ReadAll(content)
		contents[e.path] = string(data)
		return err
	})
	return contents, err
}

// sameAsPointer reports whether a file of a work tree is the one that a pointer stands for. It takes the
// size of what it reads from left.
func sameAsPointer(tree *os.Root, path, pointer string, left *int64) bool {
	match := lfsPointer.FindStringSubmatch(pointer)
	if match == nil {
		return false
	}
	size, err := strconv.ParseInt(match[2], 10, 64)
	if err != nil || size > *left {
		return false
	}
	file, err := regular.OpenIn(tree, filepath.FromSlash(path))
	if err != nil {
		return false
	}
	defer closeRead(file)
	if info, err := file.Stat(); err != nil || info.Size() != size {
		return false
	}
	*left -= size
	hash := sha256.New()
	if _, err := io.CopyN(hash, file, size+1); !errors.Is(err, io.EOF) {
		return false
	}
	return hex.EncodeToString(hash.Sum(nil)) == match[1]
}
