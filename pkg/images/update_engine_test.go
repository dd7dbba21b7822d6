package images

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
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/buildcontext"
	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/pkg/images/imagestest"
	"runtests/pkg/inventory"
	"runtests/pkg/report"
	"runtests/pkg/suite"
	"runtests/tests/needs"
)

// workshop is a suite of images, on the real engine, that are brought up to date run after
// run.
type workshop struct {
	t      testing.TB
	engine *engine.Engine
	suite  string // unique to the test, as are the names of the images: SUITE-NAME
	dir    string
	images []suite.Image
	day    time.Time // of the next run
	runs   int
	with   Engine // in place of engine, where a test stands between
	all    bool   // Rebuild
}

// newWorkshop makes images from Dockerfiles as suiteOf does; in those, SUITE stands for the
// prefix of the names, and BASE for an image with a shell.
func newWorkshop(t testing.TB, variables map[string]string, pairs ...string) *workshop {
	t.Helper()
	getenv := func(name string) string {
		if value, ok := variables[name]; ok {
			return value
		}
		return os.Getenv(name)
	}
	needs.Engine(t, t.Name())
	e, err := engine.Connect(t.Context(), engine.Options{Getenv: getenv})
	if err != nil {
		t.Fatalf("these tests need a container engine: %v", err)
	}
	w := &workshop{t: t, engine: e, with: e, suite: "imagestest-" + strings.ToLower(rand.Text()[:12]), day: time.Date(2026, 11, 1, 3, 0, 0, 0, time.Local)}
	for i := 0; i < len(pairs); i += 2 {
		pairs[i] += "=" + w.suite + "-" + pairs[i]
		pairs[i+1] = w.text(pairs[i+1])
	}
	w.dir, w.images = suiteOf(t, pairs...)
	t.Cleanup(w.clear)
	return w
}

func (w *workshop) text(text string) string {
	return strings.NewReplacer("SUITE", w.suite, "BASE", imagestest.BaseImage()).Replace(text)
}

// clear removes, by name, all that the test built.
func (w *workshop) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	built, err := w.engine.Images(ctx, map[string]string{labelSuite: w.suite})
	if err != nil {
		w.t.Error(err)
	}
	for _, i := range built {
		for _, tag := range i.Tags {
			if err := w.engine.RemoveTag(ctx, tag); err != nil {
				w.t.Errorf("remove: %v", err)
			}
		}
	}
}

// updater is that of the next run, a day after the one before.
func (w *workshop) updater() *Updater {
	started := w.day.AddDate(0, 0, w.runs)
	w.runs++
	return &Updater{
		Engine: w.with, Logs: filepath.Join(w.dir, "logs"), Suite: w.suite, RunID: started.Format("2006-01-02T15-04-05"), Started: started, Rebuild: w.all,
	}
}

// outcome is what became of an image in a run.
type outcome struct {
	Result
	log string
	err error
}

// run brings the wanted images up to date, all without a name.
func (w *workshop) run(wanted ...string) map[string]outcome {
	w.t.Helper()
	if len(wanted) == 0 {
		for _, i := range w.images {
			wanted = append(wanted, i.Name)
		}
	}
	chain, err := Plan(w.images, wanted, nil)
	imagestest.Must(w.t, err)
	u := w.updater()
	all := map[string]outcome{}
	for _, image := range chain {
		all[image.Name] = w.update(w.t.Context(), u, image)
	}
	return all
}

func (w *workshop) update(ctx context.Context, u *Updater, image Image) outcome {
	var log syncBuffer
	result, err := u.Update(ctx, image, func() (io.Writer, error) { return &log, nil })
	return outcome{result, log.String(), err}
}

// must runs the images, which must be possible, and returns why each was built; empty: it
// was current.
func (w *workshop) must(wanted ...string) (reasons map[string]string) {
	w.t.Helper()
	reasons = map[string]string{}
	for name, o := range w.run(wanted...) {
		if o.err != nil {
			w.t.Fatalf("%s: %v\n%s", name, o.err, o.log)
		}
		if o.Build.Current != (o.Build.Why == "") || o.Build.Current != (o.log == "") {
			w.t.Errorf("%s: current %v, why %q, log %q", name, o.Build.Current, o.Build.Why, o.log)
		}
		reasons[name] = o.Build.Why
	}
	return reasons
}

