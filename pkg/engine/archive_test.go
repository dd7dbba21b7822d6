package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"runtests/pkg/container"
	"runtests/pkg/engine/enginetest"
)

// TestCommitSaveLoad commits, inspects and saves an image, and loads it again after its removal.
func TestCommitSaveLoad(t *testing.T) {
	e := connect(t)
	ctx := t.Context()
	tag := "runtests-" + strings.ToLower(rand.Text()) + ":committed"
	t.Cleanup(func() {
		if err := e.RemoveTag(context.WithoutCancel(ctx), tag); err != nil {
			t.Error(err)
		}
	})
	exit, err := e.Run(ctx, shell("echo "+rand.Text()+" >/made"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	made, err := e.Commit(ctx, exit.ID, tag)
	if err := errors.Join(err, e.Remove(ctx, exit.ID)); err != nil {
		t.Fatal(err)
	}
	base, err := e.ImageSpec(ctx, made.Base)
	if err != nil || made.Base != exit.ImageID || base.ID != made.Base {
		t.Errorf("made of %s: %+v, %v", exit.ImageID, base, err)
	}
	spec, err := e.ImageSpec(ctx, tag)
	if err != nil || spec.ID != made.ID || len(spec.Layers) != len(base.Layers)+1 || spec.OS != "linux" || spec.Arch != e.Info().Arch || spec.Created.IsZero() || spec.Size < base.Size {
		t.Errorf("made: %+v, %v", spec, err)
	}
	var defaults struct{ Labels map[string]string }
	if err := json.Unmarshal(spec.Defaults, &defaults); err != nil || defaults.Labels[label] == "" {
		t.Errorf("defaults: %s, %v", spec.Defaults, err)
	}
	store, err := e.Layers(ctx)
	if err != nil || store.Has(spec.Layers) != len(spec.Layers) || store.Has(slices.Concat(base.Layers, []digest.Digest{"sha256:none"}, spec.Layers)) != len(base.Layers) {
		t.Errorf("layers: %d, %v", store.Has(spec.Layers), err)
	}
	archive := save(t, e, made.ID)
	if err := e.RemoveTag(ctx, tag); err != nil {
		t.Fatal(err)
	}
	if store, err := e.Layers(ctx); err != nil || store.Has(spec.Layers) != len(base.Layers) {
		t.Errorf("layers without it: %d, %v", store.Has(spec.Layers), err)
	}
	if err := e.Load(ctx, bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	if again, err := e.ImageSpec(ctx, made.ID); err != nil || !slices.Equal(again.Layers, spec.Layers) {
		t.Errorf("loaded: %+v, %v", again, err)
	}
	if err := e.Tag(ctx, made.ID, tag); err != nil { // it was saved by its ID, without a name
		t.Fatal(err)
	}
}

func save(t *testing.T, e *Engine, image string) []byte {
	t.Helper()
	archive, err := e.Save(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	data, err := io.ReadAll(archive)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestImagesThatAreNotThere(t *testing.T) {
	e := connect(t)
	for name, call := range map[string]func() error{
		"save": func() error { _, err := e.Save(t.Context(), "no-such-image-here"); return err },
		"look": func() error { _, err := e.ImageSpec(t.Context(), "no-such-image-here"); return err },
	} {
		if err := call(); !errors.Is(err, container.ErrNoImage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := e.Commit(t.Context(), "no-such-container-here", "x:y"); !errors.Is(err, container.ErrNoContainer) {
		t.Errorf("commit: %v", err)
	}
}

// TestLoadOfWhatIsNoImage loads archives that are not an image's, and one whose reader fails.
func TestLoadOfWhatIsNoImage(t *testing.T) {
	e := connect(t)
	var empty bytes.Buffer
	if err := tar.NewWriter(&empty).Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Load(t.Context(), &empty); !errors.Is(err, container.ErrRefused) {
		t.Errorf("an empty archive: %v", err)
	}
	if err := e.Load(t.Context(), &fullReader{after: 64 << 10}); !errors.Is(err, errFull) {
		t.Errorf("an archive that cannot be read: %v", err)
	}
}

// fullReader fails after a number of bytes.
type fullReader struct{ after int }

func (r *fullReader) Read(p []byte) (int, error) {
	if r.after <= 0 {
		return 0, errFull
	}
	n := min(len(p), r.after)
	clear(p[:n])
	r.after -= n
	return n, nil
}

func TestFrozenEngineAndArchives(t *testing.T) {
	real := connect(t)
	faulty, e := newFaultyEngine(t, real, time.Second)
	e.options.LifeTimeout = 2 * time.Second
	exit, err := real.Run(t.Context(), command("true"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := real.Remove(context.Background(), exit.ID); err != nil {
			t.Error(err)
		}
	})
	ctx := t.Context()
	faulty.Fail("", enginetest.Stall)
	for name, call := range map[string]func() error{
		"commit": func() error { _, err := e.Commit(ctx, exit.ID, "runtests-frozen:x"); return err },
		"save":   func() error { _, err := e.Save(ctx, testImage()); return err },
		"load":   func() error { return e.Load(ctx, &fullReader{after: 1 << 40}) },
		"spec":   func() error { _, err := e.ImageSpec(ctx, testImage()); return err },
		"layers": func() error { _, err := e.Layers(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			if err := call(); !errors.Is(err, container.ErrGone) || time.Since(start) > 15*time.Second {
				t.Errorf("after %s: %v", time.Since(start), err)
			}
		})
	}
}

// TestLoadIsGivenUp checks that an archive whose Read hangs does not delay the end of Load.
func TestLoadIsGivenUp(t *testing.T) {
	e := connect(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	silent, writer := io.Pipe()
	defer writer.Close()
	go func() {
		_, _ = writer.Write(make([]byte, 1<<10))
		cancel(stop)
	}()
	if err := e.Load(ctx, silent); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	silent.Close()
}

// TestLayerStore checks that a layer counts only if all below it are there. The chain ID of the
// second layer is the SHA-256 of both digests with a space between them.
func TestLayerStore(t *testing.T) {
	const empty = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
	store := LayerStore{chains: map[digest.Digest]bool{}}
	store.add([]string{empty, empty})
	if !store.chains["sha256:170b376f64fb30995c140276be3d71dfb256b308d86183ca3b22aa93a79ad548"] || len(store.chains) != 2 {
		t.Errorf("got %v", store.chains)
	}
	layers := []digest.Digest{empty, empty, empty}
	if got := store.Has(layers); got != 2 || layers[1] != empty {
		t.Errorf("it has %d of %v", got, layers)
	}
	if got := (LayerStore{}).Has(layers); got != 0 {
		t.Errorf("an engine without images has %d layers", got)
	}
}
