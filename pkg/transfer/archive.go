package transfer

import (
	"archive/tar"
	"bytes"
	"cmp"
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

// image is an image as the target gets it.
type image struct {
	tag    string
	layers []digest.Digest // from the lowest
	config []byte
}

// dockerManifest describes an image in manifest.json, which Docker reads instead of OCI's index.
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// blobPath returns where an archive keeps the blob with that digest.
func blobPath(d digest.Digest) string {
	return "blobs/sha256/" + strings.TrimPrefix(string(d), "sha256:")
}

// maxDescription bounds the description of a layer or an image in an archive, in bytes; real
// ones have a few thousand.
const maxDescription = 1 << 20

// pack writes the archive of the image without its skip lowest layers, for an engine that has
// them. open returns the source's archive of the image, as `docker save` writes it.
//
// The archive is both one of Docker's and an OCI image layout: Docker fills in the layers that
// it has when it reads the first, Podman when it reads the second.
func (i image) pack(w io.Writer, open func() (io.ReadCloser, error), skip int, m *meter) error {
	p := &packer{
		image: i, archive: tar.NewWriter(w), meter: m,
		sizes: map[digest.Digest]int64{}, layerOf: map[string]digest.Digest{}, files: map[digest.Digest]string{},
	}
	for _, layer := range i.layers[skip:] {
		if !slices.Contains(p.missing, layer) { // an image may have the same layer twice, for instance an empty one
			p.missing = append(p.missing, layer)
		}
	}
	if err := p.copyFrom(open); err != nil {
		return fmt.Errorf("read the archive of the image: %w", err)
	}
	return p.finish()
}

// packer writes an archive.
type packer struct {
	image
	archive *tar.Writer
	meter   *meter

	missing   []digest.Digest          // the layers still to be sent
	sizes     map[digest.Digest]int64  // of the layers in the source's archive
	layerOf   map[string]digest.Digest // the layer that a directory or a compressed file of it holds
	files     map[digest.Digest]string // where the compressed layers are
	manifests []dockerManifest         // its manifest.json
}

// copyFrom copies the missing layers. Where they are compressed (by a Docker with containerd's
// image store) it reads the archive a second time, because the manifest that names them comes
// last.
func (p *packer) copyFrom(open func() (io.ReadCloser, error)) error {
	if len(p.missing) == 0 {
		return nil
	}
	if err := p.copyOnce(open); err != nil {
		return err
	}
	if len(p.missing) > 0 && len(p.manifests) == 1 && len(p.manifests[0].Layers) == len(p.layers) {
		for i, file := range p.manifests[0].Layers {
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

// copyOnce copies those of the missing layers that it recognizes.
func (p *packer) copyOnce(open func() (io.ReadCloser, error)) error {
	saved, err := open()
	if err != nil {
		return err
	}
	defer saved.Close()
	for archive := tar.NewReader(saved); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && header.Typeflag == tar.TypeReg { // Docker before 25 writes a second equal layer as a link
			err = p.entry(header, archive)
		}
		if err != nil {
			return err
		}
	}
}

// entry reads one file of the archive.
func (p *packer) entry(header *tar.Header, content io.Reader) error {
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
		return json.Unmarshal(description, &p.manifests)
	}
	return nil
}

// readDescription reads the description of a layer or an image.
func readDescription(size int64, content io.Reader) ([]byte, error) {
	if size > maxDescription {
		return nil, fmt.Errorf("its description has %d bytes", size)
	}
	return io.ReadAll(content)
}

// blob copies a file that is named by its digest, if it is a missing layer. The name of an
// uncompressed layer is the layer's own digest.
func (p *packer) blob(hex string, size int64, content io.Reader) error {
	own := digest.Digest("sha256:" + hex)
	file := blobPath(own)
	layer, compressed := p.layerOf[file]
	switch {
	case !compressed:
		return p.layer(own, size, content)
	case !p.take(layer, size):
		return nil
	}
	p.files[layer] = file
	return p.write(file, size, content)
}

// layer copies an uncompressed layer if it is missing.
func (p *packer) layer(layer digest.Digest, size int64, content io.Reader) error {
	p.sizes[layer] = size
	if !p.take(layer, size) {
		return nil
	}
	return p.write(blobPath(layer), size, content)
}

// take reports whether the layer is missing, and strikes it off the list.
func (p *packer) take(layer digest.Digest, size int64) bool {
	at := slices.Index(p.missing, layer)
	if at < 0 {
		return false
	}
	p.missing = slices.Delete(p.missing, at, at+1)
	p.meter.begin(size, len(p.missing) == 0)
	return true
}

func (p *packer) write(name string, size int64, content io.Reader) error {
	if err := p.archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	_, err := io.Copy(p.archive, content)
	return err
}

// identify returns the layer in a directory of an archive of Docker before 25, or "" if it is
// none of the image. The directory's name is the SHA-256 of its description together with the
// chain ID of the layer, so the description and each chain ID are tried (moby's image/v1.CreateID).
//
// The manifest, which comes last, names the layers too, and copyFrom could read the archive a
// second time for it. But then Docker 20.10 would save the image twice, which takes 11 s per GiB.
func (p *packer) identify(dir string, description []byte) digest.Digest {
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

// finish writes the configuration and the manifests.
func (p *packer) finish() error {
	config := blobPath(digest.FromBytes(p.config))
	if err := p.writeBytes(config, p.config); err != nil {
		return err
	}
	if len(p.files) == 0 { // an index would have to name the compression; Docker detects it
		if err := p.writeIndex(); err != nil {
			return err
		}
	}
	manifest := dockerManifest{Config: config, RepoTags: []string{p.tag}}
	for _, layer := range p.layers {
		manifest.Layers = append(manifest.Layers, cmp.Or(p.files[layer], blobPath(layer)))
	}
	if err := p.writeJSON("manifest.json", []dockerManifest{manifest}); err != nil {
		return err
	}
	return p.archive.Close()
}

// writeIndex writes what makes the archive an OCI image layout.
func (p *packer) writeIndex() error {
	m := oci.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest,
		Config: oci.Descriptor{MediaType: oci.MediaTypeImageConfig, Digest: digest.FromBytes(p.config), Size: int64(len(p.config))},
	}
	for _, layer := range p.layers {
		m.Layers = append(m.Layers, oci.Descriptor{MediaType: oci.MediaTypeImageLayer, Digest: layer, Size: p.sizes[layer]})
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		return err
	}
	named, err := reference.ParseNormalizedNamed(p.tag)
	if err != nil {
		return err
	}
	own := oci.Descriptor{
		MediaType: oci.MediaTypeImageManifest, Digest: digest.FromBytes(manifest), Size: int64(len(manifest)),
		Annotations: map[string]string{"io.containerd.image.name": named.String()}, // where Podman and containerd look for the name
	}
	return errors.Join(
		p.writeBytes(blobPath(own.Digest), manifest),
		p.writeJSON(oci.ImageLayoutFile, oci.ImageLayout{Version: oci.ImageLayoutVersion}),
		p.writeJSON(oci.ImageIndexFile, oci.Index{Versioned: m.Versioned, Manifests: []oci.Descriptor{own}}),
	)
}

func (p *packer) writeJSON(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return p.writeBytes(name, text)
}

func (p *packer) writeBytes(name string, content []byte) error {
	return p.write(name, int64(len(content)), bytes.NewReader(content))
}