func (w *workshop) expect(want map[string]string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.must()); diff != "" {
		w.t.Errorf("run %d (-want +got):\n%s", w.runs, diff)
	}
}

func (w *workshop) write(name, content string) {
	w.t.Helper()
	imagestest.Must(w.t, os.WriteFile(filepath.Join(w.dir, name), []byte(w.text(content)), 0o644))
}

// id is the ID of the image that has a name; empty: none.
func (w *workshop) id(ref string) string {
	w.t.Helper()
	i, err := w.engine.Image(w.t.Context(), ref)
	if errors.Is(err, container.ErrNoImage) {
		return ""
	}
	imagestest.Must(w.t, err)
	return i.ID
}

// names are the tags of what the suite built.
func (w *workshop) names() (all []string) {
	w.t.Helper()
	built, err := w.engine.Images(w.t.Context(), map[string]string{labelSuite: w.suite})
	imagestest.Must(w.t, err)
	for _, i := range built {
		for _, tag := range i.Tags {
			tag = strings.TrimPrefix(tag, "docker.io/library/") // Podman's whole names
			all = append(all, strings.TrimPrefix(tag, w.suite+"-"))
		}
	}
	slices.Sort(all)
	return all
}

// syncBuffer is a log that a test reads while it is written.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	wanted string
	seen   chan struct{}
}

// until returns a channel that is closed when text has been written.
func (b *syncBuffer) until(text string) <-chan struct{} {
	b.wanted, b.seen = text, make(chan struct{})
	return b.seen
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.buffer.Write(p)
	if b.wanted != "" && strings.Contains(b.buffer.String(), b.wanted) {
		close(b.seen)
		b.wanted = ""
	}
	return n, err
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// chainOfThree is the origin's: base tools, compiler, libraries.
var chainOfThree = []string{
	"deps", "FROM SUITE-ocaml\nRUN echo deps >/deps\n",
	"opam", "FROM BASE\nCOPY packages /packages\n",
	"ocaml", "ARG PARENT=SUITE-opam\nFROM $PARENT AS build\nARG VERSION\nRUN echo $VERSION >/ocaml\nFROM build\nCOPY --from=build /ocaml /ocaml2\n",
}

// builders runs a test with each of the builders that Docker has.
func builders(t *testing.T, test func(t *testing.T, variables map[string]string)) {
	for name, value := range map[string]string{"BuildKit": "1", "classic": "0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, map[string]string{"DOCKER_BUILDKIT": value})
		})
	}
}

// TestChain: what has changed is built, and what stands on it, with either builder.
func TestChain(t *testing.T) {
	builders(t, func(t *testing.T, variables map[string]string) {
		w := newWorkshop(t, variables, slices.Clone(chainOfThree)...)
		w.write("opam/packages", "m4\n")
		none := "there is no image of that name"
		w.expect(map[string]string{"opam": none, "ocaml": none, "deps": none})
		w.expect(map[string]string{"opam": "", "ocaml": "", "deps": ""})
		w.write("opam/packages", "m4 git\n")
		w.expect(map[string]string{"opam": "its context has changed", "ocaml": "its parent opam has changed", "deps": "its parent ocaml has changed"})
		w.expect(map[string]string{"opam": "", "ocaml": "", "deps": ""})
		if built := w.id(w.suite + "-deps:2026-11-03T03-00-00"); built == "" || built != w.id(w.suite+"-deps") {
			t.Errorf("the name is not that of the last build: %v", w.names())
		}
	})
}

