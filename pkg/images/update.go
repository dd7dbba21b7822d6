package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"runtests/pkg/buildcontext"
	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/pkg/inventory"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// Engine is what bringing an image up to date needs of a container engine.
type Engine interface {
	Image(ctx context.Context, ref string) (container.Image, error)
	Pull(ctx context.Context, ref, platform string, progress io.Writer) error
	Builder() string
	Build(ctx context.Context, b engine.Build, log io.Writer) (id string, err error)
	Tag(ctx context.Context, image, ref string) error
	RemoveTag(ctx context.Context, ref string) error
	inventory.ContainerRunner
}

// Updater brings the images of a chain up to date in one run. It is used by pointer, for
// several images at a time where none stands on another.
type Updater struct {
	Engine  Engine
	Logs    string    // the suite's folder of logs, where inventories are kept
	Suite   string    // the suite's name
	RunID   string    // as 2026-11-22T03-00-04
	Started time.Time // the launch of the run; days are those of its time zone
	Rebuild bool      // build everything without cache, whatever is current
	// Labels are those of the containers that it runs, so that the next run finds what a
	// killed one left.
	Labels map[string]string

	pulls pulls
}

// Result is what became of an image: also when Update fails, as far as it is known.
type Result struct {
	ImageID string // of the image that has the name; empty when it could not be brought up to date
	Build   report.Build
	Notes   []string // sentences for the reader of the report
}

// finishBound is how long giving a finished image its name may take, also when the run was
// interrupted meanwhile.
const finishBound = time.Minute

// Update builds an image if it is not current. What it stands on must be up to date.
// open makes the log, once, when there is something to print: a pull or a build.
//
// An *container.BuildError says that the Dockerfile did not go through. Whatever the error,
// the image's name is where it was.
func (u *Updater) Update(ctx context.Context, image Image, open func() (io.Writer, error)) (Result, error) {
	w := update{Updater: u, image: image, log: &lateLog{open: open}}
	err := w.run(ctx)
	return w.result, err
}

// update is one image on its way through Update.
type update struct {
	*Updater
	image  Image
	log    *lateLog
	result Result

	name    string           // the image's, familiar
	before  *container.Image // that has the name; nil: none
	was     *record          // of before; nil: it is none of ours
	content *buildcontext.Context
	file    *dockerfile
	now     record // of the image as it would be built
}

func (w *update) run(ctx context.Context) (err error) {
	if w.name, err = familiar(w.image.Reference); err != nil {
		return err
	}
	if err := w.look(ctx); err != nil {
		return err
	}
	if err := w.open(ctx); err != nil {
		return err
	}
	if w.image.PullPolicy == suite.PullAlways {
		if err := w.refresh(ctx); err != nil {
			return err
		}
	}
	if err := w.assemble(ctx); err != nil {
		return err
	}
	verdict := w.decide(w.image, w.before, w.was, w.now)
	if verdict.current {
		w.keep(ctx)
		return nil
	}
	return w.build(ctx, verdict)
}

// look finds the image that has the name.
func (w *update) look(ctx context.Context) error {
	found, err := w.Engine.Image(ctx, w.name)
	if errors.Is(err, container.ErrNoImage) {
		return nil
	}
	if err != nil {
		return err
	}
	w.before = &found
	if was, ok := recordOf(found.Labels, found.Tags); ok && was.image == w.name {
		w.was = &was
	}
	return nil
}

// open reads the context. The Dockerfile may have been edited since the chain was planned,
// but it must stand on the same images: their order was made from them.
func (w *update) open(ctx context.Context) (err error) {
	b := w.image.Build
	w.content, err = buildcontext.Open(ctx, b.Context, b.Dockerfile)
	var moved *buildcontext.ChangedError
	if errors.As(err, &moved) && w.Logs != "" && buildcontext.BelowIn(b.Context, w.Logs)(moved.Path) { // this very run has changed it
		return w.logsSent(moved.Path)
	}
	if err != nil {
		return err
	}
	if sent := w.content.SendsFrom(w.Logs); w.Logs != "" && sent != "" {
		return w.logsSent(sent)
	}
	if w.file, err = parseDockerfile(w.content.Dockerfile(), *b); err != nil {
		return inFile(b.Dockerfile, err)
	}
	planned := slices.Clone(w.image.Bases)
	for _, need := range w.image.Needs {
		planned = append(planned, w.image.parents[need])
	}
	slices.Sort(planned)
	read := w.file.references()
	slices.Sort(read)
	if !slices.Equal(planned, read) || w.file.base != w.image.base {
		return &Fault{Err: fmt.Errorf("%s was changed while the run was going on, and stands on other images now", b.Dockerfile), Remedy: "run it again"}
	}
	return nil
}

