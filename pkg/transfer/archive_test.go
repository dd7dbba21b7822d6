package transfer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"runtests/pkg/engine"
)

// entry is a file of an archive.
type entry struct{ name, content string }

func archiveOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	for _, e := range entries {
		err := w.WriteHeader(&tar.Header{Name: e.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(e.content))})
		if _, errWrite := io.WriteString(w, e.content); errors.Join(err, errWrite) != nil {
			t.Fatal(err, errWrite)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return data.Bytes()
}

func filesOf(t testing.TB, archive []byte) map[string]string {
	t.Helper()
	files := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := files[header.Name]; twice {
			t.Errorf("%s is there twice", header.Name)
		}
		files[header.Name] = string(content)
	}
}

// opener returns a function that opens an archive and counts how often it does.
func opener(data []byte, times *int) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		*times++
		return io.NopCloser(bytes.NewReader(data)), nil
	}
}

func compressed(t testing.TB, text string) string {
	t.Helper()
	var data bytes.Buffer
	w := gzip.NewWriter(&data)
	if _, err := io.WriteString(w, text); errors.Join(err, w.Close()) != nil {
		t.Fatal(err)
	}
	return data.String()
}

// TestPack finds the layers in the archives of all engines, except Docker before 25: its
// archives come from a real one (TestSend).
func TestPack(t *testing.T) {
	const base, app = "the base", "the application"
	layer := func(content string) digest.Digest { return digest.FromString(content) }
	hex := func(content string) string { return layer(content).Encoded() }
	small := compressed(t, app)
	manifest := func(files ...string) string {
		text, err := json.Marshal([]dockerManifest{{Config: "blobs/sha256/c", Layers: files}})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	two := []digest.Digest{layer(base), layer(app)}
	docker := []entry{{"blobs/sha256/c", "{}"}, {blobPath(layer(app)), app}, {blobPath(layer(base)), base}, {"manifest.json", manifest(blobPath(layer(base)), blobPath(layer(app)))}}
	for _, tt := range []struct {
		name   string
		layers []digest.Digest
		skip   int
		saved  []entry
		want   []string // the files with layers
		opened int
		index  bool
		fault  string
	}{
		{"Docker, all", two, 0, docker, []string{blobPath(layer(app)), blobPath(layer(base))}, 1, true, ""},
		{"Docker, without the base", two, 1, docker, []string{blobPath(layer(app))}, 1, true, ""},
		{"no layer missing", two, 2, nil, nil, 0, true, ""},
		{"a layer twice", []digest.Digest{layer(base), layer(app), layer(app)}, 1, docker, []string{blobPath(layer(app))}, 1, true, ""},
		{"a layer that is there and is needed again", []digest.Digest{layer(base), layer(app), layer(base)}, 1, docker, []string{blobPath(layer(app)), blobPath(layer(base))}, 1, true, ""},
		{"Podman", two, 1, []entry{{hex(app) + ".tar", app}, {hex(base) + ".tar", base}, {"c.json", "{}"}}, []string{blobPath(layer(app))}, 1, true, ""},
		{"compressed", two, 1, []entry{
			{blobPath(layer(small)), small}, {blobPath(layer("x")), "x"}, {"manifest.json", manifest(blobPath(layer("x")), blobPath(layer(small)))},
		}, []string{blobPath(layer(small))}, 2, false, ""},
		{"incomplete", two, 0, docker[:2], nil, 1, true, "it lacks the layer " + string(layer(base))},
		{"Docker before 25, of another image", two, 1, []entry{{"d/json", "{}"}, {"d/layer.tar", "x"}, {"e/json", `{"parent":1}`}, {"f/json", "none"}}, nil, 1, true, "it lacks the layer"},
		{"with a long description", two, 0, []entry{{"d/json", strings.Repeat(" ", maxDescription+1)}}, nil, 1, true, "its description has 1048577 bytes"},
		{"with a malformed description", two, 0, []entry{{"manifest.json", "none"}}, nil, 1, true, "invalid character"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			opened := 0
			p := image{tag: "runtests-deploy/prod:one", layers: tt.layers, config: []byte(`{"of":"ours"}`)}
			err := p.pack(&out, opener(archiveOf(t, tt.saved...), &opened), tt.skip, newMeter(nil, time.Now, 0))
			if opened != tt.opened {
				t.Errorf("opened %d times", opened)
			}
			if tt.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fault) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkArchive(t, p, filesOf(t, out.Bytes()), tt.want, tt.index)
		})
	}
}

