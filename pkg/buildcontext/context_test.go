package buildcontext

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/patternmatcher"
	"golang.org/x/sys/unix"

	"runtests/pkg/images/imagestest"
	"runtests/pkg/tree"
)

func openTree(t testing.TB, dir string) *Context {
	t.Helper()
	c, err := Open(t.Context(), dir, filepath.Join(dir, "Dockerfile"))
	imagestest.Must(t, err)
	return c
}

// sent reads the whole stream: the headers, with the content of the files.
func sent(t testing.TB, c *Context) (headers []tar.Header, contents map[string]string) {
	t.Helper()
	stream := c.Stream(t.Context())
	defer stream.Close()
	contents = map[string]string{}
	for archive := tar.NewReader(stream); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return headers, contents
		}
		imagestest.Must(t, err)
		headers = append(headers, *h)
		data, err := io.ReadAll(archive)
		imagestest.Must(t, err)
		contents[h.Name] = string(data)
	}
}

func names(headers []tar.Header) []string {
	var names []string
	for _, h := range headers {
		names = append(names, h.Name)
	}
	return names
}

func TestWhatIsSent(t *testing.T) {
	files := map[string]string{
		"Dockerfile": "FROM scratch\n", "a.txt": "", "b.md": "", "src/main.c": "", "src/main.o": "", "src/lib/x.c": "",
		"docs/README.md": "", "docs/old/README.md": "", "empty/": "", ".git/config": "", "secret": "",
	}
	all := []string{".dockerignore", ".git/", ".git/config", "Dockerfile", "a.txt", "b.md", "docs/", "docs/README.md", "docs/old/", "docs/old/README.md",
		"empty/", "secret", "src/", "src/lib/", "src/lib/x.c", "src/main.c", "src/main.o"}
	but := func(left ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(name string) bool {
			return slices.ContainsFunc(left, func(one string) bool {
				return name == one || strings.HasSuffix(one, "/") && strings.HasPrefix(name, one)
			})
		})
	}
	for _, c := range []struct {
		name, ignore string
		want         []string
	}{
		{"nothing", "", all},
		{"comments, blanks, a byte order mark", "\uFEFF# secret\n\n   \n", all},
		{"a directory", ".git", but(".git/")},
		{"a leading slash", "/secret\n", but("secret")},
		{"a trailing slash, blanks around", "  .git/  \n", but(".git/")},
		{"a dot, a detour", "./src/../secret", but("secret")},
		{"a pattern stays in its directory", "*.md", but("b.md")},
		{"two stars do not", "**/*.md", but("b.md", "docs/README.md", "docs/old/README.md")},
		{"the last line wins", "*.md\n!b.md\n", all},
		{"and the last one again", "!b.md\n*.md\n", but("b.md")},
		{"the Dockerfile and .dockerignore are sent all the same", "Dockerfile\n.dockerignore\nsecret", but("secret")},
		{"everything but a file deep down", "*\n!docs/old/README.md", []string{".dockerignore", "Dockerfile", "docs/", "docs/old/", "docs/old/README.md"}},
		{"a directory but a pattern", "src\n!src/*.c", but("src/lib/", "src/main.o")},
		{"an exception with two stars is looked for everywhere", "*\n!**/*.c", []string{".dockerignore", "Dockerfile", "src/", "src/lib/", "src/lib/x.c", "src/main.c"}},
		{"an exception that saves nothing leaves no empty directory", "*\n!docs/nothing", []string{".dockerignore", "Dockerfile"}},
		{"a directory saved, one in it not", "*\n!docs\ndocs/old", []string{".dockerignore", "Dockerfile", "docs/", "docs/README.md"}},
		{"one character", "?.txt", but("a.txt")},
		{"a class", "[a-b].*", but("a.txt", "b.md")},
		{"all", "**", []string{".dockerignore", "Dockerfile"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := imagestest.Tree(t, files)
			imagestest.Must(t, os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte(c.ignore), 0o644))
			got := openTree(t, dir)
			headers, _ := sent(t, got)
			if diff := cmp.Diff(c.want, names(headers)); diff != "" {
				t.Errorf("-want +sent\n%s", diff)
			}
		})
	}
}

