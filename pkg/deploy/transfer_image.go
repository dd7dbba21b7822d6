package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"runtests/pkg/engine"
)

// imageConfig is the description of an image, by which engines know it (the OCI image
// specification, "Image Configuration"; Docker has the same).
type imageConfig struct {
	Architecture string                     `json:"architecture"`
	Variant      string                     `json:"variant,omitempty"`
	OS           string                     `json:"os"`
	Created      time.Time                  `json:"created"`
	Config       map[string]json.RawMessage `json:"config"`
	RootFS       rootFS                     `json:"rootfs"`
	History      []layerHistory             `json:"history"` // one for each layer, or engines get confused
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type layerHistory struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
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
	config := imageConfig{
		Architecture: made.Arch, Variant: made.Variant, OS: made.OS, Created: made.Created.UTC(),
		Config: defaults, RootFS: rootFS{Type: "layers", DiffIDs: made.Layers},
	}
	for i := range made.Layers {
		h := layerHistory{base.Created.UTC(), "the image " + base.ID}
		if i >= len(base.Layers) {
			h = layerHistory{config.Created, "the container " + cargo.Container}
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

// The names of the parts of an archive (the OCI image layout specification).
const (
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar"
)

// descriptor points to a part of an archive.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// manifest names the parts of an image.
type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

// index names the images of an archive.
type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	Manifests     []descriptor `json:"manifests"`
}

// dockerManifest is what Docker reads instead of the index: manifest.json has one for each
// image.
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// blob is where the part with that digest is in an archive.
func blob(digest string) string { return "blobs/sha256/" + strings.TrimPrefix(digest, "sha256:") }

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