// TestWhy: all that an image is made of is seen, and nothing else.
func TestWhy(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, nil, "a", "ARG IMAGE=BASE\nFROM $IMAGE\nCOPY file /x\n")
	w.write("a/file", "1")
	file := filepath.Join(w.dir, "a/file")
	build := w.images[0].Build
	w.expect(map[string]string{"a": "there is no image of that name"})
	for _, step := range []struct {
		why string
		do  func()
	}{
		{"its Dockerfile has changed", func() { w.write("a/Dockerfile", "ARG IMAGE=BASE\nFROM $IMAGE\nCOPY file /y\n") }},
		{"its context has changed", func() { imagestest.Must(t, os.Chmod(file, 0o600)) }},
		{"", func() { imagestest.Must(t, os.Chtimes(file, time.Time{}, time.Now().Add(time.Hour))) }},
		{"", func() { build.Rebuild = suite.Rebuild{}; build.Timeout = time.Minute }},
		{"its build arguments have changed", func() { build.Args = args("V", "1", "W", "2") }},
		{"", func() { build.Args = args("W", "2", "V", "1") }},
		{"its target, platform or labels have changed", func() { build.Labels = map[string]string{"team": "specfun"} }},
		{"its Dockerfile has changed; its context has changed", func() { w.write("a/Dockerfile", "FROM BASE\n"); w.write("a/file", "2") }},
	} {
		step.do()
		w.expect(map[string]string{"a": step.why})
	}
}

// TestFacts: what the report says of a build.
func TestFacts(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, nil, "a", "FROM BASE\nCOPY . /x\n")
	first := w.run()["a"]
	noise := make([]byte, 1<<20) // containerd's image store gives the size of compressed layers
	rand.Read(noise)
	imagestest.Must(t, os.WriteFile(filepath.Join(w.dir, "a/file"), noise, 0o644))
	second := w.run()["a"]
	third := w.run()["a"]
	for _, o := range []outcome{first, second, third} {
		imagestest.Must(t, o.err)
	}
	if b := first.Build; b.Builder != w.engine.Builder() || b.PreviousID != "" || b.Size == 0 || !b.Built.Equal(w.day) {
		t.Errorf("first: %+v", b)
	}
	if b := second.Build; b.PreviousID != first.ImageID || b.PreviousSize != first.Build.Size || b.Size < b.PreviousSize+1<<20 || !b.Built.Equal(w.day.AddDate(0, 0, 1)) {
		t.Errorf("second: %+v", b)
	}
	if b := third.Build; third.ImageID != second.ImageID || !b.Current || !b.Built.Equal(w.day.AddDate(0, 0, 1)) || b.Size != second.Build.Size {
		t.Errorf("third: %+v", b)
	}
	i, err := w.engine.Image(t.Context(), second.ImageID)
	imagestest.Must(t, err)
	for name, want := range map[string]string{
		labelImage: w.suite + "-a:latest", labelRun: "2026-11-02T03-00-00", labelSuite: w.suite, labelFresh: "",
		labelBuilt:   w.day.AddDate(0, 0, 1).Format(time.RFC3339),
		labelParents: fmt.Sprintf("{%q:%q}", imagestest.BaseImage()+":latest", w.id(imagestest.BaseImage())),
	} {
		if i.Labels[name] != want {
			t.Errorf("%s is %q, not %q", name, i.Labels[name], want)
		}
	}
}

// TestInventory: what is installed is asked once per image, and compared with the image of
// before.
func TestInventory(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, nil, "a", "FROM BASE\nCOPY installed /lib/apk/db/installed\n", "bare", "FROM scratch\nCOPY Dockerfile /\n")
	w.write("a/installed", "P:m4\nV:1.4-r0\n\nP:gmp\nV:6.2-r0\n\n")
	first := w.run()
	logs := filepath.Join(w.dir, "logs")
	found, err := inventory.Load(logs, first["a"].ImageID)
	imagestest.Must(t, err)
	if len(found.Packages) == 0 || first["a"].Build.Packages != len(found.Packages) || len(first["a"].Build.Changes) > 0 {
		t.Errorf("%+v %+v", found, first["a"].Build)
	}
	if notes := strings.Join(first["bare"].Notes, "\n"); !strings.Contains(notes, inventory.ErrNoShell.Error()) {
		t.Errorf("of an image without a shell: %q", notes)
	}
	w.write("a/installed", "P:m4\nV:1.4-r0\n\nP:gmp\nV:6.3-r0\n\n")
	second := w.run()
	changes := []report.PackageChange{{Manager: "apk", Name: "gmp", From: "6.2-r0", To: "6.3-r0"}}
	if diff := cmp.Diff(changes, second["a"].Build.Changes); diff != "" {
		t.Error(diff)
	}
	if len(second["bare"].Notes) > 0 || !second["bare"].Build.Current {
		t.Errorf("asked again: %+v", second["bare"])
	}
	imagestest.Must(t, os.RemoveAll(logs))
	if third := w.run()["a"]; third.Build.Packages != first["a"].Build.Packages || len(third.Build.Changes) > 0 {
		t.Errorf("the inventory of a current image was not taken again: %+v", third.Build)
	}
}

