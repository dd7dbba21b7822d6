package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"runtests/pkg/buildcontext"
	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/pkg/hint"
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
	inventory.Runner
}

// Updater brings the images of a chain up to date in one run. It is used by pointer, for
// several images at a time where none stands on another.
type Updater struct {
	Engine  Engine
	Logs    string    // the suite's folder of logs, where inventories are kept
	Suite   string    // the suite's name
	RunID   string    // as 2026-11-22T03-00-04
	Started time.Time // the launch of the run; days are those of its time zone
	Rebuild bool      // build every image without cache, also a current one
	// Labels are set on the containers that take inventories: the next run removes what a killed
	// run has left.
	Labels map[string]string

	pulls pulls
}

// Result is what became of an image, also if Update fails, as far as it is known.
type Result struct {
	ImageID string // the ID of the image that has the name; empty if Update failed
	Build   report.Build
	Notes   []string // sentences for the reader of the report
}

// finishBound is how long giving a complete image its name may take, also if the run is
// interrupted meanwhile.
const finishBound = time.Minute

// Update builds an image if it is not current. Its parents must be up to date. Update calls open
// once, before it first prints something: a pull or a build.
//
// A failure of the Dockerfile is a *container.BuildError. On any error the image's name stays
// where it was.
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
	before  *container.Image // the image that has the name; nil: none
	was     *record          // the record of before; nil: it is not ours
	content *buildcontext.Context
	file    *dockerfile
	now     record // the record of the image as it would be built
}

func (w *update) run(ctx context.Context) (err error) {
	if w.name, err = familiar(w.image.Reference); err != nil {
		return err
	}
	if err := w.find(ctx); err != nil {
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
		w.reportCurrent(ctx)
		return nil
	}
	return w.build(ctx, verdict)
}

// find finds the image that has the name.
func (w *update) find(ctx context.Context) error {
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

// open reads the context. The Dockerfile may have been edited since the chain was planned, but it
// must be built on the same images, which the order of the chain depends on.
func (w *update) open(ctx context.Context) (err error) {
	b := w.image.Build
	w.content, err = buildcontext.Open(ctx, b.Context, b.Dockerfile)
	var changed *buildcontext.ChangedError
	if errors.As(err, &changed) && w.Logs != "" && buildcontext.BelowIn(b.Context, w.Logs)(changed.Path) { // this run has changed it
		return w.logsSent(changed.Path)
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
		return hint.Errorf("run it again", "%s was changed during the run, and is built on other images now", b.Dockerfile)
	}
	return nil
}

// logsSent returns the error for a context that contains one of the suite's logs.
func (w *update) logsSent(path string) error {
	dir := w.image.Build.Context
	remedy := fmt.Sprintf("name %s in %s", filepath.Base(w.Logs), filepath.Join(dir, buildcontext.IgnoreFile))
	return hint.Errorf(remedy, "its context %s has the suite's logs in it (%s), which each run changes: the image would never be current", dir, path)
}

// assemble sets the record of the image as it would be built now.
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

// parents returns the IDs of the images that this image is built on, by reference. If an image is
// gone from the engine, parents assumes that it is unchanged, and leaves it out if it was never
// there.
func (w *update) parents(ctx context.Context) (map[string]string, error) {
	ids := map[string]string{}
	for _, need := range w.image.Needs {
		ref := w.image.parents[need]
		found, err := w.Engine.Image(ctx, ref)
		if err != nil {
			return nil, fmt.Errorf("inspect its parent %s: %w", need, err)
		}
		ids[ref] = found.ID
	}
	for _, base := range w.image.Bases {
		found, err := w.Engine.Image(ctx, base)
		switch {
		case err == nil:
			ids[base] = found.ID
		case !errors.Is(err, container.ErrNoImage):
			return nil, fmt.Errorf("inspect the image that it is built on: %w", err)
		case w.was != nil && w.was.parents[base] != "":
			ids[base] = w.was.parents[base]
		}
	}
	return ids, nil
}

// reportCurrent sets the result of a current image.
func (w *update) reportCurrent(ctx context.Context) {
	w.result.ImageID = w.before.ID
	w.result.Build = report.Build{Current: true, Built: w.was.built, Size: w.before.Size}
	w.listPackages(ctx)
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
	if err := w.getBases(ctx, v.noCache); err != nil {
		return err
	}
	if v.noCache {
		w.now.fresh = w.Started
	} else if w.was != nil {
		w.now.fresh = w.was.fresh
	}
	id, err := w.runBuild(ctx, v.noCache)
	if err != nil {
		return err
	}
	built, err := w.finish(ctx, id)
	if err != nil {
		return err
	}
	w.result.ImageID = built.ID
	facts.Built, facts.Size = w.Started, built.Size
	w.listPackages(ctx)
	return nil
}

// getBases gets the images that come from elsewhere onto the engine. For a build without cache it
// pulls them again.
func (w *update) getBases(ctx context.Context, fresh bool) error {
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
			return fmt.Errorf("get the image that it is built on: %w", err)
		}
	}
	return w.assemble(ctx)
}

// refresh pulls the images that come from elsewhere. If that fails and the engine has the image, a
// note says so, and the build goes on with that.
func (w *update) refresh(ctx context.Context) error {
	for _, base := range w.image.Bases {
		err := w.pulls.do(ctx, w.Engine, base, w.image.Build.Platform, w.log)
		if err == nil {
			continue
		}
		if ctx.Err() != nil || errors.Is(err, container.ErrGone) {
			return err
		}
		if _, missing := w.Engine.Image(ctx, base); missing != nil {
			return err
		}
		w.note("%s could not be pulled, so it was built on the image that the engine has: %v", base, err)
	}
	return nil
}

// runBuild has the engine build the image under the name that this build keeps.
func (w *update) runBuild(ctx context.Context, noCache bool) (id string, err error) {
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

// finish verifies what was built and gives it its name, also if the run is interrupted meanwhile.
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
	if tag, invalid := runTag(w.name, w.RunID); invalid == nil {
		err = errors.Join(err, w.Engine.RemoveTag(ctx, tag))
	}
	return container.Image{}, err
}

// verify checks that the layers of the image begin with those of its parent.
func (w *update) verify(ctx context.Context, id string) (container.Image, error) {
	built, err := w.Engine.Image(ctx, id)
	if err != nil {
		return container.Image{}, fmt.Errorf("inspect what was built: %w", err)
	}
	if w.image.base == "" {
		return built, nil
	}
	parent, err := w.Engine.Image(ctx, w.now.parents[w.image.base])
	if err != nil {
		return container.Image{}, fmt.Errorf("inspect the image that it was built on: %w", err)
	}
	if len(built.Layers) < len(parent.Layers) || !slices.Equal(built.Layers[:len(parent.Layers)], parent.Layers) {
		return container.Image{}, hint.Errorf("run it again; nothing else may build or pull that image meanwhile",
			"it was not built on the %s that the engine had when the build began", w.image.base)
	}
	return built, nil
}

// noteNameless adds a note about an image that we did not build and that has lost its only name.
func (w *update) noteNameless() {
	if w.before == nil || w.was != nil || len(w.before.Tags) > 1 {
		return
	}
	w.note("the previous image %s, which runtests did not build, has no name any more: %s", w.image.Reference, w.before.ID)
}

// note adds a sentence for the reader of the report.
func (w *update) note(format string, args ...any) {
	w.result.Notes = append(w.result.Notes, fmt.Sprintf(format, args...))
}

// lateLog is a log that is opened when the first line is written to it.
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
