package deploy

import (
	"archive/tar"
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"io"
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

//go:embed place.sh
var placeScript string

// check is a health check, in the form of the plan and the labels.
type check struct {
	url     string // empty: none
	command string // quoted for a shell; empty: none
}

// checkOf returns the health check with which a container was created.
func checkOf(c container.Summary) check {
	return check{c.Labels[labelCheck], c.Labels[labelCheckCommand]}
}

// check returns the health check of a container with these ports.
func (a assignment) check(d suite.Deployment) check {
	return check{a.checkURL(d), shellescape.QuoteCommand(d.Check.Command)}
}

// swap describes an exchange of the container of a deployment for swap.sh.
type swap struct {
	assignment // of the new container
	deployment suite.Deployment
	verb       string // the outcome when all goes well: promoted or rolled-back
	new        string // a container's ID
	old        string // empty: there is none
	oldRunning bool
	previous   string // the container called NAME-previous
	release    Release
	oldRelease string // a tag
	// check is that of the new version, oldCheck of the old one.
	check, oldCheck check
	// fromRelease is the tag of the release whose files are put back; empty: the deployment's files are new.
	fromRelease string
	places      []string // the real paths of the files' places
	portsFile   string   // the real path of the ports_file; empty: none
	sources     Sources
	random      string // a part of the names beside the places, so that no container can guess them
}

// plan returns the swap as shell variables.
func (x swap) plan() string {
	var b strings.Builder
	set := func(name, value string) { fmt.Fprintf(&b, "%s=%s\n", name, shellescape.Quote(value)) }
	d := x.deployment
	mode, drain := "replace", time.Duration(0)
	if x.handover {
		mode, drain = "handover", d.Drain
	}
	set("name", d.Name)
	set("verb", x.verb)
	set("mode", mode)
	set("new", x.new)
	set("old", x.old)
	set("old_running", map[bool]string{true: "1", false: "0"}[x.oldRunning])
	set("previous", x.previous)
	set("release", x.release.Tag)
	set("old_release", x.oldRelease)
	set("grace", strconv.Itoa(int(d.Container.StopGrace.Round(time.Second).Seconds())))
	set("restart", d.Container.Restart)
	set("check_url", x.check.url)
	set("check_command", x.check.command)
	set("old_url", x.oldCheck.url)
	set("old_command", x.oldCheck.command)
	set("check_timeout", report.Duration(d.Check.Timeout).String())
	set("check_limit", strconv.FormatInt(d.Check.Timeout.Milliseconds()/10, 10)) // hundredths of a second
	set("check_interval", seconds(d.Check.Interval))
	set("drain", seconds(drain))
	set("ports_file", x.portsFile)
	set("random", x.random)
	return b.String()
}

// seconds formats a duration for sleep(1).
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// archive writes the folder of the swap: the script, the plan, and the files.
func (x swap) archive(to io.Writer) error {
	out := tar.NewWriter(to)
	var places strings.Builder
	for _, place := range x.places {
		places.WriteString(place + "\n")
	}
	if x.fromRelease == "" {
		for i, f := range x.deployment.Files {
			if err := x.sources.add(out, fmt.Sprintf("files/%d", i+1), f); err != nil {
				return err
			}
		}
	}
	for _, file := range []struct {
		name string
		mode int64
		text string
	}{
		{"swap.sh", 0o600, swapScript},
		{"place.sh", 0o600, placeScript},
		{"ports", 0o644, x.file()}, // a proxy reads it
		{"places", 0o600, places.String()},
		{"plan", 0o600, x.plan()}, // last: a folder with a plan is complete
	} {
		if err := addFile(out, file.name, file.mode, strings.NewReader(file.text), int64(len(file.text))); err != nil {
			return err
		}
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

// uploadScript puts the folder of a swap in place in one step. Its arguments are the state's
// folder and the release whose files are put back, if there is one.
const uploadScript = `
set -e
umask 077
cd "$1"
rm -rf swap.part swap.gone
[ ! -e swap ] || mv swap swap.gone # a half-removed swap would look like one that was cut off
rm -rf swap.gone
mkdir -p swap.part/files
tar -x -p -f - -C swap.part
[ -e swap.part/plan ] # it comes last
if [ -n "$2" ]; then
	[ -e "releases/$2/places" ] || { echo "the files kept for $2 are missing: $1/releases/$2" >&2; exit 1; }
	cp -Rp "releases/$2/files" swap.part/
fi
timeout -k 1 30 sync || :
mv swap.part swap
timeout -k 1 30 sync || :
`

// uploadBound is how long copying the files may take.
const uploadBound = time.Hour

func (s *Site) upload(ctx context.Context, x swap) error {
	reader, writer := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := x.archive(writer)
		writer.CloseWithError(err)
		packed <- err
	}()
	_, err := s.machine.feed(ctx, uploadBound, reader, uploadScript, s.state, x.fromRelease)
	_ = reader.Close() // the archive is not written on
	if fault := <-packed; fault != nil && !errors.Is(fault, io.ErrClosedPipe) {
		err = fault // tar there says only that something is missing
	}
	if err != nil {
		return fmt.Errorf("copy the files: %w", err)
	}
	return nil
}
