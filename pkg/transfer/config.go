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

// object decodes a JSON object. It is empty if there is none, or the engine wrote null.
func object[T any](text json.RawMessage) (map[string]T, error) {
	fields := map[string]T{}
	if len(text) == 0 || string(text) == "null" {
		return fields, nil
	}
	return fields, json.Unmarshal(text, &fields)
}

// settingsFor returns the settings of the base image with the labels and the command of o.
func settingsFor(base json.RawMessage, o Options) (map[string]json.RawMessage, error) {
	settings, err := object[json.RawMessage](base)
	if err != nil {
		return nil, err
	}
	labels, err := object[string](settings["Labels"])
	if err != nil {
		return nil, err
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
