package engine

import (
	"context"
	"encoding/json"
	"errors"
	"io"
)

// Commit is a container to make an image of.
type Commit struct {
	Container string            // its name or ID
	Tag       string            // the image's name: REPO:TAG
	Labels    map[string]string // of the image, besides the container's
}

// Committed is an image made of a container.
type Committed struct {
	ID   string
	Base string // the ID of the image that the container was made from
}

// Commit makes an image of a container that does not run (ErrNoContainer, ErrNoSpace).
func (e *Engine) Commit(ctx context.Context, c Commit) (Committed, error) {
	return Committed{}, errors.ErrUnsupported
}

// ImageConfig is what an image says of the containers made from it (Env, Cmd, Labels, …), as
// JSON in Docker's words (ErrNoImage).
func (e *Engine) ImageConfig(ctx context.Context, ref string) (json.RawMessage, error) {
	return nil, errors.ErrUnsupported
}

// Save gives the archive of an image, as `docker save` does. Reading it fails with ErrGone
// when the engine gives no sign of life; it is to be closed.
func (e *Engine) Save(ctx context.Context, image string) (io.ReadCloser, error) {
	return nil, errors.ErrUnsupported
}

// Load gives the engine the archive of an image, as `docker load` does (ErrNoSpace, ErrGone,
// ErrRefused: the engine does not take what is in it).
func (e *Engine) Load(ctx context.Context, archive io.Reader) error {
	return errors.ErrUnsupported
}

// LayerStore knows the layers of an engine's images.
type LayerStore struct{ chains map[string]bool }

// Layers looks at the layers of all images that the engine has.
func (e *Engine) Layers(ctx context.Context) (LayerStore, error) {
	return LayerStore{}, errors.ErrUnsupported
}

// Has says how many of these layers, from the lowest on, the engine has one upon the other.
func (s LayerStore) Has(layers []string) int { return 0 }