func TestIgnoreFileOfADockerfile(t *testing.T) {
	dir := imagestest.Tree(t, map[string]string{
		"docker/debian": "FROM scratch", "docker/debian.dockerignore": "a\n", ".dockerignore": "b\n.dockerignore\n", "a": "", "b": "",
	})
	c, err := Open(t.Context(), dir, filepath.Join(dir, "docker/debian"))
	imagestest.Must(t, err)
	headers, _ := sent(t, c)
	want := []string{".dockerignore", "b", "docker/", "docker/debian", "docker/debian.dockerignore"}
	if diff := cmp.Diff(want, names(headers)); diff != "" {
		t.Errorf("-want +sent\n%s", diff)
	}
	if c.DockerfileName() != "docker/debian" {
		t.Errorf("the Dockerfile is %q", c.DockerfileName())
	}
}

// TestIgnoredTreeIsNotRead has the kernel tell what is opened.
func TestIgnoredTreeIsNotRead(t *testing.T) {
	dir := imagestest.Tree(t, map[string]string{
		"Dockerfile": "", ".dockerignore": "big\n**/cache\n!docs/*.md\n!big\nbig\n",
		"big/data": "", "src/cache/x": "", "docs/a.md": "",
	})
	opened := watchOpen(t, filepath.Join(dir, "big"), filepath.Join(dir, "src/cache"))
	c := openTree(t, dir)
	sent(t, c)
	if n := opened(); n != 0 {
		t.Errorf("ignored directories were opened %d times", n)
	}
	_, err := os.ReadDir(filepath.Join(dir, "big"))
	imagestest.Must(t, err)
	if opened() == 0 {
		t.Error("the kernel tells nothing: this test shows nothing")
	}
}

// watchOpen returns a function that counts the opens of the directories, and of what is in them.
func watchOpen(t *testing.T, dirs ...string) func() int {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	imagestest.Must(t, err)
	t.Cleanup(func() { imagestest.Must(t, unix.Close(fd)) })
	for _, dir := range dirs {
		_, err := unix.InotifyAddWatch(fd, dir, unix.IN_OPEN)
		imagestest.Must(t, err)
	}
	return func() int {
		events := make([]byte, 64<<10)
		n, err := unix.Read(fd, events)
		if errors.Is(err, unix.EAGAIN) {
			return 0
		}
		imagestest.Must(t, err)
		return n / unix.SizeofInotifyEvent
	}
}

