package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/pkg/hint"
	"runtests/pkg/suite"
)

// build builds the image and gives it its name.
func (w *update) build(ctx context.Context, d decision) error {
	facts := &w.result.Build
	facts.Why, facts.Builder = d.why, w.Engine.Builder()
	if w.before != nil {
		facts.PreviousID, facts.PreviousSize = w.before.ID, w.before.Size
		if w.was != nil {
			facts.Built = w.was.built
		}
	}
	if _, err := fmt.Fprintf(w.log, "[runtests: %s]\n", d.why); err != nil {
		return err
	}
	if err := w.fetchBases(ctx, d.noCache); err != nil {
		return err
	}
	if d.noCache {
		w.now.fresh = w.Started
	} else if w.was != nil {
		w.now.fresh = w.was.fresh
	}
	id, err := w.runBuild(ctx, d.noCache)
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

// fetchBases gets the images that come from elsewhere onto the engine. For a build without cache it
// pulls them again.
func (w *update) fetchBases(ctx context.Context, fresh bool) error {
	if fresh && w.image.PullPolicy != suite.PullAlways && w.image.PullPolicy != suite.PullNever {
		if err := w.pullBases(ctx); err != nil {
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
	return w.recordInputs(ctx)
}

// runBuild has the engine build the image under the name that this build keeps.
func (w *update) runBuild(ctx context.Context, noCache bool) (id string, err error) {
	b := w.image.Build
	labels, err := w.now.labels(b.Labels)
	if err != nil {
		return "", err
	}
	stream := w.content.Stream(ctx)
	defer stream.Close()
	return w.Engine.Build(ctx, engine.Build{
		Context: stream, Dockerfile: w.content.DockerfileName(), Instructions: w.file.instructions,
		Tags: []string{w.now.tag}, Args: b.Args, Target: b.Target, Labels: labels, Platform: b.Platform, NoCache: noCache,
	}, w.log)
}

// finishBound is how long giving a complete image its name may take, also if the run is
// interrupted meanwhile.
const finishBound = time.Minute

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
	return container.Image{}, errors.Join(err, w.Engine.RemoveTag(ctx, w.now.tag))
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
