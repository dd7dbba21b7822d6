package inventory

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/pkg/images/imagestest"
	"runtests/pkg/plain"
	"runtests/pkg/report"
	"runtests/tests/needs"
)

// testdata/inventory.txt is what the script printed, with the mark MARK, in an image made
// from debian:bookworm-slim with Debian's python3-pip, rpm, opam and npm; two packages were
// made for rpm, three switches for opam, one of them in a project, one of another user, a
// virtual environment for Python and a package for npm.
func TestParseOutput(t *testing.T) {
	output, err := os.ReadFile("testdata/inventory.txt")
	imagestest.Must(t, err)
	inventory, err := parseOutput(output, "MARK")
	imagestest.Must(t, err)
	if len(inventory.Failed) > 0 {
		t.Errorf("failed: %v", inventory.Failed)
	}
	got := map[string][]string{}
	for _, p := range inventory.Packages {
		got[p.Manager] = append(got[p.Manager], p.Name+" "+p.Version)
	}
	if len(got["dpkg"]) != 569 || got["dpkg"][1] != "apt 2.6.1" {
		t.Errorf("dpkg: %d, %v", len(got["dpkg"]), got["dpkg"][:2])
	}
	delete(got, "dpkg")
	want := map[string][]string{
		"rpm":  {"hello 1:1.2-3", "plain 2-1.el9"},
		"opam": {"conf-bar 4", "conf-bar 4", "foo 1.0~beta.2", "foo 1.0~beta.2", "foo 1.0~beta.2"},
		"pip":  {"gyp 0.1", "pip 23.0.1", "pip 23.0.1", "setuptools 66.1.1", "setuptools 66.1.1", "six 1.16.0", "wheel 0.38.4"},
		"npm":  {"@ours/tool 0.1.2-rc.1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestParsers(t *testing.T) {
	for _, c := range []struct {
		manager, output string
		want            []found
		fault           bool
	}{
		{"dpkg", "ii \ta\t1\nrc \tb\t1\nun \tc\t\nhi \td\t2\niU \te\t1\niWR\tf\t3\n", []found{{"a", "1"}, {"d", "2"}, {"f", "3"}}, false},
		{"dpkg", "ii \ta\n", nil, true},
		{"dpkg", "i\ta\t1\n", nil, true},
		// Alpine's documentation, "Apk spec": paragraphs, P: and V:.
		{"apk", "P:musl\nV:1.2.4-r2\n\nP:py3-pip\nV:23.1.2-r0\n\n\n", []found{{"musl", "1.2.4-r2"}, {"py3-pip", "23.1.2-r0"}}, false},
		{"apk", "P:musl\n\nV:1\n", nil, true},
		{"apk", "hello\n", nil, true},
		{"rpm", "gpg-pubkey\t1-2\nbash\t5.1-2.el9\nbash\t5.1-3.el9\n", []found{{"bash", "5.1-2.el9"}, {"bash", "5.1-3.el9"}}, false},
		{"rpm", "warning: the database is from another age\n", nil, true},
		{"opam", "ocaml-base-compiler.4.02.3\n", []found{{"ocaml-base-compiler", "4.02.3"}}, false},
		{"opam", "nothing\n", nil, true},
		{"pip", "a\t1\t'/x'\na\t1\t'/x'\na\t2\t'/y'\n", []found{{"a", "1"}, {"a", "2"}}, false},
		{"pip", "a\tNone\n", nil, true},
		{"pip", "a b\t1\t'/x'\n", nil, true},
		{"npm", `{"dependencies":{"npm":{"version":"10.1.0"},"gone":{"missing":true}}}`, []found{{"npm", "10.1.0"}}, false},
		{"npm", `{"dependencies":{"a\u001b[2J":{"version":"1"}}}`, nil, true},
		{"npm", "npm ERR! no", nil, true},
		{"rpm", "\x1b]0;title\x07\t1\n", nil, true},
		{"rpm", strings.Repeat("a", 300) + "\t1\n", nil, true},
		{"rpm", "", nil, false},
	} {
		for _, m := range managers {
			if m.name != c.manager {
				continue
			}
			got, err := m.read("\nM begin "+m.name+"\n"+c.output+"\nM end "+m.name+" 0\n", "M")
			if (err != nil) != c.fault {
				t.Errorf("%s %q: %v", c.manager, c.output, err)
			} else if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(found{})); diff != "" {
				t.Errorf("%s %q: -want +got\n%s", c.manager, c.output, diff)
			}
		}
	}
}

func TestManagersThatFail(t *testing.T) {
	var output strings.Builder
	for _, m := range managers {
		ending := "\nM end " + m.name + " " + map[string]string{"dpkg": "0", "apk": "124", "rpm": "3", "pip": "\x1b[2J", "npm": "0"}[m.name] + "\n"
		if m.name == "opam" {
			ending = "" // head cut it off
		}
		fmt.Fprintf(&output, "\nM begin %s\n%s", m.name, ending)
	}
	output.WriteString("\nM done\n")
	inventory, err := parseOutput([]byte(output.String()), "M")
	imagestest.Must(t, err)
	want := map[string]string{
		"apk": "it took more than 30 seconds", "rpm": "it failed with exit status 3",
		"opam": "it printed more than 2 MiB", "pip": "it failed with exit status ",
	}
	if diff := cmp.Diff(want, inventory.Failed); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if _, err := parseOutput([]byte("usage: app FILE\n"), "M"); err == nil {
		t.Error("what is not an answer was read")
	}
}

func FuzzParseOutput(f *testing.F) {
	output, err := os.ReadFile("testdata/inventory.txt")
	imagestest.Must(f, err)
	f.Add(string(output[len(output)-3000:]))
	for _, m := range managers {
		f.Add("\nMARK begin " + m.name + "\na.b\t1\tx\n\nMARK end " + m.name + " 0\n\nMARK done\n")
	}
	f.Fuzz(func(t *testing.T, output string) {
		inventory, err := parseOutput([]byte(output), "MARK")
		if err != nil && len(inventory.Packages) > 0 {
			t.Fatal("an error, and packages")
		}
		for _, p := range inventory.Packages {
			if plain.Clean(p.Name+p.Version) != p.Name+p.Version || p.Name == "" || p.Version == "" || len(p.Name+p.Version) > 400 {
				t.Fatalf("%q", p)
			}
		}
		for manager, reason := range inventory.Failed {
			if plain.Clean(reason) != reason {
				t.Fatalf("%s: %q", manager, reason)
			}
		}
	})
}

// TestTake runs the script, on a real engine, in an image whose package managers are
// some real databases and some programs that behave badly, and that has an entrypoint of its own.
func TestTake(t *testing.T) {
	needs.Engine(t, t.Name())
	e, err := engine.Connect(t.Context(), engine.Options{})
	if err != nil {
		t.Fatalf("this test needs a container engine: %v", err)
	}
	id := buildImage(t, map[string]string{
		"Dockerfile":                "FROM " + imagestest.BaseImage() + "\nCOPY root /\nENV OPAMROOT=/opam\nUSER nobody\nWORKDIR /tmp\nENTRYPOINT [\"/bin/sleep\", \"99\"]\n",
		"root/lib/apk/db/installed": "C:Q1x=\nP:musl\nV:1.2.4-r2\nF:lib\nR:ld\n\nP:zlib\nV:1.2.13-r1\n\n",
		"root/usr/bin/dpkg-query":   "#!/bin/sh\nid -u >&2\nprintf 'ii \\tlibc6\\t2.36\\nrc \\told\\t1\\n'\n",
		"root/usr/bin/python3":      "#!/bin/sh\nprintf 'x\\033[2J\\t1\\t/\\n'\n",
		"root/usr/bin/npm":          "#!/bin/sh\nyes '{'\n",
		"root/opam/config":          "installed-switches: [\"/my/proj\" \"4.02.3\"]\n",
		"root/opam/4.02.3/.opam-switch/packages/zarith.1.4.1/opam": "",
		"root/opam/4.02.3/.opam-switch/packages/cache":             "",
		"root/my/proj/_opam/.opam-switch/packages/dune.3.0/opam":   "",
	})
	inventory, err := Take(t.Context(), e, testContainer(t, e, id))
	imagestest.Must(t, err)
	want := []report.Package{
		{Manager: "apk", Name: "musl", Version: "1.2.4-r2"}, {Manager: "apk", Name: "zlib", Version: "1.2.13-r1"}, {Manager: "dpkg", Name: "libc6", Version: "2.36"},
		{Manager: "opam", Name: "dune", Version: "3.0"}, {Manager: "opam", Name: "zarith", Version: "1.4.1"},
	}
	if diff := cmp.Diff(want, inventory.Packages); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	failed := map[string]string{"pip": errFormat.Error(), "npm": "it printed more than 2 MiB"}
	if diff := cmp.Diff(failed, inventory.Failed); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if inventory.ImageID != id || inventory.Taken.IsZero() {
		t.Errorf("of %s at %s", inventory.ImageID, inventory.Taken)
	}
}

// TestInventoryWithoutShell takes one of an image that holds a single file.
func TestInventoryWithoutShell(t *testing.T) {
	needs.Engine(t, t.Name())
	e, err := engine.Connect(t.Context(), engine.Options{})
	if err != nil {
		t.Fatalf("this test needs a container engine: %v", err)
	}
	id := buildImage(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY file /\n", "file": ""})
	if _, err := Take(t.Context(), e, testContainer(t, e, id)); !errors.Is(err, ErrNoShell) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the run was interrupted")
	cancel(cause)
	if _, err := Take(ctx, e, testContainer(t, e, id)); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

// talker is an engine on which a container prints for ever.
type talker struct{ printed int }

func (e *talker) Run(ctx context.Context, _ container.Container, output io.Writer) (container.Exit, error) {
	line := bytes.Repeat([]byte("y\n"), 16<<10)
	for ctx.Err() == nil {
		e.printed += len(line)
		_, _ = output.Write(line) // an engine goes on reading what nobody wants
	}
	return container.Exit{ID: "talker", Stopped: true}, nil
}

func (*talker) Remove(context.Context, string) error { return nil }

func TestTakeEndsAtItsLimit(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	e := &talker{}
	_, err := Take(ctx, e, container.Container{Image: "sha256:" + strings.Repeat("0", 64)})
	if err == nil || !strings.HasSuffix(err.Error(), "its answer is longer than 16 MiB") || ctx.Err() != nil {
		t.Errorf("got %v after %d bytes", err, e.printed)
	}
}

// TestForgedLists are those of a /bin/sh that is told the mark and does as it likes.
func TestForgedLists(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"many packages": {strings.Repeat("a\t1\n", maxPackages+1), "it lists more than 30000 packages"},
		"a long answer": {strings.Repeat("a", managerBytes) + "\t1\n", "it printed more than 2 MiB"},
	} {
		inventory, err := parseOutput([]byte("\nM begin rpm\n"+c.answer+"\nM end rpm 0\n\nM done\n"), "M")
		imagestest.Must(t, err)
		if inventory.Failed["rpm"] != c.want || len(inventory.Packages) > 0 {
			t.Errorf("%s: %q, %d packages", name, inventory.Failed["rpm"], len(inventory.Packages))
		}
	}
}

// testContainer is a container of an image; none of its label may be left when the test ends.
func testContainer(t *testing.T, e *engine.Engine, id string) container.Container {
	labels := map[string]string{"runtests.imagestest." + rand.Text(): "1"}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		left, err := e.Containers(ctx, labels)
		imagestest.Must(t, err)
		for _, c := range left {
			t.Errorf("left behind: %s", c.Name)
			imagestest.Must(t, e.Remove(ctx, c.ID))
		}
	})
	return container.Container{Name: "runtests-inventorytest-" + rand.Text(), Image: id, Labels: labels}
}

// buildImage builds an image of some files, of which those with a #! are executable, and
// returns its ID. It is removed when the test ends.
func buildImage(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := imagestest.Tree(t, files)
	for name, content := range files {
		if strings.HasPrefix(content, "#!") {
			imagestest.Must(t, os.Chmod(filepath.Join(dir, name), 0o755))
		}
	}
	name := "runtests-inventorytest-" + strings.ToLower(rand.Text())
	imagestest.Docker(t, nil, "build", "-q", "--force-rm", "-t", name, dir)
	imagestest.RemoveImage(t, name)
	return strings.TrimSpace(imagestest.Docker(t, nil, "image", "inspect", "-f", "{{.Id}}", name))
}