func TestTar(t *testing.T) {
	long := strings.Repeat("long/", 60) + "name"
	odd := "odd\xff\x01 \n é"
	dir := imagestest.Tree(t, map[string]string{
		"Dockerfile": "FROM x\n", "run.sh": "#!/bin/sh\n", long: "deep", odd: "odd",
		"out": "-> /etc/passwd", "up": "-> ../../x", "nowhere": "-> gone", "loop": "-> loop", "dirlink": "-> long", "z": "linked",
	})
	in := func(name string) string { return filepath.Join(dir, name) }
	imagestest.Must(t, os.Chmod(in("run.sh"), 0o755|fs.ModeSetuid))
	imagestest.Must(t, os.Chmod(in("long"), 0o700|fs.ModeSticky))
	imagestest.Must(t, os.Link(in("z"), in("zz")))
	imagestest.Must(t, unix.Mkfifo(in("pipe"), 0o640))
	socket, err := net.Listen("unix", in("socket"))
	imagestest.Must(t, err)
	defer socket.Close()
	if os.Getuid() == 0 {
		imagestest.Must(t, os.Lchown(in("run.sh"), 1234, 1234))
		imagestest.Must(t, os.Chmod(in("run.sh"), 0o755|fs.ModeSetuid)) // which the change of owner took away
		imagestest.Must(t, unix.Mknod(in("null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	}
	c := openTree(t, dir)
	headers, contents := sent(t, c)
	by := map[string]tar.Header{}
	for _, h := range headers {
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" {
			t.Errorf("%q belongs to %d:%d", h.Name, h.Uid, h.Gid)
		}
		by[h.Name] = h
	}
	for name, want := range map[string]tar.Header{
		"run.sh": {Typeflag: tar.TypeReg, Mode: 0o4755, Size: 10}, "long/": {Typeflag: tar.TypeDir, Mode: 0o1700},
		"out": {Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, "up": {Typeflag: tar.TypeSymlink, Linkname: "../../x"},
		"nowhere": {Typeflag: tar.TypeSymlink, Linkname: "gone"}, "loop": {Typeflag: tar.TypeSymlink, Linkname: "loop"},
		"dirlink": {Typeflag: tar.TypeSymlink, Linkname: "long"},
		"z":       {Typeflag: tar.TypeReg, Mode: 0o644, Size: 6}, "zz": {Typeflag: tar.TypeLink, Linkname: "z"},
		"pipe": {Typeflag: tar.TypeFifo, Mode: 0o640}, odd: {Typeflag: tar.TypeReg, Size: 3}, long: {Typeflag: tar.TypeReg, Size: 4},
	} {
		got := by[name]
		if got.Typeflag != want.Typeflag || got.Linkname != want.Linkname || got.Size != want.Size || want.Mode != 0 && got.Mode != want.Mode {
			t.Errorf("%q: got %c %o %q %d", name, got.Typeflag, got.Mode, got.Linkname, got.Size)
		}
	}
	if os.Getuid() == 0 && (by["null"].Typeflag != tar.TypeChar || by["null"].Devmajor != 1 || by["null"].Devminor != 3) {
		t.Errorf("device: %+v", by["null"])
	}
	if _, ok := by["socket"]; ok {
		t.Error("the socket was sent")
	}
	if contents[odd] != "odd" || contents[long] != "deep" {
		t.Error("content is not what it was")
	}
	info, err := os.Stat(in("run.sh"))
	imagestest.Must(t, err)
	if !by["run.sh"].ModTime.Equal(info.ModTime().Truncate(time.Second)) {
		t.Errorf("time %s, not %s", by["run.sh"].ModTime, info.ModTime())
	}
}

func TestDockerfile(t *testing.T) {
	dir := imagestest.Tree(t, map[string]string{
		"ctx/sub/real": "FROM in", "ctx/link": "-> sub/real", "outside": "FROM out", "alias": "-> ctx", "ctx/a": "",
		"other/.dockerignore": "a", "other/.runtests.Dockerfile": "taken", "other/a": "",
	})
	for _, c := range []struct{ dir, dockerfile, name, content, ignore string }{
		{"ctx", "ctx/sub/real", "sub/real", "FROM in", ""},
		{"ctx", "ctx/link", "sub/real", "FROM in", ""},
		{"alias", "ctx/sub/real", "sub/real", "FROM in", ""},
		{"ctx", "outside", ".runtests.Dockerfile", "FROM out", ".dockerignore\n.runtests.Dockerfile\n"},
		{"other", "outside", ".runtests.Dockerfile-2", "FROM out", "a\n.runtests.Dockerfile-2\n"},
	} {
		got, err := Open(t.Context(), filepath.Join(dir, c.dir), filepath.Join(dir, c.dockerfile))
		imagestest.Must(t, err)
		_, contents := sent(t, got)
		if got.DockerfileName() != c.name || string(got.Dockerfile()) != c.content || contents[c.name] != c.content {
			t.Errorf("%s, %s: got %q with %q, sent %q", c.dir, c.dockerfile, got.DockerfileName(), got.Dockerfile(), contents[c.name])
		}
		if contents[".dockerignore"] != c.ignore {
			t.Errorf("%s, %s: sent .dockerignore %q", c.dir, c.dockerfile, contents[".dockerignore"])
		}
	}
}

// TestLinkOutOfContext: a repository has a link to a file that only we can read, as its Dockerfile or as
// its .dockerignore. The file is not sent, and no error shows a line of it.
func TestLinkOutOfContext(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"Dockerfile":              {"ctx/Dockerfile": "-> ../secret"},
		"absolute":                {"ctx/Dockerfile": "-> DIR/secret"},
		"link to a link":          {"ctx/Dockerfile": "-> a", "ctx/a": "-> ../secret"},
		"folder":                  {"ctx/Dockerfile": "-> sub/secret", "ctx/sub": "-> .."},
		".dockerignore":           {"ctx/Dockerfile": "FROM x", "ctx/.dockerignore": "-> ../secret"},
		"Dockerfile.dockerignore": {"ctx/Dockerfile": "FROM x", "ctx/Dockerfile.dockerignore": "-> ../secret"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			imagestest.Must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("[hunter2\n"), 0o600))
			for file, content := range files {
				imagestest.Must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755))
				target, link := strings.CutPrefix(content, "-> ")
				if link {
					imagestest.Must(t, os.Symlink(strings.Replace(target, "DIR", dir, 1), filepath.Join(dir, file)))
				} else {
					imagestest.Must(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644))
				}
			}
			_, err := Open(t.Context(), filepath.Join(dir, "ctx"), filepath.Join(dir, "ctx/Dockerfile"))
			if err == nil || !strings.Contains(err.Error(), "leads out of the context") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	files := map[string]string{"Dockerfile": "FROM x", "a": "content", "b": "content", "sub/link": "-> ../a", ".dockerignore": "ignored", "ignored": "x"}
	first := imagestest.Tree(t, files)
	base := openTree(t, first)
	for _, c := range []struct {
		name       string
		change     func(in func(string) string) error
		digest     bool // changes
		dockerfile bool
	}{
		{"nothing", func(func(string) string) error { return nil }, false, false},
		{"a time", func(in func(string) string) error { return os.Chtimes(in("a"), time.Time{}, time.Unix(1, 0)) }, false, false},
		{"what is ignored", func(in func(string) string) error { return os.WriteFile(in("ignored"), []byte("y"), 0o600) }, false, false},
		{"two names for one file", func(in func(string) string) error { return errors.Join(os.Remove(in("b")), os.Link(in("a"), in("b"))) }, false, false},
		{"content of the same size", func(in func(string) string) error { return os.WriteFile(in("a"), []byte("CONTENT"), 0o600) }, true, false},
		{"a bit of a mode", func(in func(string) string) error { return os.Chmod(in("a"), 0o744) }, true, false},
		{"a mode of a directory", func(in func(string) string) error { return os.Chmod(in("sub"), 0o700) }, true, false},
		{"where a link points to", func(in func(string) string) error {
			return errors.Join(os.Remove(in("sub/link")), os.Symlink("../b", in("sub/link")))
		}, true, false},
		{"a link for a file", func(in func(string) string) error { return errors.Join(os.Remove(in("b")), os.Symlink("a", in("b"))) }, true, false},
		{"a name", func(in func(string) string) error { return os.Rename(in("b"), in("c")) }, true, false},
		{"an empty directory", func(in func(string) string) error { return os.Mkdir(in("new"), 0o755) }, true, false},
		{"the Dockerfile", func(in func(string) string) error { return os.WriteFile(in("Dockerfile"), []byte("FROM y"), 0o600) }, false, true},
		{"the mode of the Dockerfile", func(in func(string) string) error { return os.Chmod(in("Dockerfile"), 0o755) }, true, false},
	} {
		dir := imagestest.Tree(t, files)
		imagestest.Must(t, c.change(func(name string) string { return filepath.Join(dir, name) }))
		got := openTree(t, dir)
		if (got.Digest() != base.Digest()) != c.digest || (got.DockerfileDigest() != base.DockerfileDigest()) != c.dockerfile {
			t.Errorf("%s: digest changed: %v, the Dockerfile's: %v", c.name, got.Digest() != base.Digest(), got.DockerfileDigest() != base.DockerfileDigest())
		}
	}
}

