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

// Update builds an image if it is not current. Its parents must be up to date. Update calls open
// once, before it first prints something: a pull or a build.
//
// A failure of the Dockerfile is a *container.BuildError. On any error the image's name stays
// where it was.
func (u *Updater) Update(ctx context.Context, image Image, open func() (io.Writer, error)) (Result, error) {
	w := update{Updater: u, image: image, log: lateLog{sync.OnceValues(open)}}
	err := w.run(ctx)
	return w.result, err
}

// update is one image on its way through Update.
type update struct {
	*Updater
	image  Image
	log    lateLog
	result Result

	name    string           // the image's, familiar
	before  *container.Image // the image that has the name; nil: none
	was     *record          // the record of before; nil: it is not ours
	content *buildcontext.Context
	file    *dockerfile
	now     record // the record of the image as it would be built
}

// run takes the image through its steps. They end with a current image, or with a build.
func (w *update) run(ctx context.Context) (err error) {
	if w.name, err = familiar(w.image.Reference); err != nil {
		return err
	}
	if err := w.findBefore(ctx); err != nil {
		return err
	}
	if err := w.readContext(ctx); err != nil {
		return err
	}
	if w.image.PullPolicy == suite.PullAlways {
		if err := w.pullBases(ctx); err != nil {
			return err
		}
	}
	if err := w.recordInputs(ctx); err != nil {
		return err
	}
	d := w.decide()
	if d.why == "" {
		w.reportCurrent(ctx)
		return nil
	}
	return w.build(ctx, d)
}

// findBefore finds the image that has the name.
func (w *update) findBefore(ctx context.Context) error {
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

// readContext reads the context and its Dockerfile.
func (w *update) readContext(ctx context.Context) (err error) {
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
	return w.checkPlan()
}

// checkPlan returns an error if the Dockerfile was edited since the chain was planned so that it is
// built on other images: the order of the chain depends on them.
func (w *update) checkPlan() error {
	planned := slices.Clone(w.image.Bases)
	for _, need := range w.image.Needs {
		planned = append(planned, w.image.parents[need])
	}
	slices.Sort(planned)
	read := w.file.references()
	slices.Sort(read)
	if !slices.Equal(planned, read) || w.file.base != w.image.base {
		return hint.Errorf("run it again", "%s was changed during the run, and is built on other images now", w.image.Build.Dockerfile)
	}
	return nil
}

// logsSent returns the error for a context that contains one of the suite's logs.
func (w *update) logsSent(path string) error {
	dir := w.image.Build.Context
	remedy := fmt.Sprintf("name %s in %s", filepath.Base(w.Logs), filepath.Join(dir, buildcontext.IgnoreFile))
	return hint.Errorf(remedy, "its context %s has the suite's logs in it (%s), which each run changes: the image would never be current", dir, path)
}

// recordInputs sets the record of the image as it would be built now.
func (w *update) recordInputs(ctx context.Context) error {
	parents, err := w.parents(ctx)
	if err != nil {
		return err
	}
	tag, err := runTag(w.name, w.RunID)
	if err != nil {
		return err
	}
	made := inputsOf(w.image.Build, w.content)
	w.now = record{
		image: w.name, run: w.RunID, suite: w.Suite, tag: tag,
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

// pullBases pulls the images that come from elsewhere. If that fails and the engine has the image, a
// note says so, and the build goes on with that.
func (w *update) pullBases(ctx context.Context) error {
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

// reportCurrent sets the result of a current image.
func (w *update) reportCurrent(ctx context.Context) {
	w.result.ImageID = w.before.ID
	w.result.Build = report.Build{Current: true, Built: w.was.built, Size: w.before.Size}
	w.listPackages(ctx)
}

// note adds a sentence for the reader of the report.
func (w *update) note(format string, args ...any) {
	w.result.Notes = append(w.result.Notes, fmt.Sprintf(format, args...))
}

// lateLog is a log that is opened when the first line is written to it.
type lateLog struct{ open func() (io.Writer, error) }

func (l lateLog) Write(p []byte) (int, error) {
	file, err := l.open()
	if err != nil {
		return 0, err
	}
	return file.Write(p)
}