// logsSent is the fault of a context that has one of the suite's logs in it.
func (w *update) logsSent(path string) error {
	dir := w.image.Build.Context
	return &Fault{
		Err:    fmt.Errorf("its context %s has the suite's logs in it (%s), which each run changes: it would never be current", dir, path),
		Remedy: fmt.Sprintf("name %s in %s", filepath.Base(w.Logs), filepath.Join(dir, buildcontext.IgnoreFile)),
	}
}

// assemble finds out what the image would be made of now.
func (w *update) assemble(ctx context.Context) error {
	parents, err := w.parents(ctx)
	if err != nil {
		return err
	}
	made := inputsOf(w.image.Build, w.content)
	w.now = record{
		image: w.name, run: w.RunID, suite: w.Suite,
		digest: made.digest(parents), inputs: made, parents: parents, built: w.Started,
	}
	return nil
}

// parents are the IDs of the images that this one is built on. Of one that is not on the
// engine any more nobody can say that it has changed: it counts as it was, and is left
// out if it never was there.
func (w *update) parents(ctx context.Context) (map[string]string, error) {
	ids := map[string]string{}
	for _, need := range w.image.Needs {
		ref := w.image.parents[need]
		found, err := w.Engine.Image(ctx, ref)
		if err != nil {
			return nil, fmt.Errorf("look at its parent %s: %w", need, err)
		}
		ids[ref] = found.ID
	}
	for _, base := range w.image.Bases {
		found, err := w.Engine.Image(ctx, base)
		switch {
		case err == nil:
			ids[base] = found.ID
		case !errors.Is(err, container.ErrNoImage):
			return nil, fmt.Errorf("look at what it is built on: %w", err)
		case w.was != nil && w.was.parents[base] != "":
			ids[base] = w.was.parents[base]
		}
	}
	return ids, nil
}

// keep says that the image is current.
func (w *update) keep(ctx context.Context) {
	w.result.ImageID = w.before.ID
	w.result.Build = report.Build{Current: true, Built: w.was.built, Size: w.before.Size}
	w.takeStock(ctx)
}

// build builds the image and gives it its name.
func (w *update) build(ctx context.Context, v verdict) error {
	facts := &w.result.Build
	facts.Why, facts.Builder = v.why, w.Engine.Builder()
	if w.before != nil {
		facts.PreviousID, facts.PreviousSize = w.before.ID, w.before.Size
		if w.was != nil {
			facts.Built = w.was.built
		}
	}
	if _, err := fmt.Fprintf(w.log, "[runtests: %s]\n", v.why); err != nil {
		return err
	}
	if err := w.provide(ctx, v.noCache); err != nil {
		return err
	}
	if v.noCache {
		w.now.fresh = w.Started
	} else if w.was != nil {
		w.now.fresh = w.was.fresh
	}
	id, err := w.make(ctx, v.noCache)
	if err != nil {
		return err
	}
	built, err := w.finish(ctx, id)
	if err != nil {
		return err
	}
	w.result.ImageID = built.ID
	facts.Built, facts.Size = w.Started, built.Size
	w.takeStock(ctx)
	return nil
}

// provide sees to it that what the image is built on is on the engine: freshly pulled for
// a build without cache.
func (w *update) provide(ctx context.Context, fresh bool) error {
	if fresh && w.image.PullPolicy != suite.PullAlways && w.image.PullPolicy != suite.PullNever {
		if err := w.refresh(ctx); err != nil {
			return err
		}
	}
	for _, base := range w.image.Bases {
		_, err := w.Engine.Image(ctx, base)
		if errors.Is(err, container.ErrNoImage) && w.image.PullPolicy != suite.PullNever {
			err = w.pulls.do(ctx, w.Engine, base, w.image.Build.Platform, w.log)
		}
		if err != nil {
			return fmt.Errorf("get what it is built on: %w", err)
		}
	}
	return w.assemble(ctx)
}

