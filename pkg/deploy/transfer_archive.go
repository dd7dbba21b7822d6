package deploy

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
)

// parcel is an image as it is sent.
type parcel struct {
	tag    string
	layers []digest.Digest // from the lowest
	config []byte
}

// maxDescription bounds what an archive says about a layer or an image, in bytes; real ones
// have a few thousand.
const maxDescription = 1 << 20

// pack writes the archive of the parcel, from that of the image it was made of (as `docker
// save` gives it) but without the lowest layers, for an engine that has them.
//
// The archive is at once one of Docker's and an OCI image layout: Docker takes layers that it
// has for those that the archive lacks when it reads the first, and Podman when it reads the
// second.
func (p parcel) pack(w io.Writer, open func() (io.ReadCloser, error), skip int, pace *pace) error {
	out := &packing{parcel: p, archive: tar.NewWriter(w), pace: pace, sizes: map[digest.Digest]int64{}, layerOf: map[string]digest.Digest{}, files: map[digest.Digest]string{}}
	for _, layer := range p.layers[skip:] {
		if !slices.Contains(out.missing, layer) { // an image may have one twice, an empty one for instance
			out.missing = append(out.missing, layer)
		}
	}
	if err := out.copyFrom(open); err != nil {
		return fmt.Errorf("read the archive of the image: %w", err)
	}
	return out.finish()
}

// packing is an archive that is being written.
type packing struct {
	parcel
	archive *tar.Writer
	pace    *pace

	missing []digest.Digest          // the layers that are to be sent and are not yet
	sizes   map[digest.Digest]int64  // of the layers; unknown: 0
	layerOf map[string]digest.Digest // the layer in a directory, or of a compressed file
	files   map[digest.Digest]string // where compressed layers are
	names   []dockerManifest         // what the archive says of its layers
}

// copyFrom copies the missing layers. It reads the archive a second time where layers are
// kept compressed (by a Docker with containerd's image store): what says which is which comes
// after them.
func (p *packing) copyFrom(open func() (io.ReadCloser, error)) error {
	if len(p.missing) == 0 {
		return nil
	}
	if err := p.copyOnce(open); err != nil || len(p.missing) == 0 {
		return err
	}
	if len(p.names) == 1 && len(p.names[0].Layers) == len(p.layers) {
		for i, file := range p.names[0].Layers {
			p.layerOf[file] = p.layers[i]
		}
		if err := p.copyOnce(open); err != nil {
			return err
		}
	}
	if len(p.missing) > 0 {
		return fmt.Errorf("it lacks the layer %s", p.missing[0])
	}
	return nil
}

func (p *packing) copyOnce(open func() (io.ReadCloser, error)) error {
	saved, err := open()
	if err != nil {
		return err
	}
	defer saved.Close()
	return p.copyLayers(tar.NewReader(saved))
}

// copyLayers copies the missing layers.
func (p *packing) copyLayers(saved *tar.Reader) error {
	for {
		header, err := saved.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue // Docker before 25 writes a layer that is like another one as a link
		}
		if err := p.entry(header, saved); err != nil {
			return err
		}
	}
}

// entry reads one file of the archive.
func (p *packing) entry(header *tar.Header, content io.Reader) error {
	dir, base := path.Split(path.Clean(header.Name))
	dir = strings.TrimSuffix(dir, "/")
	switch {
	case dir == "blobs/sha256": // Docker from 25 on
		return p.blob(base, header.Size, content)
	case dir == "" && strings.HasSuffix(base, ".tar"): // Podman
		return p.layer(digest.Digest("sha256:"+strings.TrimSuffix(base, ".tar")), header.Size, content)
	case base == "layer.tar": // Docker before 25
		return p.layer(p.layerOf[dir], header.Size, content)
	case base == "json":
		description, err := readDescription(header.Size, content)
		p.layerOf[dir] = p.identify(dir, description)
		return err
	case header.Name == "manifest.json":
		description, err := readDescription(header.Size, content)
		if err != nil {
			return err
		}
		return json.Unmarshal(description, &p.names)
	}
	return nil
}

// readDescription reads a file that says something about an image.
func readDescription(size int64, content io.Reader) ([]byte, error) {
	if size > maxDescription {
		return nil, fmt.Errorf("its description has %d bytes", size)
	}
	return io.ReadAll(content)
}

