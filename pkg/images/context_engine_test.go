package images

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/tests/needs"
)

// contextTestImage is an image with a shell; scripts/ makes it, RUNTESTS_TEST_IMAGE names another.
func contextTestImage() string {
	if image := os.Getenv("RUNTESTS_TEST_IMAGE"); image != "" {
		return image
	}
	return "runtests-busybox"
}

// TestContextAsDocker compares, on a real engine, what `COPY . /ctx` gets of our tar with
// what it gets of what docker's own client sends. (That client does not look for an exception
// with a wildcard below an ignored directory, as BuildKit and we do: no case has one.)
func TestContextAsDocker(t *testing.T) {
	needs.Engine(t, t.Name())
	tree := map[string]string{
		"docker/Dockerfile": "FROM " + contextTestImage() + "\nCOPY . /ctx\n",
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
			parent := makeTree(t, map[string]string{"Dockerfile": tree["docker/Dockerfile"]})
			dir := filepath.Join(parent, "context")
			must(t, os.Rename(makeTree(t, tree), dir))
			must(t, os.Chmod(filepath.Join(dir, "run.sh"), 0o755|fs.ModeSetuid))
			must(t, os.Link(filepath.Join(dir, "same"), filepath.Join(dir, "same2")))
			if c.ignore != "" {
				must(t, os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte(c.ignore), 0o644))
			}
			dockerfile := filepath.Join(dir, c.dockerfile)
			want := copied(t, nil, "-f", dockerfile, dir)
			ours, err := OpenContext(t.Context(), dir, dockerfile)
			must(t, err)
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
	removeImage(t, name)
	dockerCommand(t, stdin, append([]string{"build", "-q", "--force-rm", "--no-cache", "-t", name}, args...)...)
	return dockerCommand(t, nil, "run", "--rm", "--network", "none", name, "sh", "-c",
		`cd /ctx && { find . -exec stat -c "%A %N" {} + ; find . -type f -exec sha256sum {} + ; } | sort`)
}

// removeImage removes an image by its name when the test ends.
func removeImage(t *testing.T, name string) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if output, err := exec.CommandContext(ctx, "docker", "rmi", name).CombinedOutput(); err != nil {
			t.Errorf("remove the image: %v\n%s", err, output)
		}
	})
}

func dockerCommand(t *testing.T, stdin io.Reader, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "docker", args...)
	command.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	command.Stdin = stdin
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(output)
}