// refresh pulls what the image is built on. Where that fails and the engine has the image,
// it is built on that one.
func (w *update) refresh(ctx context.Context) error {
	for _, base := range w.image.Bases {
		failed := w.pulls.do(ctx, w.Engine, base, w.image.Build.Platform, w.log)
		if failed == nil {
			continue
		}
		if ctx.Err() != nil || errors.Is(failed, container.ErrGone) {
			return failed
		}
		if _, err := w.Engine.Image(ctx, base); err != nil {
			return failed
		}
		w.note("no fresh %s could be pulled, it stands on the one that the engine has: %v", base, failed)
	}
	return nil
}

// make has the engine build the image, under the name that this build keeps.
func (w *update) make(ctx context.Context, noCache bool) (id string, err error) {
	tag, err := runTag(w.name, w.RunID)
	if err != nil {
		return "", err
	}
	b := w.image.Build
	labels, err := w.now.labels(b.Labels)
	if err != nil {
		return "", err
	}
	stream := w.content.Stream(ctx)
	defer stream.Close()
	return w.Engine.Build(ctx, engine.Build{
		Context: stream, Dockerfile: w.content.DockerfileName(), Instructions: w.file.instructions,
		Tags: []string{tag}, Args: b.Args, Target: b.Target, Labels: labels, Platform: b.Platform, NoCache: noCache,
	}, w.log)
}

// finish looks at what was built and gives it its name. A build that is complete is not
// lost to an interruption.
func (w *update) finish(ctx context.Context, id string) (container.Image, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishBound)
	defer cancel()
	built, err := w.verify(ctx, id)
	if err == nil {
		err = w.Engine.Tag(ctx, built.ID, w.name)
	}
	if err == nil {
		w.noteNameless()
		return built, nil
	}
	if tag, wrong := runTag(w.name, w.RunID); wrong == nil {
		err = errors.Join(err, w.Engine.RemoveTag(ctx, tag))
	}
	return container.Image{}, err
}

// verify sees that the image really stands on its parent: its layers begin with the
// parent's.
func (w *update) verify(ctx context.Context, id string) (container.Image, error) {
	built, err := w.Engine.Image(ctx, id)
	if err != nil {
		return container.Image{}, fmt.Errorf("look at what was built: %w", err)
	}
	if w.image.base == "" {
		return built, nil
	}
	parent, err := w.Engine.Image(ctx, w.now.parents[w.image.base])
	if err != nil {
		return container.Image{}, fmt.Errorf("look at what it was built on: %w", err)
	}
	if len(built.Layers) < len(parent.Layers) || !slices.Equal(built.Layers[:len(parent.Layers)], parent.Layers) {
		return container.Image{}, &Fault{
			Err:    fmt.Errorf("what was built does not stand on the %s that the engine had when the build began", w.image.base),
			Remedy: "run it again; nothing else may build or pull that image meanwhile",
		}
	}
	return built, nil
}

// noteNameless tells of an image of somebody else's that lost its only name.
func (w *update) noteNameless() {
	if w.before == nil || w.was != nil || len(w.before.Tags) > 1 {
		return
	}
	w.note("the image that was called %s before, and that runtests did not build, has no name any more: %s", w.image.Reference, w.before.ID)
}

// pulls sees to it that an image is pulled once per run, also when several are built on
// it: they then stand on the same one.
type pulls struct {
	mu  sync.Mutex
	all map[string]*onePull
}

type onePull struct {
	turn chan struct{} // holds a token; who has it may pull
	done bool
	err  error
}

// do pulls an image, or returns what became of it before. Only an answer counts: a pull
// that was interrupted, and an engine that is gone, say nothing of the image.
func (p *pulls) do(ctx context.Context, e Engine, ref, platform string, log io.Writer) error {
	one := p.of(ref + " " + platform)
	select {
	case <-one.turn:
		defer func() { one.turn <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if one.done {
		return one.err
	}
	err := e.Pull(ctx, ref, platform, log)
	if ctx.Err() == nil && !errors.Is(err, container.ErrGone) {
		one.done, one.err = true, err
	}
	return err
}

func (p *pulls) of(key string) *onePull {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]*onePull{}
	}
	one, ok := p.all[key]
	if !ok {
		one = &onePull{turn: make(chan struct{}, 1)}
		one.turn <- struct{}{}
		p.all[key] = one
	}
	return one
}

// lateLog is a log that is made when the first line is written to it.
type lateLog struct {
	open func() (io.Writer, error)
	file io.Writer
	err  error
}

func (l *lateLog) Write(p []byte) (int, error) {
	if l.file == nil && l.err == nil {
		l.file, l.err = l.open()
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.file.Write(p)
}