// blob copies a file that is named by its digest, if it is a missing layer: one that is not
// compressed has that digest itself.
func (p *packing) blob(hex string, size int64, content io.Reader) error {
	own := digest.Digest("sha256:" + hex)
	file := blob(own)
	layer, compressed := p.layerOf[file]
	if !compressed {
		return p.layer(own, size, content)
	}
	if !p.take(layer, size) {
		return nil
	}
	p.files[layer] = file
	return p.write(file, size, content)
}

// layer copies a layer if it is missing.
func (p *packing) layer(layer digest.Digest, size int64, content io.Reader) error {
	p.sizes[layer] = size
	if !p.take(layer, size) {
		return nil
	}
	return p.write(blob(layer), size, content)
}

// take says whether the layer is missing, which it is no more.
func (p *packing) take(layer digest.Digest, size int64) bool {
	at := slices.Index(p.missing, layer)
	if at < 0 {
		return false
	}
	p.missing = slices.Delete(p.missing, at, at+1)
	p.pace.begin(size, len(p.missing) == 0)
	return true
}

func (p *packing) write(name string, size int64, content io.Reader) error {
	if err := p.archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	_, err := io.Copy(p.archive, content)
	return err
}

// identify finds out which layer is in a directory of an archive of Docker's before 25. They
// come in the order of their names, and what says which is which comes last; but a name is the
// SHA-256 of the description in the directory, together with the chain of layers below it.
// A second pass would find out too, but Docker 20.10 takes 11 s to save 1 GiB once more.
func (p *packing) identify(dir string, description []byte) digest.Digest {
	var fields map[string]json.RawMessage
	if json.Unmarshal(description, &fields) != nil {
		return ""
	}
	delete(fields, "id")
	if parent := fields["parent"]; len(parent) > 2 {
		fields["parent"] = json.RawMessage(`"sha256:` + string(parent[1:]))
	}
	if _, topmost := fields["config"]; !topmost {
		delete(fields, "os")
	}
	for i, chain := range identity.ChainIDs(slices.Clone(p.layers)) {
		fields["layer_id"] = json.RawMessage(`"` + string(chain) + `"`)
		text, err := json.Marshal(fields)
		if err == nil && digest.FromBytes(text) == digest.Digest("sha256:"+dir) {
			return p.layers[i]
		}
	}
	return ""
}

// finish writes what says which layers there are.
func (p *packing) finish() error {
	config := blob(digest.FromBytes(p.config))
	if err := p.write(config, int64(len(p.config)), bytes.NewReader(p.config)); err != nil {
		return err
	}
	if len(p.files) == 0 { // Docker finds out that a layer is compressed, others are to be told
		if err := p.writeIndex(); err != nil {
			return err
		}
	}
	description := dockerManifest{Config: config, RepoTags: []string{p.tag}}
	for _, layer := range p.layers {
		file, compressed := p.files[layer]
		if !compressed {
			file = blob(layer)
		}
		description.Layers = append(description.Layers, file)
	}
	if err := p.writeJSON("manifest.json", []dockerManifest{description}); err != nil {
		return err
	}
	return p.archive.Close()
}

// writeIndex writes what makes the archive an OCI image layout.
func (p *packing) writeIndex() error {
	m := oci.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest,
		Config: oci.Descriptor{MediaType: oci.MediaTypeImageConfig, Digest: digest.FromBytes(p.config), Size: int64(len(p.config))},
	}
	for _, layer := range p.layers {
		m.Layers = append(m.Layers, oci.Descriptor{MediaType: oci.MediaTypeImageLayer, Digest: layer, Size: p.sizes[layer]})
	}
	description, err := json.Marshal(m)
	if err != nil {
		return err
	}
	named, err := reference.ParseNormalizedNamed(p.tag)
	if err != nil {
		return err
	}
	own := oci.Descriptor{
		MediaType: oci.MediaTypeImageManifest, Digest: digest.FromBytes(description), Size: int64(len(description)),
		Annotations: map[string]string{"io.containerd.image.name": named.String()}, // how Podman and containerd learn the name
	}
	return errors.Join(
		p.write(blob(own.Digest), own.Size, bytes.NewReader(description)),
		p.writeJSON(oci.ImageLayoutFile, oci.ImageLayout{Version: oci.ImageLayoutVersion}),
		p.writeJSON(oci.ImageIndexFile, oci.Index{Versioned: m.Versioned, Manifests: []oci.Descriptor{own}}),
	)
}

func (p *packing) writeJSON(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return p.write(name, int64(len(text)), bytes.NewReader(text))
}
