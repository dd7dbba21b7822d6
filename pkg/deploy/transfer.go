package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"runtests/pkg/engine"
)

// Cargo is a container that becomes an image on another engine.
type Cargo struct {
	Container string // its name or ID, on the engine that it comes from
	Tag       string // the image's name on the other engine: REPO:TAG
	// Labels are added to those of the image that the container was made from. The
	// container's own labels and environment, which are those of a test, stay behind.
	Labels  map[string]string
	Command []string // what the image runs by itself; nil: as the image that the container was made from
}

// Sent says what a transfer did.
type Sent struct {
	ID      string // of the image on the other engine
	Bytes   int64  // that went to the other engine
	Layers  int    // of the image
	Skipped int    // those of them that the other engine had, and which were not sent
	Refused error  // why the other engine did not take the image without these layers; then all were sent. nil: it did
	Took    time.Duration
}

// Progress says how far a transfer is.
type Progress struct {
	Sent  int64         // bytes
	Total int64         // bytes, about; 0 while the engine that has the image still prepares it
	Left  time.Duration // at the pace until now; 0 as long as there is none
}

// Source is the engine that a container is on.
type Source interface {
	Commit(ctx context.Context, c engine.Commit) (engine.Committed, error)
	Image(ctx context.Context, ref string) (engine.Image, error)
	ImageConfig(ctx context.Context, ref string) (json.RawMessage, error)
	Images(ctx context.Context, labels map[string]string) ([]engine.ImageSummary, error)
	Save(ctx context.Context, image string) (io.ReadCloser, error)
	RemoveTag(ctx context.Context, ref string) error
}

// Target is the engine that gets the image.
type Target interface {
	Image(ctx context.Context, ref string) (engine.Image, error)
	Layers(ctx context.Context) (engine.LayerStore, error)
	Load(ctx context.Context, archive io.Reader) error
	RemoveTag(ctx context.Context, ref string) error
}

// Transfer brings containers to other engines, as images. Nothing of them is written to a
// disk here but by the engine.
type Transfer struct {
	Progress func(Progress)   // called a few times a second, from one goroutine; nil: nobody
	Now      func() time.Time // default: time.Now
}

// Send makes an image of a container on one engine and loads it into another, without the
// layers that are there already. An image of that name there is replaced when the new one is
// complete; when Send fails, there is none of it there (a hang-up of this machine aside: then
// there is none, or all of it). The image made here on the way is removed.
//
// Both engines may be the same.
func (t Transfer) Send(ctx context.Context, from Source, to Target, cargo Cargo) (Sent, error) {
	return Sent{}, errors.ErrUnsupported
}
