package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	docker "github.com/fsouza/go-dockerclient"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
)

// ImageSpec is an image's layers and configuration.
type ImageSpec struct {
	ID       string
	Created  time.Time
	OS       string          // linux
	Arch     string          // arm
	Variant  string          // v7; most have none
	Size     int64           // bytes
	Layers   []digest.Digest // from the lowest
	Defaults json.RawMessage // Docker's Config of its containers: an object with Env, Cmd, Labels, …
}

// ImageSpec returns the image with that reference or ID (container.ErrNoImage).
func (e *Engine) ImageSpec(ctx context.Context, ref string) (spec ImageSpec, err error) {
	var found inspected
	if err = checkReference(ref); err == nil {
		found, err = e.inspectImage(ctx, ref)
	}
	if err != nil {
		return spec, fmt.Errorf("inspect the image %q: %w", ref, err)
	}
	return ImageSpec{
		ID: imageID(found.ID), Created: found.Created, OS: found.Os, Arch: found.Architecture, Variant: found.Variant,
		Size: found.Size, Layers: digests(found.RootFS.Layers), Defaults: found.Config,
	}, nil
}

// LayerStore is the set of an engine's layers. Engines identify a layer by its chain ID, the
// digest of the layer together with all below it.
type LayerStore struct{ chains map[digest.Digest]bool }

// Has returns how many of these layers, counted from the lowest, the engine has.
func (s LayerStore) Has(layers []digest.Digest) int {
	have := 0
	for _, chain := range identity.ChainIDs(slices.Clone(layers)) {
		if s.chains[chain] {
			have++
		}
	}
	return have
}

// Layers returns the layers of all images of the engine, except the intermediate images of the
// classic builder.
func (e *Engine) Layers(ctx context.Context) (LayerStore, error) {
	store := LayerStore{chains: map[digest.Digest]bool{}}
	ctx, cancel := e.slow(ctx)
	defer cancel()
	transport := e.transport(ctx)
	transport.DisableKeepAlives = false // to open a connection through ssh takes as long as a hundred calls
	client := e.clientOver(transport)
	listed, err := client.ListImages(docker.ListImagesOptions{Context: ctx})
	if err != nil {
		return store, fmt.Errorf("list the images: %w", explain(ctx, err))
	}
	for _, i := range listed {
		image, err := client.InspectImage(i.ID)
		switch {
		case errors.Is(err, docker.ErrNoSuchImage): // it was removed just now
		case err != nil:
			return store, fmt.Errorf("inspect the image %q: %w", i.ID, explain(ctx, err))
		case image.RootFS != nil:
			store.add(image.RootFS.Layers)
		}
	}
	return store, nil
}

// add adds the layers of an image, which start with the lowest.
func (s LayerStore) add(layers []string) {
	for _, id := range identity.ChainIDs(digests(layers)) {
		s.chains[id] = true
	}
}

func digests(layers []string) (all []digest.Digest) {
	for _, layer := range layers {
		all = append(all, digest.Digest(layer))
	}
	return all
}
