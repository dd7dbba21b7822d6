package deploy

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"

	"runtests/pkg/container"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

//go:embed swap.sh
var swapScript string

// check is a health check, as the script and the labels have it.
type check struct {
	url     string // empty: none
	command string // quoted for a shell; empty: none
}

// checkOf is the health check that a container was made with.
func checkOf(c container.Summary) check {
	return check{c.Labels[labelCheck], c.Labels[labelCheckCommand]}
}

// check is that of a container which has the chosen ports.
func (c choice) check(d suite.Deployment) check {
	return check{c.checkURL(d), shellescape.QuoteCommand(d.Check.Command)}
}

// swap is an exchange of the container of a deployment: what swap.sh is told.
type swap struct {
	deployment suite.Deployment
	verb       string // what became of the release, when all goes well
	new        string // a container's ID
	old        string // empty: there is none
	oldRunning bool
	previous   string // the container called NAME-previous
	release    Release
	oldRelease string // a tag
	choice     choice
	// check is that of the new version, oldCheck of the old one.
	check, oldCheck check
	// fromRelease is the tag of a release whose files are put in place again; empty: those of the deployment are.
	fromRelease string
}

// plan is the swap in the words of the script.
func (w swap) plan() string {
	var b strings.Builder
	set := func(name, value string) { fmt.Fprintf(&b, "%s=%s\n", name, shellescape.Quote(value)) }
	d := w.deployment
	mode, drain := "replace", time.Duration(0)
	if w.choice.handover {
		mode, drain = "handover", d.Drain
	}
	set("name", d.Name)
	set("verb", w.verb)
	set("mode", mode)
	set("new", w.new)
	set("old", w.old)
	set("old_running", map[bool]string{true: "1", false: "0"}[w.oldRunning])
	set("previous", w.previous)
	set("release", w.release.Tag)
	set("old_release", w.oldRelease)
	set("grace", strconv.Itoa(int(d.Container.StopGrace.Round(time.Second).Seconds())))
	set("restart", d.Container.Restart)
	set("check_url", w.check.url)
	set("check_command", w.check.command)
	set("old_url", w.oldCheck.url)
	set("old_command", w.oldCheck.command)
	set("check_timeout", report.Duration(d.Check.Timeout).String())
	set("check_limit", strconv.FormatInt(d.Check.Timeout.Milliseconds()/10, 10)) // hundredths of a second
	set("check_interval", seconds(d.Check.Interval))
	set("drain", seconds(drain))
	set("ports_file", d.PortsFile)
	return b.String()
}

// seconds are as sleep(1) takes them.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// archive writes the folder of the swap: the script, the plan, and the files.
func (w swap) archive(to io.Writer) error {
	out := tar.NewWriter(to)
	var places strings.Builder
	if w.fromRelease == "" {
		for _, f := range w.deployment.Files {
			places.WriteString(f.Target + "\n")
		}
	}
	texts := []struct{ name, text string }{
		{"swap.sh", swapScript}, {"ports", w.choice.file()}, {"places", places.String()},
	}
	for _, one := range texts {
		mode := int64(0o600)
		if one.name == "ports" { // a proxy reads it
			mode = 0o644
		}
		if err := addFile(out, one.name, mode, strings.NewReader(one.text), int64(len(one.text))); err != nil {
			return err
		}
	}
	if w.fromRelease == "" {
		for i, f := range w.deployment.Files {
			if err := addLocal(out, fmt.Sprintf("files/%d", i+1), f.Source); err != nil {
				return err
			}
		}
	}
	plan := w.plan() // last: what has it is whole
	if err := addFile(out, "plan", 0o600, strings.NewReader(plan), int64(len(plan))); err != nil {
		return err
	}
	return out.Close()
}

func addFile(out *tar.Writer, name string, mode int64, text io.Reader, size int64) error {
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size, ModTime: time.Now(), Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := io.CopyN(out, text, size)
	return err
}

func addLocal(out *tar.Writer, name, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := addFile(out, name, int64(info.Mode().Perm()), f, info.Size()); err != nil {
		return fmt.Errorf("copy %s: %w", file, err)
	}
	return nil
}

// uploadScript puts the folder of a swap in place, whole. Its arguments are the state's
// folder and the release whose files are put back, if there is one.
const uploadScript = `
set -e
umask 077
cd "$1"
rm -rf swap.part swap.gone
[ ! -e swap ] || mv swap swap.gone # a part of it would be taken for one that was cut off
rm -rf swap.gone
mkdir -p swap.part/files
tar -x -p -f - -C swap.part
if [ -n "$2" ]; then
	[ -e "releases/$2/places" ] || { echo "the files that were kept for $2 are not there: $1/releases/$2" >&2; exit 1; }
	cp -Rp "releases/$2/files" swap.part/
	cp "releases/$2/places" swap.part/places
fi
timeout -k 1 30 sync || :
mv swap.part swap
timeout -k 1 30 sync || :
`

