package transfer

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/tests/dockerd"
	"runtests/tests/needs"
)

// testImage returns the name of an image with busybox's applets. scripts/base-images makes it;
// RUNTESTS_TEST_IMAGE names another.
func testImage() string {
	if image := os.Getenv("RUNTESTS_TEST_IMAGE"); image != "" {
		return image
	}
	return "runtests-busybox"
}

// here connects to the engine that tests run on.
func here(t testing.TB) *engine.Engine {
	t.Helper()
	return connect(t, engine.Options{})
}

func connect(t testing.TB, o engine.Options) *engine.Engine {
	t.Helper()
	needs.Engine(t, t.Name())
	e, err := engine.Connect(t.Context(), o)
	if err != nil {
		t.Fatalf("these tests need a container engine: %v", err)
	}
	return e
}

// testLabel is on the images that tests send.
const testLabel = "runtests.transfer.test"

// secondEngine is the environment variable that names an engine to send to; without it, tests
// start one.
const secondEngine = "RUNTESTS_SECOND_ENGINE"

// there connects to the engine that gets the image.
func there(t testing.TB) *engine.Engine {
	t.Helper()
	if host := os.Getenv(secondEngine); host != "" {
		return connect(t, engine.Options{Host: host})
	}
	_, e := private(t, "")
	return e
}

// private starts an engine for the test alone, with a disk of that size (empty: this machine's).
func private(t testing.TB, disk string) (*dockerd.Engine, *engine.Engine) {
	t.Helper()
	needs.Engine(t, t.Name())
	needs.Root(t, t.Name(), "it starts an engine of its own")
	daemon, err := dockerd.New()
	if err != nil {
		t.Fatal(err)
	}
	daemon.Disk = disk
	t.Cleanup(func() {
		if err := daemon.Close(); err != nil {
			t.Errorf("remove the test's engine: %v", err)
		}
	})
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	return daemon, connect(t, engine.Options{Host: daemon.Host()})
}

