// Package imagestest has what the tests of images and their contexts share: a base image, trees of
// files, the docker client.
package imagestest

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BaseImage returns the name of an image with a shell. A script in scripts makes it;
// RUNTESTS_TEST_IMAGE names another.
func BaseImage() string {
	if image := os.Getenv("RUNTESTS_TEST_IMAGE"); image != "" {
		return image
	}
	return "runtests-busybox"
}

// RemoveImage removes an image by its name when the test ends.
func RemoveImage(t *testing.T, name string) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if output, err := exec.CommandContext(ctx, "docker", "rmi", name).CombinedOutput(); err != nil {
			t.Errorf("remove the image: %v\n%s", err, output)
		}
	})
}

// Docker runs the docker client with the classic builder and returns its standard output.
func Docker(t *testing.T, stdin io.Reader, args ...string) string {
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

// Tree makes a folder with files by path and content. A path that ends in a slash is a directory;
// content "-> TARGET" makes a symbolic link.
func Tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		parent := filepath.Dir(file)
		if strings.HasSuffix(name, "/") {
			parent = file
		}
		Must(t, os.MkdirAll(parent, 0o755))
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			Must(t, os.Symlink(target, file))
		} else if parent != file {
			Must(t, os.WriteFile(file, []byte(content), 0o644))
		}
	}
	return dir
}

// Must fails the test at once on an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