// TestFailedBuild: the name stays where it was, and nothing is half-tagged.
func TestFailedBuild(t *testing.T) {
	builders(t, func(t *testing.T, variables map[string]string) {
		w := newWorkshop(t, variables, "a", "FROM BASE\n")
		w.must()
		before := w.id(w.suite + "-a")
		w.write("a/Dockerfile", "FROM BASE\nRUN true\nRUN exit 3\n")
		o := w.run()["a"]
		var failed *container.BuildError
		if !errors.As(o.err, &failed) || failed.Code != 3 || failed.Line != 3 {
			t.Errorf("%#v", o.err)
		}
		if o.ImageID != "" || o.Build.PreviousID != before || o.Build.Why != "its Dockerfile has changed" {
			t.Errorf("%+v", o.Result)
		}
		if now := w.id(w.suite + "-a"); now != before {
			t.Errorf("the name went from %s to %s", before, now)
		}
		if diff := cmp.Diff([]string{"a:2026-11-01T03-00-00", "a:latest"}, w.names()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestKilledBuild(t *testing.T) {
	builders(t, func(t *testing.T, variables map[string]string) {
		w := newWorkshop(t, variables, "a", "FROM BASE\n")
		w.must()
		before := w.id(w.suite + "-a")
		w.write("a/Dockerfile", "FROM BASE\nRUN echo it runs; sleep 600\n")
		chain, err := Plan(w.images, []string{"a"}, nil)
		imagestest.Must(t, err)
		ctx, cancel := context.WithCancelCause(t.Context())
		var log syncBuffer
		runs := log.until("\nit runs")
		if variables["DOCKER_BUILDKIT"] == "1" {
			runs = log.until(" it runs\n")
		}
		killed := errors.New("killed")
		go func() {
			<-runs
			cancel(killed)
		}()
		_, err = w.updater().Update(ctx, chain[0], func() (io.Writer, error) { return &log, nil })
		if !errors.Is(err, killed) {
			t.Errorf("%v\n%s", err, log.String())
		}
		if now := w.id(w.suite + "-a"); now != before {
			t.Errorf("the name went from %s to %s", before, now)
		}
		if diff := cmp.Diff([]string{"a:2026-11-01T03-00-00", "a:latest"}, w.names()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestRebuild: what is due is built without cache, what has changed with it.
func TestRebuild(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, nil, "a", "FROM BASE\nRUN head -c 8 /dev/urandom >/random\n")
	layers := func() []string {
		i, err := w.engine.Image(t.Context(), w.suite+"-a")
		imagestest.Must(t, err)
		return i.Layers
	}
	w.must()
	was := layers()
	step := func(want string, fresh bool) {
		t.Helper()
		w.expect(map[string]string{"a": want})
		now := layers()
		if got := !slices.Equal(now, was); got != fresh {
			t.Errorf("run %d: built without cache: %v", w.runs, got)
		}
		was = now
	}
	w.images[0].Build.Rebuild = suite.Rebuild{Days: 2}
	step("never built without cache (rebuild: 2 days)", true)
	w.images[0].Build.Labels = map[string]string{"x": "y"}
	step("its target, platform or labels have changed", false)
	step("last built without cache 2 days ago (rebuild: 2 days)", true)
	step("", false)
	step("built 2 days ago (rebuild: 2 days)", true)
	w.images[0].Build.Rebuild = suite.Rebuild{}
	step("", false)
	w.all = true
	step("--rebuild", true)
	w.all = false
	w.images[0].Build.Rebuild = suite.Rebuild{Always: true}
	step("rebuild: always", true)
}

// TestNotOurs: an image that somebody built on ours has our labels, and is not ours.
func TestNotOurs(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, nil, "a", "FROM BASE\n", "b", "FROM SUITE-a\n")
	w.must("a")
	dir := imagestest.Tree(t, map[string]string{"Dockerfile": w.text("FROM SUITE-a\nLABEL by=hand\n")})
	imagestest.Docker(t, nil, "build", "-q", "-t", w.suite+"-b", dir)
	byHand := w.id(w.suite + "-b")
	o := w.run("b")["b"]
	imagestest.Must(t, o.err)
	if o.Build.Why != "the image of that name was not built by runtests" {
		t.Errorf("%q", o.Build.Why)
	}
	if !strings.Contains(strings.Join(o.Notes, "\n"), byHand) {
		t.Errorf("nothing is said of the image that lost its name: %q", o.Notes)
	}
	w.expect(map[string]string{"a": "", "b": ""})
	imagestest.Must(t, w.engine.Tag(t.Context(), byHand, w.suite+"-hand"))
	old, err := Superseded(t.Context(), w.engine, w.suite, 0, nil)
	if err != nil || len(old) > 0 {
		t.Errorf("%v %v", old, err)
	}
}

// meddler is an engine on which somebody does something while an image is built.
type meddler struct {
	*engine.Engine
	meddle func()
}

func (m meddler) Build(ctx context.Context, b engine.Build, log io.Writer) (string, error) {
	m.meddle()
	return m.Engine.Build(ctx, b, log)
}

// TestParentMovedMeanwhile: the parent's name goes to another image between the look at it
// and the build.
func TestParentMovedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, nil, "a", "FROM BASE\nRUN echo a >/a\n", "b", "FROM SUITE-a\n", "other", "FROM BASE\nRUN echo other >/a\n")
	w.must("a", "other")
	w.with = meddler{w.engine, func() { imagestest.Must(t, w.engine.Tag(t.Context(), w.suite+"-other", w.suite+"-a")) }}
	o := w.run("b")["b"]
	if o.err == nil || !strings.Contains(o.err.Error(), "it was not built on the "+w.suite+"-a:latest") {
		t.Errorf("%v", o.err)
	}
	if names := w.names(); slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "b") }) {
		t.Errorf("the image has a name: %q", names)
	}
}

// TestContextChangedMeanwhile: what was sent is not what was summed up.
func TestContextChangedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, nil, "a", "FROM BASE\nCOPY . /x\n")
	w.write("a/before", strings.Repeat("x", 4<<20)) // the file after it is not read ahead
	w.write("a/file", "one")
	w.with = meddler{w.engine, func() { w.write("a/file", "two") }}
	if o := w.run()["a"]; !errors.Is(o.err, buildcontext.ErrChanged) {
		t.Errorf("%v\n%s", o.err, o.log)
	}
	if names := w.names(); len(names) > 0 {
		t.Errorf("%q", names)
	}
}

