package deploy

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// racesVariable sets how often each attack of TestPlaceUnderAttack is tried in each shell. A try takes about 0.2 s.
const racesVariable = "RUNTESTS_RACES"

// shells are what /bin/sh and the tools of a production machine may be.
var shells = []struct {
	name    string
	command []string
	busybox bool // its applets are the tools
}{
	{"dash", []string{"dash"}, false},
	{"bash", []string{"bash", "--posix"}, false},
	{"busybox", []string{"busybox", "sh"}, true},
}

// workshop is a folder of the state, and a folder in which a container can write.
type workshop struct {
	t       *testing.T
	shell   []string
	env     []string
	state   string
	folder  string // with the place
	place   string
	victim  string // a file of the user that no container may read or change
	private string // its folder
}

const secret = "the secret of the deploy user"

func newWorkshop(t *testing.T, shell []string, busybox, otherDisk bool) *workshop {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &workshop{t: t, shell: shell, state: filepath.Join(dir, "state"), folder: filepath.Join(dir, "mounted"), private: filepath.Join(dir, "private")}
	w.place, w.victim = filepath.Join(w.folder, "config"), filepath.Join(w.private, "authorized_keys")
	bin := filepath.Join(dir, "bin")
	for _, folder := range []string{w.state, w.folder, w.private, bin, filepath.Join(w.state, "swap", "files")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if busybox {
		if out, err := exec.CommandContext(t.Context(), "busybox", "--install", "-s", bin).CombinedOutput(); err != nil {
			t.Fatalf("busybox --install: %v\n%s", err, out)
		}
	}
	if otherDisk { // no hard link can be made
		_ = os.Remove(filepath.Join(bin, "ln"))
		w.write(filepath.Join(bin, "ln"), "#!/bin/sh\nexit 1\n", 0o755)
	}
	w.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	w.write(w.victim, secret, 0o600)
	w.write(filepath.Join(w.state, "swap", "place.sh"), placeScript, 0o600)
	w.write(filepath.Join(w.state, "swap", "files", "1"), "new", 0o640)
	return w
}

func (w *workshop) write(name, text string, mode os.FileMode) {
	w.t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		w.t.Fatal(err)
	}
}

// run runs the script with the functions of place.sh, and returns what it prints. Its $1 is the place.
func (w *workshop) run(script string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer cancel()
	text := "set -u; umask 077; cd \"$0\"; name=web random=abc lost= saved=swap/saved\nsay() { printf '%s\\n' \"$*\"; }\n. swap/place.sh\n" + script
	cmd := exec.CommandContext(ctx, w.shell[0], append(w.shell[1:len(w.shell):len(w.shell)], "-c", text, w.state, w.place)...)
	cmd.Env = w.env
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		w.t.Errorf("%v\n%s", err, tailOf(out.String()))
	}
	return out.String()
}

func tailOf(text string) string { return text[max(0, len(text)-2000):] }

// eachShell runs a test in each shell, with hard links and without; with -short in two of these.
func eachShell(t *testing.T, test func(t *testing.T, w *workshop)) {
	for i, shell := range shells {
		for _, otherDisk := range []bool{false, true} {
			if testing.Short() && otherDisk != shell.busybox || testing.Short() && i == 1 {
				continue
			}
			t.Run(fmt.Sprintf("%s/otherDisk=%t", shell.name, otherDisk), func(t *testing.T) {
				test(t, newWorkshop(t, shell.command, shell.busybox, otherDisk))
			})
		}
	}
}

// untouched fails the test if the victim was changed, or something was put beside it.
func (w *workshop) untouched(before os.FileInfo) {
	w.t.Helper()
	text, err := os.ReadFile(w.victim)
	if err != nil || string(text) != secret {
		w.t.Errorf("the victim was changed: %q, %v", text, err)
	}
	after, err := os.Lstat(w.victim)
	if err != nil || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) || after.Sys().(*syscall.Stat_t).Nlink != 1 {
		w.t.Errorf("the victim was changed: %v, %v before; %v", after, before, err)
	}
	if all, err := os.ReadDir(w.private); err != nil || len(all) != 1 {
		w.t.Errorf("beside the victim: %v, %v", all, err)
	}
}