// uploadBound is how long the files may take.
const uploadBound = time.Hour

func (s *Site) upload(ctx context.Context, w swap) error {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(w.archive(writer)) }()
	defer reader.Close()
	if _, err := s.machine.feed(ctx, uploadBound, reader, uploadScript, s.state, w.fromRelease); err != nil {
		return fmt.Errorf("copy the files: %w", err)
	}
	return nil
}

// followScript prints what the swap prints, then a line with its result, then the log of a
// new version that did not work. Its argument is the state's folder.
const followScript = `
cd "$1" || exit
shown=0
show() {
	[ -e swap/log ] || return
	lines=$(wc -l <swap/log)
	[ "$lines" -le "$shown" ] || sed -n "$((shown + 1)),${lines}p" swap/log | sed 's/^/. /'
	shown=$lines
}
waited=0
until [ -e swap/result ]; do
	show
	if [ -s swap/pid ]; then
		kill -0 "$(cat swap/pid)" 2>/dev/null || [ -e swap/result ] || { echo dead; exit; }
	else
		waited=$((waited + 1))
		[ "$waited" -le 100 ] || { echo dead; exit; }
	fi
	sleep 0.1 2>/dev/null || sleep 1
done
show
echo "result $(cat swap/result)"
[ ! -e swap/new.log ] || sed 's/^/| /' swap/new.log
`

// swapped is the end of a swap.
type swapped struct {
	outcome string // the verb; failed-back: all is as it was; failed-none: nothing runs, as before; failed-stopped: the old version does not run, as before; failed-down: the old version does not answer; failed-files: its files are not in their places
	outage  time.Duration
	why     string
	log     []string // of a new version that did not work, its last lines
}

// errSwapDied says that the script was killed, or its machine went down.
var errSwapDied = errors.New("the exchange was cut off on the production machine")

// follow waits for the end of the swap, and says what it does. A connection that breaks is
// made again: the swap goes on without it.
func (s *Site) follow(ctx context.Context, say func(string)) (swapped, error) {
	bound := s.deployment.Check.Timeout*2 + s.deployment.Container.StopGrace*2 + s.deployment.Drain + 5*time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("the exchange has not ended within %s", bound))
	defer cancel()
	said, told := 0, ""
	for {
		end, err := s.followOnce(ctx, &said, say)
		var away *awayError
		if err == nil || !errors.As(err, &away) {
			return end, err
		}
		if text := err.Error(); text != told {
			say(text + "; the exchange goes on there, trying again")
			told = text
		}
		select {
		case <-ctx.Done():
			return end, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		case <-time.After(reconnectPause):
		}
	}
}

// reconnectPause is how long after a broken connection the next one is tried.
const reconnectPause = 3 * time.Second

// maxFollowed bounds what is read of the swap's output and of a log, in bytes.
const maxFollowed = 4 << 20

func (s *Site) followOnce(ctx context.Context, said *int, say func(string)) (end swapped, err error) {
	cmd := s.machine.command(ctx, followScript, s.state)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return end, err
	}
	if err := cmd.Start(); err != nil {
		return end, err
	}
	f := follower{said: said, say: say}
	lines := lineReader(io.LimitReader(stdout, maxFollowed))
	for lines.Scan() {
		f.line(lines.Text())
	}
	_, _ = io.Copy(io.Discard, stdout)
	if err := cmd.Wait(); err != nil {
		return end, s.machine.fault(ctx, err, stderr.String())
	}
	switch {
	case f.dead:
		return end, errSwapDied
	case f.end.outcome == "":
		return end, &awayError{host: s.Host()}
	}
	return f.end, nil
}

// follower reads what followScript prints.
type follower struct {
	said  *int // lines that were said before a connection broke
	lines int
	say   func(string)
	end   swapped
	dead  bool
}

func (f *follower) line(text string) {
	about, rest, _ := strings.Cut(text, " ")
	switch about {
	case ".":
		if f.lines++; f.lines > *f.said {
			*f.said = f.lines
			f.say(rest)
		}
	case "dead":
		f.dead = true
	case "result":
		var hundredths string
		f.end.outcome, rest, _ = strings.Cut(rest, " ")
		hundredths, f.end.why, _ = strings.Cut(rest, " ")
		f.end.why = strings.TrimSpace(f.end.why)
		n, _ := strconv.Atoi(hundredths)
		f.end.outage = time.Duration(n) * 10 * time.Millisecond
	case "|":
		f.end.log = append(f.end.log, rest)
	}
}

// lineReader reads lines of up to a megabyte.
func lineReader(r io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	return lines
}
