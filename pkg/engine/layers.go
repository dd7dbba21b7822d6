package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
)

// ImageSpec is what an image is made of, and what it gives to its containers.
type ImageSpec struct {
	ID       string
	Created  time.Time
	OS       string          // linux
	Arch     string          // arm
	Variant  string          // v7; most have none
	Size     int64           // bytes
	Layers   []string        // digests, from the lowest
	Defaults json.RawMessage // Env, Cmd, Labels, …: an object in Docker's words
}

// ImageSpec looks at an image by reference or ID (ErrNoImage).
func (e *Engine) ImageSpec(ctx context.Context, ref string) (ImageSpec, error) {
	spec, err := e.imageSpec(ctx, ref)
	if err != nil {
		return ImageSpec{}, fmt.Errorf("look at the image %q: %w", ref, err)
	}
	return spec, nil
}

// imageSpec asks for itself: the library knows but some of what an image can say.
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
		RootFS                    struct{ Layers []string }
	}
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		return spec, explain(ctx, err)
	}
	return ImageSpec{
		ID: imageID(found.ID), Created: found.Created, OS: found.Os, Arch: found.Architecture, Variant: found.Variant,
		Size: found.Size, Layers: found.RootFS.Layers, Defaults: found.Config,
	}, nil
}

// LayerStore knows which layers an engine has, one upon the other.
type LayerStore struct{ chains map[string]bool }

// Has says how many of these layers (digests, from the lowest on) the engine has.
func (s LayerStore) Has(layers []string) int {
	have := 0
	for _, chain := range Chains(layers) {
		if s.chains[chain] {
			have++
		}
	}
	return have
}

// Layers looks at the layers of all images that the engine has, but the steps of the classic
// builder.
func (e *Engine) Layers(ctx context.Context) (LayerStore, error) {
	store := LayerStore{chains: map[string]bool{}}
	ctx, cancel := e.slow(ctx)
	defer cancel()
	client := e.client(ctx)
	// One connection for all: each through ssh takes as long as a hundred questions.
	client.WithTransport(func() *http.Transport { return &http.Transport{DisableCompression: true} })
	listed, err := client.ListImages(docker.ListImagesOptions{Context: ctx})
	if err != nil {
		return store, fmt.Errorf("list the images: %w", explain(ctx, err))
	}
	for _, i := range listed {
		image, err := client.InspectImage(i.ID)
		switch {
		case errors.Is(err, docker.ErrNoSuchImage): // somebody has just removed it
		case err != nil:
			return store, fmt.Errorf("look at the image %q: %w", i.ID, explain(ctx, err))
		case image.RootFS != nil:
			for _, chain := range Chains(image.RootFS.Layers) {
				store.chains[chain] = true
			}
		}
	}
	return store, nil
}

// Chains are the names of each of these layers together with all below it: the chain IDs of
// the OCI image specification. Engines keep layers by them.
func Chains(layers []string) []string {
	chains := make([]string, len(layers))
	for i, layer := range layers {
		if chains[i] = layer; i > 0 {
			sum := sha256.Sum256([]byte(chains[i-1] + " " + layer))
			chains[i] = "sha256:" + hex.EncodeToString(sum[:])
		}
	}
	return chains
}