const goAndBack = `
mkdir swap/saved
save_file 1 "$1" && save_file 1 "$1" || echo "not saved"
put_file 1 "$1" && put_file 1 "$1" || echo "not put"
echo "now: $(cat "$1")"
restore_file 1 "$1"
restore_file 1 "$1"
echo "lost: $lost"
`

// TestPlaceKeepsWhatIsThere puts a file in a place, and back again, whatever was there.
func TestPlaceKeepsWhatIsThere(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(w *workshop) error
		aside bool
	}{
		{"file", func(w *workshop) error { return os.WriteFile(w.place, []byte("old"), 0o604) }, false},
		{"nothing", func(*workshop) error { return nil }, false},
		{"link", func(w *workshop) error { return os.Symlink(w.victim, w.place) }, true},
		{"dangling", func(w *workshop) error { return os.Symlink(w.private+"/none", w.place) }, true},
		{"link to a folder", func(w *workshop) error { return os.Symlink(w.private, w.place) }, true},
		{"folder", func(w *workshop) error { return os.MkdirAll(w.place+"/inside", 0o700) }, true},
		{"pipe", func(w *workshop) error { return syscall.Mkfifo(w.place, 0o600) }, true},
		{"own descriptor", func(w *workshop) error { return os.Symlink("/proc/self/fd/3", w.place) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachShell(t, func(t *testing.T, w *workshop) {
				if err := c.plant(w); err != nil {
					t.Fatal(err)
				}
				before, planted := w.stat(w.victim), w.describe()
				out := w.run(goAndBack)
				w.untouched(before)
				told := strings.Contains(out, "kept as .config.web-aside-abc beside it")
				if strings.Contains(out, "not ") && !told || !strings.HasSuffix(out, "now: new\nlost: \n") || told != c.aside {
					t.Errorf("printed %q", out)
				}
				if got := w.describe(); got != planted {
					t.Errorf("in the folder: %s; before: %s", got, planted)
				}
			})
		})
	}
}

func (w *workshop) stat(name string) os.FileInfo {
	w.t.Helper()
	info, err := os.Lstat(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return info
}

// describe returns what is in the folder of the place.
func (w *workshop) describe() string {
	w.t.Helper()
	var b strings.Builder
	all, err := os.ReadDir(w.folder)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, entry := range all {
		name := filepath.Join(w.folder, entry.Name())
		info := w.stat(name)
		target, _ := os.Readlink(name)
		fmt.Fprintf(&b, "%s %v %s", entry.Name(), info.Mode(), target)
		if info.Mode().IsRegular() {
			text, _ := os.ReadFile(name)
			fmt.Fprintf(&b, "%q", text)
		}
	}
	return b.String()
}

// TestPlaceOwner keeps the owner and the mode of a file that is put back.
func TestPlaceOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	eachShell(t, func(t *testing.T, w *workshop) {
		w.write(w.place, "old", 0o600)
		if err := os.Chown(w.place, 1234, 1235); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(w.place, 0o646); err != nil {
			t.Fatal(err)
		}
		out := w.run(goAndBack)
		info := w.stat(w.place)
		if s := info.Sys().(*syscall.Stat_t); s.Uid != 1234 || s.Gid != 1235 || info.Mode() != 0o646 {
			t.Errorf("%v of %d:%d\n%s", info.Mode(), s.Uid, s.Gid, out)
		}
	})
}

// TestPlaceTooLarge refuses to save a file beyond the bound, also one that has holes, and leaves it alone.
func TestPlaceTooLarge(t *testing.T) {
	for _, size := range []int64{3 << 20, 1 << 40} {
		t.Run(strconv.FormatInt(size, 10), func(t *testing.T) {
			eachShell(t, func(t *testing.T, w *workshop) {
				w.write(w.place, "", 0o600)
				if err := os.Truncate(w.place, size); err != nil {
					t.Fatal(err)
				}
				out := w.run("size_limit=4096; mkdir swap/saved; save_file 1 \"$1\" || echo failed; restore_file 1 \"$1\"")
				if !strings.Contains(out, w.place+": it has more than 2 MiB\nfailed\n") || w.stat(w.place).Size() != size {
					t.Errorf("printed %q", out)
				}
			})
		})
	}
}

