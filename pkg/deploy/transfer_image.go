package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"runtests/pkg/engine"
)

// imageConfig is the description of an image, by which engines know it. What it gives to its
// containers are Docker's words, of which OCI's specification has but some.
type imageConfig struct {
	oci.Image
	Config map[string]json.RawMessage `json:"config"`
}

// configure describes the image made of a container: with its layers, and with what the image
// that the container was made from gives to its containers, as a container's own environment
// and labels are those of a test. The labels of a run on it would let the next run sweep away
// what is in production.
func configure(made, base engine.ImageSpec, cargo Cargo) ([]byte, error) {
	defaults, err := changed(base.Defaults, cargo)
	if err != nil {
		return nil, fmt.Errorf("read what the image %s gives to its containers: %w", base.ID, err)
	}
	created, before := made.Created.UTC(), base.Created.UTC()
	config := imageConfig{Config: defaults, Image: oci.Image{
		Created: &created, Platform: oci.Platform{Architecture: made.Arch, Variant: made.Variant, OS: made.OS},
		RootFS: oci.RootFS{Type: "layers", DiffIDs: made.Layers},
	}}
	for i := range made.Layers { // one each, or engines get confused
		h := oci.History{Created: &before, CreatedBy: "the image " + base.ID}
		if i >= len(base.Layers) {
			h = oci.History{Created: &created, CreatedBy: "the container " + cargo.Container}
		}
		config.History = append(config.History, h)
	}
	return json.Marshal(config)
}

// changed are the defaults with the cargo's labels and command.
func changed(defaults json.RawMessage, cargo Cargo) (map[string]json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	labels := map[string]string{}
	if len(defaults) > 0 {
		if err := json.Unmarshal(defaults, &all); err != nil {
			return nil, err
		}
	}
	if all == nil {
		all = map[string]json.RawMessage{} // the engine said null
	}
	if own := all["Labels"]; len(own) > 0 {
		if err := json.Unmarshal(own, &labels); err != nil {
			return nil, err
		}
	}
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, cargo.Labels)
	delete(all, "Image") // the ID of an image that the other engine need not have
	set := map[string]any{"Labels": labels}
	if cargo.Command != nil {
		set["Cmd"] = cargo.Command
	}
	for name, value := range set {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		all[name] = text
	}
	return all, nil
}

// dockerManifest is what Docker reads instead of the index: manifest.json has one for each
// image.
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// blob is where the part with that digest is in an archive.
func blob(d digest.Digest) string { return "blobs/sha256/" + strings.TrimPrefix(string(d), "sha256:") }
