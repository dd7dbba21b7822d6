package engine

import (
	"context"
	"errors"
	"fmt"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// Committed is the result of Commit.
type Committed struct {
	ID   string
	Base string // the ID of the image that the container was made from
}

// Commit makes an image of a container and tags it as REPO:TAG (ErrNoContainer, ErrNoSpace). The
// image also gets the container's environment and labels. Commit may take as long as the engine
// is alive.
func (e *Engine) Commit(ctx context.Context, id, tag string) (Committed, error) {
	made, err := e.commit(ctx, id, tag)
	if err != nil {
		return Committed{}, fmt.Errorf("make an image of the container %q: %w", id, err)
	}
	return made, nil
}

func (e *Engine) commit(ctx context.Context, id, tag string) (made Committed, err error) {
	repository, tag, err := splitTag(tag)
	if err != nil {
		return made, err
	}
	c, err := e.inspect(ctx, id)
	if err != nil {
		return made, err
	}
	made.Base = imageID(c.Image)
	err = e.whileAlive(ctx, "it made an image of a container", noSigns, func(ctx context.Context) error {
		image, err := e.client(ctx).CommitContainer(docker.CommitContainerOptions{Container: c.ID, Repository: repository, Tag: tag, Context: ctx})
		if err != nil {
			return explain(ctx, err)
		}
		made.ID = imageID(image.ID)
		return nil
	})
	if err != nil && !errors.Is(err, container.ErrGone) && container.SaysNoSpace(err.Error()) {
		err = hint.Wrap(fmt.Errorf("%w: %w", container.ErrNoSpace, err), container.NoSpaceHint)
	}
	return made, err
}