// TestPlaceElsewhere refuses a folder that is not where it was.
func TestPlaceElsewhere(t *testing.T) {
	eachShell(t, func(t *testing.T, w *workshop) {
		before := w.stat(w.victim)
		if err := os.Rename(w.folder, w.folder+"-moved"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(w.private, w.folder); err != nil {
			t.Fatal(err)
		}
		out := w.run("mkdir swap/saved; save_file 1 \"$1\" || echo one; put_file 1 \"$1\" || echo two")
		if !strings.Contains(out, "mounted leads elsewhere now: "+w.private+"\none\n") || !strings.HasSuffix(out, "two\n") {
			t.Errorf("printed %q", out)
		}
		w.untouched(before)
	})
}

// TestPlaceUnderAttack swaps what is in the place, and beside it, while files are saved, put and restored.
func TestPlaceUnderAttack(t *testing.T) {
	races := 5
	if testing.Short() {
		races = 1
	}
	if text := os.Getenv(racesVariable); text != "" {
		var err error
		if races, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for name, plant := range map[string]func(w *workshop, name string) error{
		"link":      func(w *workshop, name string) error { return os.Symlink(w.victim, name) },
		"pipe":      func(_ *workshop, name string) error { return syscall.Mkfifo(name, 0o600) },
		"folder":    func(_ *workshop, name string) error { return os.Mkdir(name, 0o700) },
		"to folder": func(w *workshop, name string) error { return os.Symlink(w.private, name) },
	} {
		t.Run(name, func(t *testing.T) {
			eachShell(t, func(t *testing.T, w *workshop) {
				before := w.stat(w.victim)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan int)
				go func() { ended <- w.attack(ctx, plant) }()
				out := w.run(fmt.Sprintf(attacked, races))
				stop()
				swaps := <-ended
				w.untouched(before)
				t.Logf("%d swaps during %d runs; %d aside, %d lost", swaps, races, strings.Count(out, "kept as"), strings.Count(out, "lost"))
				if strings.Contains(out, "LEAK") || !strings.HasSuffix(out, "end\n") || swaps < races {
					t.Errorf("%d swaps; printed %q", swaps, tailOf(out))
				}
			})
		})
	}
}

// attacked does everything again and again. What it prints is of no matter, but for LEAK.
const attacked = `
copy_limit=1 i=0
while [ $i -lt %d ]; do
	rm -rf swap/saved
	mkdir swap/saved
	i=$((i + 1)) random=abc$i lost=
	save_file 1 "$1"
	for file in swap/saved/*; do
		[ ! -L "$file" ] || echo LEAK
		! grep -q secret "$file" || echo LEAK
	done
	[ "$(cat swap/files/1)" = new ] || echo "LEAK: $(cat swap/files/1)"
	put_file 1 "$1"
	restore_file 1 "$1"
	[ -z "$lost" ] || echo lost
done
echo end
`

// attack swaps the place with what plant makes, and plants it beside too, until ctx ends. It returns how often.
func (w *workshop) attack(ctx context.Context, plant func(w *workshop, name string) error) (swaps int) {
	other := filepath.Join(w.folder, "other")
	for ctx.Err() == nil {
		_ = plant(w, other)
		if unix.Renameat2(unix.AT_FDCWD, w.place, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE) == nil {
			swaps++
		} else {
			if f, err := os.OpenFile(w.place, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
				_, _ = f.WriteString("of the container")
				_ = f.Close()
			}
		}
		all, _ := os.ReadDir(w.folder)
		for _, entry := range all {
			name := filepath.Join(w.folder, entry.Name())
			switch {
			case strings.Contains(name, "-next-"):
				if os.Remove(name) == nil && plant(w, name) == nil {
					swaps++
				}
			case strings.Contains(name, "-aside-"):
				_ = os.RemoveAll(name)
			}
		}
	}
	return swaps
}
