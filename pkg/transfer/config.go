package transfer

import (
	"encoding/json"
	"fmt"
	"maps"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"runtests/pkg/engine"
)

// imageConfig is the configuration of an image. What it sets for its containers is kept as
// Docker writes it, because OCI's type lacks some of the fields.
type imageConfig struct {
	oci.Image
	Config map[string]json.RawMessage `json:"config"`
}

// configure returns the configuration of the image made of a container: its layers, with the
// settings of the base image. The container's own environment and labels are left out, because
// they are those of a test; with the labels of a run on it, the next run would take what is in
// production for a leftover.
func configure(made, base engine.ImageSpec, o Options) ([]byte, error) {
	settings, err := settingsFor(base.Defaults, o)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of the image %s: %w", base.ID, err)
	}
	created, baseCreated := made.Created.UTC(), base.Created.UTC()
	config := imageConfig{Config: settings, Image: oci.Image{
		Created: &created, Platform: oci.Platform{Architecture: made.Arch, Variant: made.Variant, OS: made.OS},
		RootFS: oci.RootFS{Type: "layers", DiffIDs: made.Layers},
	}}
	for i := range made.Layers { // engines expect an entry for each layer
		h := oci.History{Created: &baseCreated, CreatedBy: "the image " + base.ID}
		if i >= len(base.Layers) {
			h = oci.History{Created: &created, CreatedBy: "the container " + o.Container}
		}
		config.History = append(config.History, h)
	}
	return json.Marshal(config)
}

// settingsFor returns the settings of the base image with the labels and the command of o.
func settingsFor(base json.RawMessage, o Options) (map[string]json.RawMessage, error) {
	var settings map[string]json.RawMessage
	var labels map[string]string
	if len(base) > 0 {
		if err := json.Unmarshal(base, &settings); err != nil {
			return nil, err
		}
	}
	if own := settings["Labels"]; len(own) > 0 {
		if err := json.Unmarshal(own, &labels); err != nil {
			return nil, err
		}
	}
	if settings == nil { // also when the engine wrote null
		settings = map[string]json.RawMessage{}
	}
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, o.Labels)
	delete(settings, "Image") // the ID of an image that the other engine may not have
	changes := map[string]any{"Labels": labels}
	if o.Command != nil {
		changes["Cmd"] = o.Command
	}
	for name, value := range changes {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		settings[name] = text
	}
	return settings, nil
}
