package deploy

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runtests/pkg/suite"
)

// fakeDocker is a client whose containers run. It starts none if the file "ill" is in the folder of the state.
const fakeDocker = `#!/bin/sh
case $* in
*Running*) echo true ;;
*.Name*) echo /web ;;
start*) [ ! -e "$STATE/ill" ] ;;
esac
`

// unpackSwap puts a swap in place as uploadScript does.
func (w *workshop) unpackSwap(x swap) {
	w.t.Helper()
	var b bytes.Buffer
	if err := errors.Join(x.archive(&b), os.RemoveAll(filepath.Join(w.state, "swap")), os.MkdirAll(filepath.Join(w.state, "swap", "files"), 0o700)); err != nil {
		w.t.Fatal(err)
	}
	for r := tar.NewReader(&b); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		text, fault := io.ReadAll(r)
		if err := errors.Join(err, fault); err != nil {
			w.t.Fatal(err)
		}
		w.write(filepath.Join(w.state, "swap", header.Name), string(text), os.FileMode(header.Mode))
	}
}

// swap runs swap.sh, and returns its result and what it prints.
func (w *workshop) swap(order string) string {
	w.t.Helper()
	_ = os.Remove(filepath.Join(w.state, "swap", "result"))
	cmd := exec.CommandContext(w.t.Context(), w.shell[0], append(w.shell[1:len(w.shell):len(w.shell)], filepath.Join(w.state, "swap", "swap.sh"), order)...)
	cmd.Env = append(w.env, "STATE="+w.state)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Errorf("%v\n%s", err, out)
	}
	result, err := os.ReadFile(filepath.Join(w.state, "swap", "result"))
	if err != nil {
		w.t.Errorf("%v\n%s", err, out)
	}
	return string(result) + string(out)
}

// TestSwapOverLink exchanges a version whose container has put a link in the place of its file, and of the ports: forth,
// back when the new version does not start, and back when the exchange was cut off.
func TestSwapOverLink(t *testing.T) {
	eachShell(t, func(t *testing.T, w *workshop) {
		bin := strings.SplitN(strings.TrimPrefix(w.env[len(w.env)-1], "PATH="), ":", 2)[0]
		w.write(filepath.Join(bin, "docker"), fakeDocker, 0o755)
		w.write(filepath.Join(w.state, "new"), "new", 0o644)
		ports := filepath.Join(w.folder, "ports")
		d := suite.Deployment{Name: "web", Files: []suite.File{{Source: filepath.Join(w.state, "new"), Target: w.place}}, PortsFile: ports}
		d.Check.Timeout, d.Check.Interval, d.Container.Restart = 5*time.Second, 10*time.Millisecond, "no"
		x := swap{
			deployment: d, verb: outcomePromoted, new: "new", release: Release{Tag: "r"}, oldRelease: noRelease, check: check{command: "true"},
			places: []string{w.place}, portsFile: ports, sources: ReadSources(d), random: "abc", assignment: assignment{},
		}
		for _, err := range []error{os.Symlink(w.victim, w.place), os.Symlink(w.victim, ports), os.Symlink(w.victim, w.place+".web-next")} {
			if err != nil {
				t.Fatal(err)
			}
		}
		before, planted := w.stat(w.victim), w.describe()

		w.write(filepath.Join(w.state, "ill"), "", 0o600)
		w.unpackSwap(x)
		if out := w.swap("go"); !strings.HasPrefix(out, outcomeNone) || w.describe() != planted {
			t.Errorf("%s\n%s", out, w.describe())
		}
		w.untouched(before)

		w.unpackSwap(x)
		cut := "mkdir -p swap/saved; save_file ports \"" + ports + "\"; save_file 1 \"$1\"; put_file 1 \"$1\""
		w.run(cut)
		if err := os.Symlink(w.victim, filepath.Join(w.folder, ".config.web-next-abc")); err != nil {
			t.Fatal(err)
		}
		if out := w.swap("mend"); !strings.HasPrefix(out, outcomeNone) || w.describe() != planted {
			t.Errorf("%s\n%s", out, w.describe())
		}
		w.untouched(before)

		if err := os.Remove(filepath.Join(w.state, "ill")); err != nil {
			t.Fatal(err)
		}
		w.unpackSwap(x)
		out := w.swap("go")
		warnings, err := os.ReadFile(filepath.Join(w.state, "swap", "warnings"))
		if err != nil || strings.Count(string(warnings), "beside it\n") != 2 || !strings.HasPrefix(out, outcomePromoted) {
			t.Errorf("%s\n%v %s", out, err, warnings)
		}
		if info := w.stat(w.place); !info.Mode().IsRegular() || info.Size() != 3 || !w.stat(ports).Mode().IsRegular() {
			t.Errorf("%s", w.describe())
		}
		w.untouched(before)
	})
}