// TestDockerfileEditedMeanwhile: an edit between plan and build is built, unless it changes
// what the image stands on.
func TestDockerfileEditedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, nil, "a", "FROM BASE\n", "b", "FROM BASE\n")
	chain, err := Plan(w.images, []string{"a", "b"}, nil)
	imagestest.Must(t, err)
	w.write("a/Dockerfile", "FROM BASE\nLABEL x=y\n")
	w.write("b/Dockerfile", "FROM SUITE-a\n")
	u := w.updater()
	if o := w.update(t.Context(), u, chain[0]); o.err != nil {
		t.Error(o.err)
	}
	o := w.update(t.Context(), u, chain[1])
	if o.err == nil || !strings.Contains(o.err.Error(), "is built on other images now") {
		t.Error(o.err)
	}
}

// nowhere is a registry that refuses at once.
const nowhere = "127.0.0.1:1"

// TestNoRegistry: a base that cannot be pulled is used as it is, and that is said; one that
// is not there either is the end.
func TestNoRegistry(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, nil, "a", "FROM "+nowhere+"/SUITE-base\n", "b", "FROM "+nowhere+"/SUITE-none\n", "c", "FROM "+nowhere+"/SUITE-base\n")
	base := nowhere + "/" + w.suite + "-base"
	imagestest.Must(t, w.engine.Tag(t.Context(), imagestest.BaseImage(), base))
	t.Cleanup(func() { imagestest.Must(t, w.engine.RemoveTag(context.WithoutCancel(t.Context()), base)) })
	w.images[0].Build.Rebuild = suite.Rebuild{Days: 1}
	w.images[2].PullPolicy = suite.PullAlways
	all := w.run()
	for _, name := range []string{"a", "c"} {
		if o := all[name]; o.err != nil || !strings.Contains(strings.Join(o.Notes, "\n"), "could not be pulled, so it was built on the image that the engine has") {
			t.Errorf("%s: %v %q", name, o.err, o.Notes)
		}
	}
	if err := all["b"].err; err == nil || !strings.Contains(err.Error(), "pull the image") {
		t.Errorf("b: %v", err)
	}
	w.images[1].PullPolicy = suite.PullNever
	if err := w.run("b")["b"].err; !errors.Is(err, container.ErrNoImage) {
		t.Errorf("b, never pulled: %v", err)
	}
	imagestest.Must(t, w.engine.RemoveTag(t.Context(), base)) // it has another name: it stays
	w.images[0].Build.Rebuild = suite.Rebuild{}
	if o := w.run("a")["a"]; o.err != nil || !o.Build.Current {
		t.Errorf("what it was built on is gone, and that changes nothing: %v %q", o.err, o.Build.Why)
	}
}