func TestChangedWhileSent(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB: more than is read ahead
	files := map[string]string{"Dockerfile": "", "a": big, "b": "content", "d/": "", "link": "-> b"}
	for name, change := range map[string]func(in func(string) string) error{
		"content": func(in func(string) string) error { return os.WriteFile(in("b"), []byte("CONTENT"), 0o644) },
		"size":    func(in func(string) string) error { return os.WriteFile(in("b"), []byte("more content"), 0o644) },
		"mode":    func(in func(string) string) error { return os.Chmod(in("b"), 0o755) },
		"gone":    func(in func(string) string) error { return os.Remove(in("b")) },
		"a pipe": func(in func(string) string) error {
			return errors.Join(os.Remove(in("b")), unix.Mkfifo(in("b"), 0o644))
		},
		"a link": func(in func(string) string) error { return errors.Join(os.Remove(in("b")), os.Symlink("a", in("b"))) },
		"another link": func(in func(string) string) error {
			return errors.Join(os.Remove(in("link")), os.Symlink("a", in("link")))
		},
		"a directory gone":  func(in func(string) string) error { return os.Remove(in("d")) },
		"a directory's own": func(in func(string) string) error { return os.Chmod(in("d"), 0o700) },
		"shrinks":           func(in func(string) string) error { return os.Truncate(in("a"), 200<<10) },
		"rewritten":         func(in func(string) string) error { return os.WriteFile(in("a"), []byte(strings.ToUpper(big)), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := imagestest.Tree(t, files)
			stream := openTree(t, dir).Stream(t.Context())
			defer stream.Close()
			_, err := io.CopyN(io.Discard, stream, 4096) // into the file a
			imagestest.Must(t, err)
			imagestest.Must(t, change(func(name string) string { return filepath.Join(dir, name) }))
			_, err = io.Copy(io.Discard, stream)
			var hinted interface{ Hint() string }
			if !errors.Is(err, ErrChanged) || !errors.As(err, &hinted) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("grows behind what is sent", func(t *testing.T) {
		dir := imagestest.Tree(t, files)
		stream := openTree(t, dir).Stream(t.Context())
		defer stream.Close()
		_, err := io.CopyN(io.Discard, stream, 4096)
		imagestest.Must(t, err)
		imagestest.Must(t, os.WriteFile(filepath.Join(dir, "a"), []byte(big+"more"), 0o644))
		if _, err = io.Copy(io.Discard, stream); err != nil {
			t.Errorf("what was hashed is what was sent, yet: %v", err)
		}
	})
}

func TestContextFaults(t *testing.T) {
	for _, c := range []struct {
		name        string
		tree        map[string]string
		dir, file   string
		want, hint  string
		notExisting bool
	}{
		{"no directory", map[string]string{}, "none", "none/Dockerfile", "none: no such file", "", true},
		{"not a directory", map[string]string{"f": ""}, "f", "f/Dockerfile", "it is not a directory", "", false},
		{"no Dockerfile", map[string]string{"c/": ""}, "c", "c/Dockerfile", "read the Dockerfile: ", "build.dockerfile", true},
		{"a directory for a Dockerfile", map[string]string{"c/Dockerfile/": ""}, "c", "c/Dockerfile", "not a regular file", "", false},
		{"a loop for a Dockerfile", map[string]string{"c/Dockerfile": "-> Dockerfile"}, "c", "c/Dockerfile", "too many links", "", false},
		{"a bad pattern", map[string]string{"c/Dockerfile": "", "c/.dockerignore": "ok\n[\n"}, "c", "c/Dockerfile", `.dockerignore: pattern "["`, "", false},
		{"a bad class", map[string]string{"c/Dockerfile": "", "c/.dockerignore": "a[z-b]"}, "c", "c/Dockerfile", `pattern "a[z-b]"`, "", false},
		{"an exception of nothing", map[string]string{"c/Dockerfile": "", "c/.dockerignore": "!"}, "c", "c/Dockerfile", `pattern "!"`, "", false},
		{"a directory for .dockerignore", map[string]string{"c/Dockerfile": "", "c/.dockerignore/": ""}, "c", "c/Dockerfile", ".dockerignore: not a regular file", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := imagestest.Tree(t, c.tree)
			_, err := Open(t.Context(), filepath.Join(dir, c.dir), filepath.Join(dir, c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v", err)
			}
			var hinted interface{ Hint() string }
			if c.hint != "" && (!errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), c.hint)) {
				t.Errorf("no hint: %v", err)
			}
			if errors.Is(err, fs.ErrNotExist) != c.notExisting {
				t.Errorf("does not exist: %v", errors.Is(err, fs.ErrNotExist))
			}
		})
	}
}

// unreadableDir names, in the environment, the directory that a copy of the test's binary
// opens as a user who may not read all of it.
const unreadableDir = "RUNTESTS_UNREADABLE_DIR"

func TestUnreadable(t *testing.T) {
	if dir := os.Getenv(unreadableDir); dir != "" {
		_, err := Open(t.Context(), dir, filepath.Join(dir, "Dockerfile"))
		var hinted interface{ Hint() string }
		if errors.As(err, &hinted) {
			fmt.Println("hint:", hinted.Hint())
		}
		fmt.Println("error:", err)
		return
	}
	if os.Getuid() != 0 {
		t.Fatal("this test becomes another user: it needs root")
	}
	for _, c := range []struct {
		name, ignore, want string
	}{
		{"a file", "locked", "key: permission denied"},
		{"an ignored file", "key\nlocked", "error: <nil>"},
		{"a directory", "key", "locked: permission denied"},
		{"an ignored directory with an exception", "key\nlocked\n!locked/x", "error: <nil>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := imagestest.Tree(t, map[string]string{"Dockerfile": "", ".dockerignore": c.ignore, "key": "", "locked/x": ""})
			imagestest.Must(t, os.Chmod(filepath.Join(dir, "key"), 0o600))
			imagestest.Must(t, os.Chmod(filepath.Join(dir, "locked"), 0o700))
			output := asNobody(t, dir)
			if !strings.Contains(output, c.want) || strings.Contains(c.want, "denied") && !strings.Contains(output, ".dockerignore") {
				t.Errorf("got\n%s", output)
			}
		})
	}
}

