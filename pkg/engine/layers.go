package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	docker "github.com/fsouza/go-dockerclient"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"

	"runtests/pkg/container"
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
func (e *Engine) ImageSpec(ctx context.Context, ref string) (ImageSpec, error) {
	spec, err := e.imageSpec(ctx, ref)
	if err != nil {
		return ImageSpec{}, fmt.Errorf("inspect the image %q: %w", ref, err)
	}
	return spec, nil
}

// imageSpec does not use the library, whose type lacks fields of an image.
func (e *Engine) imageSpec(ctx context.Context, ref string) (spec ImageSpec, err error) {
	if err := checkReference(ref); err != nil {
		return spec, err
	}
	ctx, cancel := within(ctx, e.options.CallTimeout)
	defer cancel()
	response, err := e.send(ctx, http.MethodGet, "/images/"+ref+"/json", nil)
	if status, _, _ := refusal(err); status == http.StatusNotFound {
		return spec, container.ErrNoImage
	}
	if err != nil {
		return spec, explain(ctx, err)
	}
	defer response.Body.Close()
	var found struct {
		ID                        string `json:"Id"`
		Created                   time.Time
		Os, Architecture, Variant string
		Size                      int64
		Config                    json.RawMessage
		RootFS                    struct{ Layers []digest.Digest }
	}
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		return spec, explain(ctx, err)
	}
	return ImageSpec{
		ID: imageID(found.ID), Created: found.Created, OS: found.Os, Arch: found.Architecture, Variant: found.Variant,
		Size: found.Size, Layers: found.RootFS.Layers, Defaults: found.Config,
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
	client := e.client(ctx)
	// Use one connection for all calls: to open one through ssh takes as long as a hundred calls.
	client.WithTransport(func() *http.Transport { return &http.Transport{DisableCompression: true} })
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
	var chain []digest.Digest
	for _, layer := range layers {
		chain = append(chain, digest.Digest(layer))
	}
	for _, id := range identity.ChainIDs(chain) {
		s.chains[id] = true
	}
}
