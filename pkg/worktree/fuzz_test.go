package worktree

import (
	"bufio"
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// What is taken for a reference stays below the repository.
func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{"ref: refs/heads/main\n", strings.Repeat("0", 40), "ref: refs/../x", "ref:\trefs/heads/a b", "ref: refs/heads/\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, name, err := parseReference(text)
		switch {
		case err != nil:
			if id != "" || name != "" {
				t.Errorf("%q, %q with %v", id, name, err)
			}
		case id != "" && name != "" || id == "" && name == "":
			t.Errorf("%q: %q and %q", text, id, name)
		case name != "" && (!filepath.IsLocal(name) || !strings.HasPrefix(filepath.Clean(name), "refs/")):
			t.Errorf("%q leads to %q", text, name)
		}
	})
}

func FuzzFindPacked(f *testing.F) {
	f.Add([]byte("# pack-refs with: peeled\n"+strings.Repeat("a", 40)+" refs/heads/x\n^"+strings.Repeat("b", 40)+"\n"), "refs/heads/x")
	f.Fuzz(func(t *testing.T, content []byte, name string) {
		id, err := findPacked(bytes.NewReader(content), name)
		if err == nil && (!commitID.MatchString(id) || !bytes.Contains(content, []byte(id+" "+name))) {
			t.Errorf("%q for %q", id, name)
		}
	})
}

func FuzzParsePointer(f *testing.F) {
	f.Add("gitdir: ../.git/modules/x\n", "gitdir: ")
	f.Add("../..\r\n", "")
	f.Fuzz(func(t *testing.T, content, prefix string) {
		path, err := parsePointer(content, prefix)
		if (err == nil) == (path == "") && err == nil || strings.ContainsAny(path, "\x00\r\n") {
			t.Errorf("%q: %q, %v", content, path, err)
		}
	})
}

// No value gets into git's configuration that could begin another line or section.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("core.filemode\nfalse\x00core.autocrlf\ninput\n[core]\nfsmonitor=x\x00core.eol\x00extensions.objectformat\nsha256\x00"))
	f.Add([]byte("core.eol\nlf\x00core.fsmonitor\nx\x00filter.x.clean\ny\x00include.path\nz\x00"))
	lines := strings.Count(ourConfig, "\n")
	f.Fuzz(func(t *testing.T, list []byte) {
		c := parseConfig(list)
		_ = c.check(true)
		text := c.text()
		if got := strings.Count(text, "\n"); got > lines+2+2*len(harmless) {
			t.Errorf("%d lines", got)
		}
		for line := range strings.Lines(strings.TrimSuffix(text, ourConfig)) {
			key, value, pair := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
			if pair && (!harmlessValue.MatchString(value) || strings.Contains(key, "fsmonitor")) {
				t.Errorf("%q", line)
			}
		}
	})
}

func FuzzParseTree(f *testing.F) {
	id := strings.Repeat("a", 40)
	f.Add([]byte("100644 blob " + id + "\ta/b\x00120000 blob " + id + "\t../x\x00160000 commit " + id + "\tm\x00"))
	f.Fuzz(func(t *testing.T, out []byte) {
		entries, err := parseTree(out)
		if err != nil {
			return
		}
		_ = checkNames(entries)
		for _, e := range entries {
			if !commitID.MatchString(e.id) || e.path == "" || strings.Contains(e.path, "\x00") {
				t.Errorf("%+v", e)
			}
		}
	})
}

// Whatever git prints, no more is written than was checked.
func FuzzCopyBlob(f *testing.F) {
	id := strings.Repeat("a", 40)
	f.Add([]byte(id+" blob 3\nabc\n"), int64(3))
	f.Add([]byte(id+" blob 9999999999\nabc\n"), int64(3))
	f.Add([]byte(id+" blob -1\n"), int64(-1))
	f.Add([]byte(id+" missing\n"), int64(0))
	f.Fuzz(func(t *testing.T, out []byte, checked int64) {
		var written int64
		write := func(_ entry, content io.Reader) error {
			n, err := io.Copy(io.Discard, content)
			written += n
			return err
		}
		err := copyBlob(bufio.NewReader(bytes.NewReader(out)), entry{path: "x", id: id}, checked, write)
		if written > max(checked, 0) || err == nil && written != checked {
			t.Errorf("%d bytes, checked %d, %v", written, checked, err)
		}
	})
}

func FuzzParseLog(f *testing.F) {
	f.Add([]byte(strings.Repeat("a", 40) + "\n1700000000\nA\x1b[31m\nsubject\x00"))
	f.Fuzz(func(t *testing.T, out []byte) {
		commits, err := parseLog(out)
		if err != nil {
			return
		}
		for _, c := range commits {
			for _, word := range []string{c.Author, c.Subject} {
				if len(word) > maxWords+len("…") || strings.ContainsAny(word, "\x00\x1b\n\r") {
					t.Errorf("%q", word)
				}
			}
		}
	})
}

func FuzzParseAttributes(f *testing.F) {
	f.Add([]byte("a\x00filter\x00lfs\x00a\x00eol\x00lf\x00"))
	f.Fuzz(func(t *testing.T, out []byte) {
		if err := parseAttributes(out); err == nil && bytes.HasPrefix(out, []byte("a\x00filter\x00lfs\x00")) {
			t.Error("a filter is not seen")
		}
	})
}

func FuzzConcerns(f *testing.F) {
	f.Add([]byte(" M a/b\x00?? new/\x00"), "a")
	f.Fuzz(func(t *testing.T, changed []byte, inside string) {
		if concerns(changed, inside) && len(changed) < 4 {
			t.Error("concerned by nothing")
		}
	})
}