// passed returns the ID of a container in which the script has run.
func passed(t testing.TB, e *engine.Engine, script string) string {
	t.Helper()
	var output bytes.Buffer
	exit, err := e.Run(t.Context(), container.Container{
		Image: testImage(), Command: []string{"/bin/sh", "-c", script}, Env: []container.Variable{{Name: "TOKEN", Value: "of-the-test"}},
		Labels: map[string]string{"runtests.run": "/of/a/run", "runtests.machine": "ci"},
	}, &output)
	if exit.ID != "" {
		t.Cleanup(func() {
			if err := e.Remove(context.WithoutCancel(t.Context()), exit.ID); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil || exit.Code != 0 {
		t.Fatalf("run: %+v, %v\n%s", exit, err, &output)
	}
	return exit.ID
}

// newTag returns a name for an image, which is removed at the end of the test.
func newTag(t testing.TB, e *engine.Engine) string {
	t.Helper()
	tag := "runtests-deploy/" + strings.ToLower(rand.Text()) + ":2026-11-22T03-00-04"
	removeAtEnd(t, e, tag)
	return tag
}

func removeAtEnd(t testing.TB, e *engine.Engine, tag string) {
	t.Helper()
	t.Cleanup(func() {
		err := e.RemoveTag(context.WithoutCancel(t.Context()), tag)
		if err != nil && !errors.Is(err, container.ErrGone) {
			t.Error(err)
		}
	})
}

// stock copies the test image to another engine.
func stock(t testing.TB, from, to *engine.Engine) {
	t.Helper()
	if _, err := to.Image(t.Context(), testImage()); err == nil {
		return
	}
	archive, err := from.Save(t.Context(), testImage())
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if err := to.Load(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
}

// noPart fails the test if a transfer left its image on the source.
func noPart(t testing.TB, e *engine.Engine, tag string) {
	t.Helper()
	if image, err := e.Image(t.Context(), tag+partSuffix); !errors.Is(err, container.ErrNoImage) {
		t.Errorf("left on the source: %+v, %v", image, err)
	}
}

// prints returns what the command prints in a container of the image; without a command, the image's own runs.
func prints(t testing.TB, e *engine.Engine, image string, command ...string) string {
	t.Helper()
	var output bytes.Buffer
	exit, err := e.Run(t.Context(), container.Container{Image: image, Command: command}, &output)
	if exit.ID != "" {
		err = errors.Join(err, e.Remove(t.Context(), exit.ID))
	}
	if err != nil || exit.Code != 0 {
		t.Fatalf("run %q of %s: %+v, %v\n%s", command, image, exit, err, &output)
	}
	return output.String()
}

func TestSend(t *testing.T) {
	from, to := here(t), there(t)
	if _, err := Send(t.Context(), from, to, Options{Container: passed(t, from, "true"), Tag: newTag(t, to)}); err != nil {
		t.Fatal(err) // stock it with the base image, whose layers may differ from those of its own image of that name
	}
	const size = 3 << 20
	kept := passed(t, from, fmt.Sprintf("mkdir /app; head -c %d /dev/urandom >/app/data; md5sum </app/data >/app/sum; chown 12:34 /app/sum; ln -s data /app/link; rm /bin/wget", size))
	tag := newTag(t, to)
	name, _, _ := strings.Cut(strings.TrimPrefix(tag, "runtests-deploy/"), ":")
	var reported []Progress
	sent, err := Send(t.Context(), from, to, Options{
		Container: kept, Tag: tag, Labels: map[string]string{testLabel: name}, Command: []string{"md5sum", "/app/link"},
		Progress: func(p Progress) { reported = append(reported, p) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s to %s: %+v", from.Info().Name+" "+from.Info().Version, to.Info().Name+" "+to.Info().Version, sent)
	if sent.Skipped != sent.Layers-1 || sent.Layers < 2 || sent.Bytes < size || sent.Bytes > size+100<<10 || sent.Refused != nil || sent.Took <= 0 {
		t.Errorf("sent: %+v", sent)
	}
	if last := reported[len(reported)-1]; last.Sent != sent.Bytes || last.Total != sent.Bytes || last.Left != 0 {
		t.Errorf("the last progress: %+v", last)
	}
	if !slices.IsSortedFunc(reported, func(a, b Progress) int { return int(a.Sent - b.Sent) }) {
		t.Errorf("the progress: %+v", reported)
	}
	noPart(t, from, tag)
	image, err := to.ImageSpec(t.Context(), tag)
	if err != nil || image.ID != sent.ID || len(image.Layers) != sent.Layers || image.Arch == "" {
		t.Errorf("there: %+v, %v", image, err)
	}
	for _, own := range []string{"TOKEN", "of-the-test", "runtests.run", "runtests.machine"} {
		if strings.Contains(string(image.Defaults), own) {
			t.Errorf("%s of the test's container was sent: %s", own, image.Defaults)
		}
	}
	if labels := labelsOf(t, to, tag); labels[testLabel] != name {
		t.Errorf("labels: %v", labels)
	}
	if all, err := to.Images(t.Context(), map[string]string{testLabel: name}); err != nil || len(all) != 1 || len(all[0].Tags) != 1 ||
		engine.FamiliarTag(all[0].Tags[0]) != tag || all[0].ID != sent.ID {
		t.Errorf("found there by its label: %+v, %v", all, err)
	}
	sum, found := prints(t, to, tag), prints(t, to, tag, "sh", "-c", "cat /app/sum; stat -c %u:%g /app/sum; ls /bin/wget 2>&1 || true")
	if digest, _, _ := strings.Cut(sum, " "); !strings.HasPrefix(found, digest+" ") || !strings.Contains(found, "12:34") || !strings.Contains(found, "No such file") {
		t.Errorf("there is %q, and %q", sum, found)
	}
}

func labelsOf(t testing.TB, e *engine.Engine, ref string) map[string]string {
	t.Helper()
	image, err := e.Image(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return image.Labels
}

// TestSendToAnEmptyEngine sends everything at first, and then only the layer that has changed.
func TestSendToAnEmptyEngine(t *testing.T) {
	t.Parallel()
	from := here(t)
	_, to := private(t, "")
	first, second := passed(t, from, "echo first >/version"), passed(t, from, "echo second >/version")
	tag := newTag(t, to)
	whole, err := Send(t.Context(), from, to, Options{Container: first, Tag: tag})
	if err != nil || whole.Skipped != 0 || prints(t, to, tag, "cat", "/version") != "first\n" {
		t.Errorf("first: %+v, %v", whole, err)
	}
	part, err := Send(t.Context(), from, to, Options{Container: second, Tag: tag})
	if err != nil || part.Skipped != part.Layers-1 || part.Bytes*20 > whole.Bytes || prints(t, to, tag, "cat", "/version") != "second\n" {
		t.Errorf("second: %+v, %v", part, err)
	}
}

func TestSendWithinAnEngine(t *testing.T) {
	e := here(t)
	kept := passed(t, e, "echo here >/version")
	tag := newTag(t, e)
	sent, err := Send(t.Context(), e, e, Options{Container: kept, Tag: tag})
	if err != nil || sent.Skipped != sent.Layers || sent.Bytes > 64<<10 || sent.Refused != nil {
		t.Errorf("sent: %+v, %v", sent, err)
	}
	if got := prints(t, e, tag, "cat", "/version"); got != "here\n" {
		t.Errorf("got %q", got)
	}
	noPart(t, e, tag)
}

// TestSendTidiesUp checks that a transfer removes what a killed one left.
func TestSendTidiesUp(t *testing.T) {
	e := here(t)
	kept := passed(t, e, "true")
	tag := newTag(t, e)
	repository, _, _ := strings.Cut(tag, ":")
	left := repository + ":killed" + partSuffix
	if _, err := e.Commit(t.Context(), kept, left); err != nil {
		t.Fatal(err)
	}
	removeAtEnd(t, e, left)
	if _, err := Send(t.Context(), e, e, Options{Container: kept, Tag: tag}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Image(t.Context(), left); !errors.Is(err, container.ErrNoImage) {
		t.Errorf("it is still there: %v", err)
	}
}

// forgetful is an engine from which somebody removes the base image as the transfer begins.
type forgetful struct {
	*engine.Engine
	loads int
}

func (f *forgetful) Load(ctx context.Context, archive io.Reader) error {
	if f.loads++; f.loads == 1 {
		if err := f.RemoveTag(ctx, testImage()); err != nil {
			return err
		}
	}
	return f.Engine.Load(ctx, archive)
}

func TestSendIsRefusedWithoutLayers(t *testing.T) {
	t.Parallel()
	from := here(t)
	_, e := private(t, "")
	stock(t, from, e)
	to := &forgetful{Engine: e}
	kept := passed(t, from, "echo all >/version")
	tag := newTag(t, e)
	sent, err := Send(t.Context(), from, to, Options{Container: kept, Tag: tag})
	if err != nil || sent.Skipped != 0 || !errors.Is(sent.Refused, container.ErrRefused) || to.loads != 2 {
		t.Errorf("sent: %+v, %v, %d loads", sent, err, to.loads)
	}
	if got := prints(t, e, tag, "cat", "/version"); got != "all\n" {
		t.Errorf("got %q", got)
	}
}

// unchanged fails the test unless the engine has as many images as before, and its disk has nothing else.
func unchanged(t testing.TB, daemon *dockerd.Engine, e *engine.Engine, images int) {
	t.Helper()
	now, err := e.Images(t.Context(), nil)
	if err != nil || len(now) != images {
		t.Errorf("images there: %+v, %v; there were %d", now, err, images)
	}
	for _, pattern := range []string{"data/tmp/*", "data/image/*/layerdb/tmp/*"} {
		left, err := filepath.Glob(filepath.Join(daemon.Dir, pattern))
		if err != nil || len(left) > 0 {
			t.Errorf("left there: %v, %v", left, err)
		}
	}
	layers, err := filepath.Glob(filepath.Join(daemon.Dir, "data/overlay2/*/diff"))
	if err != nil || len(layers) != images {
		t.Errorf("layers there: %v, %v; %d images have one each", layers, err, images)
	}
}

// big is how much data a container gets: more bytes than fit into the buffers between two engines.
const big = 48 << 20

func bigContainer(t testing.TB, e *engine.Engine) string {
	t.Helper()
	return passed(t, e, fmt.Sprintf("head -c %d /dev/urandom >/data", big))
}

func TestSendIsInterrupted(t *testing.T) {
	t.Parallel()
	from := here(t)
	daemon, to := private(t, "")
	stock(t, from, to)
	kept := bigContainer(t, from)
	tag := newTag(t, to)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the user interrupted it")
	_, err := Send(ctx, from, to, Options{Container: kept, Tag: tag, Now: always(), Progress: func(p Progress) {
		if p.Sent > big/4 {
			cancel(stop)
		}
	}})
	if !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	noPart(t, from, tag)
	eventually(t, func() bool { return temporary(t, daemon) == 0 })
	unchanged(t, daemon, to, 1)
}

// temporary counts the engine's temporary files.
func temporary(t testing.TB, daemon *dockerd.Engine) int {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(daemon.Dir, "data/tmp/*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(left)
}

// always returns a clock by which the next progress report is always due: by its own clock, a
// fast machine has sent everything before one is.
func always() func() time.Time {
	start, calls := time.Now(), atomic.Int64{}
	return func() time.Time { return start.Add(time.Duration(calls.Add(1)) * progressInterval) }
}

// eventually waits until the condition holds, which is up to another process.
func eventually(t testing.TB, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatal("not within 30s")
		}
	}
}

func TestSendToAnEngineThatDies(t *testing.T) {
	t.Parallel()
	from := here(t)
	for name, fault := range map[string]func(*dockerd.Engine) error{
		"killed": (*dockerd.Engine).Kill,
		"frozen": (*dockerd.Engine).Freeze,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			daemon, to := private(t, "")
			stock(t, from, to)
			to = connect(t, engine.Options{Host: daemon.Host(), CallTimeout: 5 * time.Second, LifeTimeout: 4 * time.Second})
			kept := bigContainer(t, from)
			tag := newTag(t, to)
			done := false
			start := time.Now()
			_, err := Send(t.Context(), from, to, Options{Container: kept, Tag: tag, Now: always(), Progress: func(p Progress) {
				if p.Sent > big/4 && !done {
					done = true
					if err := fault(daemon); err != nil {
						t.Error(err)
					}
				}
			}})
			if !errors.Is(err, container.ErrGone) || time.Since(start) > 3*cleanUpBound {
				t.Errorf("after %s: %v", time.Since(start), err)
			}
			noPart(t, from, tag)
			if name == "frozen" {
				err = daemon.Thaw()
			} else {
				err = daemon.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, func() bool { return temporary(t, daemon) == 0 })
			unchanged(t, daemon, to, 1)
			if _, err := Send(t.Context(), from, to, Options{Container: kept, Tag: tag}); err != nil {
				t.Errorf("the next one: %v", err)
			}
		})
	}
}

func TestSendToAFullDisk(t *testing.T) {
	t.Parallel()
	from := here(t)
	kept := bigContainer(t, from)
	for name, disk := range map[string]string{"for the archive": "30m", "for the layer": "72m"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			daemon, to := private(t, disk)
			stock(t, from, to)
			tag := newTag(t, to)
			_, err := Send(t.Context(), from, to, Options{Container: kept, Tag: tag})
			var hinted interface{ Hint() string }
			if !errors.Is(err, container.ErrNoSpace) || !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "docker system df") {
				t.Errorf("got %v", err)
			}
			noPart(t, from, tag)
			unchanged(t, daemon, to, 1)
		})
	}
}

// broken is an engine whose archive breaks off.
type broken struct {
	*engine.Engine
	err error
}

func (b broken) Save(ctx context.Context, image string) (io.ReadCloser, error) {
	archive, err := b.Engine.Save(ctx, image)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(archive, big/2), failing{b.err}), archive}, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestSendFromAnEngineThatFails(t *testing.T) {
	t.Parallel()
	from := here(t)
	daemon, to := private(t, "")
	stock(t, from, to)
	kept := bigContainer(t, from)
	for name, fault := range map[string]error{"an error": errors.New("the disk is broken"), "an end": io.EOF} {
		t.Run(name, func(t *testing.T) {
			tag := newTag(t, to)
			_, err := Send(t.Context(), broken{from, fault}, to, Options{Container: kept, Tag: tag})
			if err == nil || errors.Is(err, container.ErrRefused) || !strings.Contains(err.Error(), "read the archive of the image") {
				t.Errorf("got %v", err)
			}
			noPart(t, from, tag)
			eventually(t, func() bool { return temporary(t, daemon) == 0 })
			unchanged(t, daemon, to, 1)
		})
	}
}

func TestSendOfNothing(t *testing.T) {
	e := here(t)
	tag := newTag(t, e)
	if _, err := Send(t.Context(), e, e, Options{Container: "no-such-container-here", Tag: tag}); !errors.Is(err, container.ErrNoContainer) {
		t.Errorf("got %v", err)
	}
}