// checkArchive fails the test unless the archive has exactly these files with layers, and describes them.
func checkArchive(t *testing.T, p image, files map[string]string, want []string, indexed bool) {
	t.Helper()
	var described []dockerManifest
	if err := json.Unmarshal([]byte(files["manifest.json"]), &described); err != nil || len(described) != 1 {
		t.Fatalf("manifest.json: %s, %v", files["manifest.json"], err)
	}
	d := described[0]
	if files[d.Config] != string(p.config) || !slices.Equal(d.RepoTags, []string{p.tag}) || len(d.Layers) != len(p.layers) {
		t.Errorf("manifest.json: %+v", d)
	}
	for name, content := range files {
		if hex, ok := strings.CutPrefix(name, "blobs/sha256/"); ok && digest.FromString(content).Encoded() != hex {
			t.Errorf("%s does not match its digest", name)
		}
	}
	_, ok := files["index.json"]
	if ok != indexed {
		t.Errorf("index.json: %v", ok)
	}
	if ok {
		var i oci.Index
		var m oci.Manifest
		err := json.Unmarshal([]byte(files["index.json"]), &i)
		if err != nil || len(i.Manifests) != 1 || i.Manifests[0].Annotations["io.containerd.image.name"] != "docker.io/"+p.tag {
			t.Fatalf("index.json: %+v, %v", i, err)
		}
		file := blobPath(i.Manifests[0].Digest)
		if err := json.Unmarshal([]byte(files[file]), &m); err != nil || len(m.Layers) != len(p.layers) || m.Config.Digest != digest.FromBytes(p.config) {
			t.Errorf("%s: %+v, %v", file, m, err)
		}
		delete(files, file)
	}
	maps.DeleteFunc(files, func(name, _ string) bool {
		return name == d.Config || name == "index.json" || name == "oci-layout" || name == "manifest.json"
	})
	got, want := slices.Sorted(maps.Keys(files)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("files with layers: %v, want %v", got, want)
	}
}

// FuzzPack checks that, whatever archive the source gives, pack either fails or writes every
// file that its manifest names.
func FuzzPack(f *testing.F) {
	const app = "the application"
	layer := digest.FromString(app)
	f.Add(archiveOf(f, entry{blobPath(layer), app}, entry{"manifest.json", `[{"Config":"c","Layers":["` + blobPath(layer) + `"]}]`}))
	f.Add(archiveOf(f, entry{"d/json", `{"id":"d","parent":"x","os":"linux"}`}, entry{"d/layer.tar", app}))
	f.Add(archiveOf(f, entry{layer.Encoded() + ".tar", app}))
	f.Add([]byte("none"))
	f.Fuzz(func(t *testing.T, saved []byte) {
		var out bytes.Buffer
		opened := 0
		p := image{tag: "x:y", layers: []digest.Digest{layer}, config: []byte("{}")}
		if err := p.pack(&out, opener(saved, &opened), 0, newMeter(nil, time.Now, 0)); err != nil {
			return
		}
		files := filesOf(t, out.Bytes())
		var described []dockerManifest
		if err := json.Unmarshal([]byte(files["manifest.json"]), &described); err != nil {
			t.Fatal(err)
		}
		for _, file := range append(described[0].Layers, described[0].Config) {
			if _, ok := files[file]; !ok {
				t.Errorf("%s is missing", file)
			}
		}
		if opened > 2 {
			t.Errorf("opened %d times", opened)
		}
	})
}

func TestConfigure(t *testing.T) {
	made := engine.ImageSpec{ID: "sha256:m", OS: "linux", Arch: "arm", Variant: "v7", Layers: []digest.Digest{"sha256:1", "sha256:2"}, Created: time.Unix(7, 0)}
	for _, tt := range []struct {
		name, base string
		options    Options
		want       string // of the configuration
	}{
		{"the image's settings stay", `{"Image":"sha256:0","Env":["A=1"],"Cmd":["/run"],"Labels":{"a":"1","b":"2"},"Healthcheck":{"Test":["NONE"]}}`,
			Options{Labels: map[string]string{"b": "3"}},
			`{"Cmd":["/run"],"Env":["A=1"],"Healthcheck":{"Test":["NONE"]},"Labels":{"a":"1","b":"3"}}`},
		{"a command", `{"Cmd":["/run"],"Labels":null}`, Options{Command: []string{"/ecs/run", "--config"}}, `{"Cmd":["/ecs/run","--config"],"Labels":{}}`},
		{"an image without settings", `null`, Options{Labels: map[string]string{"b": "3"}}, `{"Labels":{"b":"3"}}`},
		{"an engine that sends none", ``, Options{}, `{"Labels":{}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := engine.ImageSpec{ID: "sha256:b", Layers: []digest.Digest{"sha256:1"}, Defaults: json.RawMessage(tt.base)}
			text, err := configure(made, base, tt.options)
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Variant string
				Config  json.RawMessage
				RootFS  oci.RootFS `json:"rootfs"`
				History []oci.History
			}
			if err := json.Unmarshal(text, &got); err != nil || string(got.Config) != tt.want {
				t.Errorf("got %s, %v", got.Config, err)
			}
			if got.Variant != "v7" || !slices.Equal(got.RootFS.DiffIDs, made.Layers) || len(got.History) != 2 {
				t.Errorf("got %s", text)
			}
		})
	}
	if _, err := configure(made, engine.ImageSpec{Defaults: json.RawMessage(`[]`)}, Options{}); err == nil {
		t.Error("a malformed configuration is accepted")
	}
}

func TestPace(t *testing.T) {
	now := time.Unix(100, 0)
	var reported []Progress
	p := newMeter(func(p Progress) { reported = append(reported, p) }, func() time.Time { return now }, 80)
	p.add(0)
	p.begin(100, true)
	now = now.Add(time.Second)
	p.add(25)
	p.add(1) // too soon to be reported
	now = now.Add(time.Second)
	p.add(24)
	p.end()
	want := []Progress{{0, 80, 0}, {25, 100, 3 * time.Second}, {50, 100, 2 * time.Second}, {50, 50, 0}}
	if !slices.Equal(reported, want) {
		t.Errorf("reported %v, want %v", reported, want)
	}
}
