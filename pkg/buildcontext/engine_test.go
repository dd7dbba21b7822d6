package buildcontext

import (
	"crypto/rand"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/images/imagestest"
	"runtests/tests/needs"
)

// TestContextAsDocker compares, on a real engine, what `COPY . /ctx` gets of our tar with
// what it gets of what docker's own client sends. (That client does not look for an exception
// with a wildcard below an ignored directory, as BuildKit and we do: no case has one.)
func TestContextAsDocker(t *testing.T) {
	needs.Engine(t, t.Name())
	tree := map[string]string{
		"docker/Dockerfile": "FROM " + imagestest.BaseImage() + "\nCOPY . /ctx\n",
		"a.txt":             "a", "b.md": "b", "README.md": "r", "src/main.c": "c", "src/main.o": "o", "src/lib/x.c": "x", "src/vendor/y.c": "y",
		"docs/README.md": "d", "docs/old/README.md": "e", "empty/": "", ".git/config": "g", "secret": "s", "odd \xff\n name": "odd",
		"link": "-> a.txt", "out": "-> ../../etc/passwd", "dirlink": "-> docs", "nowhere": "-> gone", "run.sh": "#!/bin/sh", "same": "same", "[x]": "class",
	}
	for name, c := range map[string]struct{ ignore, dockerfile string }{
		"the usual":        {".git\n**/*.o\n*.md\n!README.md\n/secret\n", "docker/Dockerfile"},
		"all but":          {"*\n!src\nsrc/vendor\n!docs/old\n", "docker/Dockerfile"},
		"itself":           {"docker\n.dockerignore\n", "docker/Dockerfile"},
		"detours, escapes": {" ./docs/../secret \n\\[x\\]\n[ab].*\n#README.md\n**/README.md\n!docs/old/README.md\nsrc/l*\n?ame\n", "docker/Dockerfile"},
		// In a .dockerignore that stays, docker's client would have written another name each time.
		"Dockerfile elsewhere":                  {".git\n.dockerignore\n", "../Dockerfile"},
		"Dockerfile elsewhere, nothing ignored": {"", "../Dockerfile"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := imagestest.Tree(t, map[string]string{"Dockerfile": tree["docker/Dockerfile"]})
			dir := filepath.Join(parent, "context")
			imagestest.Must(t, os.Rename(imagestest.Tree(t, tree), dir))
			imagestest.Must(t, os.Chmod(filepath.Join(dir, "run.sh"), 0o755|fs.ModeSetuid))
			imagestest.Must(t, os.Link(filepath.Join(dir, "same"), filepath.Join(dir, "same2")))
			if c.ignore != "" {
				imagestest.Must(t, os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte(c.ignore), 0o644))
			}
			dockerfile := filepath.Join(dir, c.dockerfile)
			want := copied(t, nil, "-f", dockerfile, dir)
			ours, err := Open(t.Context(), dir, dockerfile)
			imagestest.Must(t, err)
			stream := ours.Stream(t.Context())
			defer stream.Close()
			got := copied(t, stream, "-f", ours.DockerfileName(), "-")
			if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("-docker +ours\n%s", diff)
			}
			if !strings.Contains(want, "main.c") {
				t.Errorf("docker's client sent nothing:\n%s", want)
			}
		})
	}
}

// copied builds with the classic builder, which obeys a .dockerignore in the tar, and lists
// what is then in /ctx: modes, types, names, where links point to, and what files contain.
func copied(t *testing.T, stdin io.Reader, args ...string) string {
	t.Helper()
	name := "runtests-contexttest-" + strings.ToLower(rand.Text())
	imagestest.RemoveImage(t, name)
	imagestest.Docker(t, stdin, append([]string{"build", "-q", "--force-rm", "--no-cache", "-t", name}, args...)...)
	return imagestest.Docker(t, nil, "run", "--rm", "--network", "none", name, "sh", "-c",
		`cd /ctx && { find . -exec stat -c "%A %N" {} + ; find . -type f -exec sha256sum {} + ; } | sort`)
}