// asNobody runs the test again, on dir, as a user without rights.
func asNobody(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	imagestest.Must(t, err)
	binary, err := os.ReadFile(self)
	imagestest.Must(t, err)
	place, err := os.MkdirTemp("", "runtests-nobody")
	imagestest.Must(t, err)
	t.Cleanup(func() { imagestest.Must(t, os.RemoveAll(place)) })
	copied := filepath.Join(place, "test")
	imagestest.Must(t, os.WriteFile(copied, binary, 0o755))
	for d := dir; d != filepath.Clean(os.TempDir()); d = filepath.Dir(d) {
		imagestest.Must(t, os.Chmod(d, 0o755))
	}
	imagestest.Must(t, os.Chmod(place, 0o755))
	command := exec.CommandContext(t.Context(), copied, "-test.run=^TestUnreadable$")
	command.Env = append(os.Environ(), unreadableDir+"="+dir)
	command.Dir = place
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return string(output)
}

func TestContextEnds(t *testing.T) {
	dir := imagestest.Tree(t, map[string]string{"Dockerfile": "", "a": strings.Repeat("x", 1<<20)})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	stream := openTree(t, dir).Stream(ctx)
	defer stream.Close()
	cancel(cause)
	if _, err := io.Copy(io.Discard, stream); !errors.Is(err, cause) {
		t.Errorf("the stream ended with %v", err)
	}
	if _, err := Open(ctx, dir, filepath.Join(dir, "Dockerfile")); !errors.Is(err, cause) {
		t.Errorf("it was opened with %v", err)
	}
}