func TestSuperseded(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, nil, "a", "FROM BASE\nCOPY . /x\n", "b", "FROM SUITE-a\n", "c=SUITE-c:dev", "FROM BASE\n")
	w.images[2].Reference = w.suite + "-c:dev"
	w.all = true
	for range 4 {
		w.must()
	}
	day := func(n int) string { return w.day.AddDate(0, 0, n).Format("2006-01-02T15-04-05") }
	ctx := t.Context()
	used := strings.TrimSpace(imagestest.Docker(t, nil, "create", w.suite+"-a:"+day(0)))
	t.Cleanup(func() { imagestest.Must(t, w.engine.Remove(context.WithoutCancel(ctx), used)) })
	imagestest.Must(t, w.engine.Tag(ctx, w.suite+"-b:"+day(0), w.suite+"-mine"))

	tags := func(builds []Removable) (all []string) {
		for _, o := range builds {
			if o.Size == 0 || o.ID == "" || o.Built.IsZero() {
				t.Errorf("%+v", o)
			}
			all = append(all, strings.TrimPrefix(o.Tag, w.suite+"-"))
		}
		return all
	}
	if old, err := Superseded(ctx, w.engine, w.suite+"-other", 0, nil); err != nil || len(old) > 0 {
		t.Errorf("of another suite: %v %v", old, err)
	}
	if old, err := Superseded(ctx, w.engine, w.suite, 3, nil); err != nil || len(old) > 0 {
		t.Errorf("3 are kept: %v %v", old, err)
	}
	found, err := w.engine.Image(ctx, w.suite+"-c:dev-"+day(0))
	imagestest.Must(t, err)
	old, err := Superseded(ctx, w.engine, w.suite, 1, map[string]bool{found.ID: true})
	if imagestest.Must(t, err); len(old) != 4 || slices.ContainsFunc(old, func(o Removable) bool { return o.ID == found.ID }) {
		t.Errorf("one is needed: %v", tags(old))
	}
	old, err = Superseded(ctx, w.engine, w.suite, 1, nil)
	imagestest.Must(t, err)
	want := []string{"a:" + day(1), "b:" + day(0), "b:" + day(1), "c:dev-" + day(0), "c:dev-" + day(1)}
	if diff := cmp.Diff(want, tags(old)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	before := w.names()
	removed, err := Remove(ctx, w.engine, old)
	if err != nil || len(removed) != len(old) {
		t.Errorf("%v %v", removed, err)
	}
	left := slices.DeleteFunc(before, func(name string) bool { return slices.Contains(want, name) })
	if diff := cmp.Diff(left, w.names()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	w.all = false
	w.expect(map[string]string{"a": "", "b": "", "c": ""})
}

// BenchmarkCurrent is a run that has nothing to do, on two chains of three.
func BenchmarkCurrent(b *testing.B) {
	pairs := slices.Clone(chainOfThree)
	for i, text := range chainOfThree {
		pairs = append(pairs, strings.ReplaceAll(text, "SUITE-", "SUITE-u-"))
		if i%2 == 0 {
			pairs[len(pairs)-1] = "u-" + text
		}
	}
	w := newWorkshop(b, nil, pairs...)
	w.write("opam/packages", "m4\n")
	w.write("u-opam/packages", "m4\n")
	w.must()
	for b.Loop() {
		w.must()
	}
}