// TestMemory opens and sends a file of 128 MiB, most of which is a hole.
func TestMemory(t *testing.T) {
	dir := imagestest.Tree(t, map[string]string{"Dockerfile": "", "a": "x"})
	imagestest.Must(t, os.Truncate(filepath.Join(dir, "a"), 128<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := openTree(t, dir)
	stream := c.Stream(t.Context())
	defer stream.Close()
	n, err := io.Copy(io.Discard, stream)
	imagestest.Must(t, err)
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4<<20 {
		t.Errorf("%d bytes were allocated for %d sent", allocated, n)
	}
	if n <= 128<<20 {
		t.Errorf("sent %d bytes", n)
	}
}

// FuzzIgnore holds the walk, which leaves directories out, against the matcher alone.
func FuzzIgnore(f *testing.F) {
	for _, seed := range []string{"a\n!a/b", "*\n!**/c", "a\n!a/b\na", "!a\na/[^x]b", `a\/b` + "\n!a*", "a**\n!a/b/**", "**/b\n!a/b/c", "*/*\n!?/b"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	for _, file := range []string{"a/a/a", "a/a/b", "a/b/c", "a/b/a", "b/a/c", "b/b/a", "c", "ab/b", "a/c"} {
		imagestest.Must(f, os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o755))
		imagestest.Must(f, os.WriteFile(filepath.Join(dir, file), nil, 0o644))
	}
	files, err := tree.Open(dir)
	imagestest.Must(f, err)
	defer files.Close()
	f.Fuzz(func(t *testing.T, ignore string) {
		rules, err := parseIgnore([]byte(ignore))
		if err != nil {
			return
		}
		w := &walker{ignore: &ignoreRules{rules, false}, links: map[inode]*entry{}}
		imagestest.Must(t, files.Walk(t.Context(), w.visit))
		var got []string
		for _, e := range w.entries {
			if e.kind == 0 {
				got = append(got, e.path)
			}
		}
		if diff := cmp.Diff(matched(t, rules, dir, "", patternmatcher.MatchInfo{}), got); diff != "" {
			t.Errorf("%q: -matcher +walk\n%s", ignore, diff)
		}
	})
}

// matched is every file that the matcher does not ignore, with no directory left out.
func matched(t *testing.T, rules *patternmatcher.PatternMatcher, dir, folder string, above patternmatcher.MatchInfo) []string {
	t.Helper()
	found, err := os.ReadDir(filepath.Join(dir, folder))
	imagestest.Must(t, err)
	var files []string
	for _, f := range found {
		name := filepath.Join(folder, f.Name())
		ignored, match, err := rules.MatchesUsingParentResults(name, above)
		imagestest.Must(t, err)
		if f.IsDir() {
			files = append(files, matched(t, rules, dir, name, match)...)
		} else if !ignored {
			files = append(files, name)
		}
	}
	return files
}

// BenchmarkContext opens, and sends, a context of 20,000 files of 4 KiB in 400 directories.
func BenchmarkContext(b *testing.B) {
	dir := b.TempDir()
	content := []byte(strings.Repeat("0123456789abcdef", 256))
	for d := range 400 {
		folder := filepath.Join(dir, fmt.Sprintf("d%d/src", d))
		imagestest.Must(b, os.MkdirAll(folder, 0o755))
		for f := range 50 {
			imagestest.Must(b, os.WriteFile(filepath.Join(folder, fmt.Sprintf("file%d.c", f)), content, 0o644))
		}
	}
	imagestest.Must(b, os.WriteFile(filepath.Join(dir, "Dockerfile"), nil, 0o644))
	imagestest.Must(b, os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte(".git\n**/*.o\n**/node_modules\nlogs\n!logs/x\n"), 0o644))
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			openTree(b, dir)
		}
	})
	b.Run("send", func(b *testing.B) {
		c := openTree(b, dir)
		for b.Loop() {
			stream := c.Stream(b.Context())
			_, err := io.Copy(io.Discard, stream)
			imagestest.Must(b, errors.Join(err, stream.Close()))
		}
	})
}
