// Package transfer sends a container to another engine as an image, without the layers that
// the other engine has already. Nothing is written to a disk on the way, except by the two
// engines. A transfer that fails leaves nothing behind on either of them; what a killed one
// leaves on its own engine, the next one removes.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"runtests/pkg/container"
	"runtests/pkg/engine"
)

// Options say what is sent.
type Options struct {
	Container string // its name or ID, on the source
	Tag       string // the image's name on the target: REPO:TAG
	// Labels are added to those of the image that the container was made from. The
	// container's own labels and environment belong to its test and are not sent.
	Labels map[string]string
	// Sender tells apart those who send images of one repository from one engine, so that each
	// removes only what its own transfers left there: letters and digits, or empty.
	Sender   string
	Command  []string         // of the image; nil: that of the image which the container was made from
	Progress func(Progress)   // called a few times a second, from one goroutine; may be nil
	Now      func() time.Time // default: time.Now
}

// Sent describes what a transfer did.
type Sent struct {
	ID      string // of the image on the target
	Bytes   int64  // sent to the target
	Layers  int    // of the image
	Skipped int    // how many of them were not sent, because the target had them
	Refused error  // why the target refused the image without those layers, after which all were sent; nil: it did not
	Took    time.Duration
}

// Source is the engine on which the container is.
type Source interface {
	Commit(ctx context.Context, id, tag string) (engine.Committed, error)
	ImageSpec(ctx context.Context, ref string) (engine.ImageSpec, error)
	Images(ctx context.Context, labels map[string]string) ([]engine.ImageSummary, error)
	Save(ctx context.Context, image string) (io.ReadCloser, error)
	RemoveTag(ctx context.Context, ref string) error
}

// Target is the engine that gets the image.
type Target interface {
	Image(ctx context.Context, ref string) (container.Image, error)
	Layers(ctx context.Context) (engine.LayerStore, error)
	Load(ctx context.Context, archive io.Reader) error
	RemoveTag(ctx context.Context, ref string) error
}

// cleanUpBound is how long each engine may take to remove what a transfer made on it.
const cleanUpBound = 30 * time.Second

// Send makes an image of a container on one engine and loads it into another, which may be the
// same. An image that has the name there is replaced when the new one is complete. When Send
// fails, the new image is not there; when this program or the connection dies in the middle,
// either nothing of it is there, or all.
//
// The image that Send makes on the source is removed, and so are those that killed transfers
// of the same repository and sender left there.
func Send(ctx context.Context, from Source, to Target, o Options) (sent Sent, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	start := o.Now()
	if err := removeParts(ctx, from, o); err != nil {
		return sent, err
	}
	// Also when Commit fails: the engine may have made the image and not answered.
	defer func() { err = errors.Join(err, removePart(ctx, from, o)) }()
	t, err := prepare(ctx, from, to, o)
	if err != nil {
		return sent, err
	}
	replaced, err := findImage(ctx, to, o.Tag)
	if err != nil {
		return sent, err
	}
	sent, err = t.send(ctx)
	if err == nil {
		sent.ID, err = t.verify(ctx)
	}
	if err != nil {
		return sent, errors.Join(err, withdraw(ctx, to, o.Tag, replaced))
	}
	sent.Took = o.Now().Sub(start)
	return sent, nil
}

// transfer is one transfer under way.
type transfer struct {
	Options
	from Source
	to   Target
	image
	sourceID  string // of the image on the source
	present   int    // how many of its layers the target has, from the lowest
	size, own int64  // bytes of the image, and of what it does not share with its base
	shared    int    // how many layers it shares with its base
}

// prepare makes the image, and finds out which of its layers have to be sent.
func prepare(ctx context.Context, from Source, to Target, o Options) (*transfer, error) {
	made, err := from.Commit(ctx, o.Container, o.Tag+o.partSuffix())
	if err != nil {
		return nil, err
	}
	spec, err := from.ImageSpec(ctx, made.ID)
	if err != nil {
		return nil, err
	}
	base, err := from.ImageSpec(ctx, made.Base)
	if err != nil {
		return nil, err
	}
	config, err := configure(spec, base, o)
	if err != nil {
		return nil, err
	}
	store, err := to.Layers(ctx)
	if err != nil {
		return nil, fmt.Errorf("look up the layers on the other engine: %w", err)
	}
	return &transfer{
		Options: o, from: from, to: to, sourceID: made.ID, present: store.Has(spec.Layers),
		size: spec.Size, own: spec.Size - base.Size, shared: len(base.Layers),
		image: image{tag: o.Tag, layers: spec.Layers, config: config},
	}, nil
}

// send sends the image without the layers that the target has, and with all of them if the
// target refuses that.
func (t *transfer) send(ctx context.Context) (Sent, error) {
	sent, err := t.sendWithout(ctx, t.present)
	if t.present == 0 || !errors.Is(err, container.ErrRefused) {
		return sent, err
	}
	refused, first := err, sent.Bytes
	sent, err = t.sendWithout(ctx, 0)
	sent.Bytes += first
	sent.Refused = refused
	return sent, err
}

// sendWithout sends the image without its skip lowest layers.
func (t *transfer) sendWithout(ctx context.Context, skip int) (Sent, error) {
	total := t.size
	if skip >= t.shared {
		total = t.own
	}
	m := newMeter(t.Progress, t.Now, total)
	m.report(t.Now()) // the source may take long to save the image
	saving, stop := context.WithCancel(ctx)
	defer stop()
	reader, writer := io.Pipe()
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		open := func() (io.ReadCloser, error) { return t.from.Save(saving, t.sourceID) }
		writer.CloseWithError(t.pack(&countedWriter{writer, m}, open, skip, m))
	}()
	err := t.to.Load(ctx, reader) // it returns the error of pack too
	reader.CloseWithError(errNotRead)
	stop()
	<-packed
	if err != nil {
		err = fmt.Errorf("send the image: %w", err)
	} else {
		m.end()
	}
	return Sent{Bytes: m.sent, Layers: len(t.layers), Skipped: skip}, err
}

// errNotRead ends pack when the target stops reading the archive.
var errNotRead = errors.New("the other engine stopped reading the image")

// verify checks that the target has the image as it was sent, and returns its ID there.
func (t *transfer) verify(ctx context.Context) (string, error) {
	found, err := t.to.Image(ctx, t.tag)
	if err != nil {
		return "", fmt.Errorf("verify the image that was sent: %w", err)
	}
	if !slices.EqualFunc(found.Layers, t.layers, func(a string, b digest.Digest) bool { return a == string(b) }) {
		return "", fmt.Errorf("verify the image that was sent: %w: %s has other layers there", container.ErrDisagree, t.tag)
	}
	return found.ID, nil
}

// findImage returns the ID of the image with that name, or "" if there is none.
func findImage(ctx context.Context, e Target, tag string) (string, error) {
	found, err := e.Image(ctx, tag)
	if errors.Is(err, container.ErrNoImage) {
		return "", nil
	}
	return found.ID, err
}

// withdraw removes the name from an image that a failed transfer loaded; replaced is the ID of
// the image that had the name before. If the engine is gone, there is nothing to be done.
func withdraw(ctx context.Context, e Target, tag, replaced string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpBound)
	defer cancel()
	id, err := findImage(ctx, e, tag)
	if err == nil && id != "" && id != replaced {
		err = e.RemoveTag(ctx, tag)
	}
	if errors.Is(err, container.ErrGone) {
		return nil
	}
	return err
}

// partSuffix ends the name of the image that a transfer makes on the source.
const partSuffix = ".part"

func (o Options) partSuffix() string {
	if o.Sender == "" {
		return partSuffix
	}
	return "." + o.Sender + partSuffix
}

func removePart(ctx context.Context, e Source, o Options) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpBound)
	defer cancel()
	return e.RemoveTag(ctx, o.Tag+o.partSuffix())
}

// removeParts removes what killed transfers of the same repository and sender left.
func removeParts(ctx context.Context, e Source, o Options) error {
	images, err := e.Images(ctx, nil)
	if err != nil {
		return err
	}
	repository, _, _ := strings.Cut(o.Tag, ":")
	parts := map[string]bool{}
	for _, i := range images {
		for _, tag := range i.Tags {
			tag = engine.FamiliarTag(tag)
			if strings.HasPrefix(tag, repository+":") && strings.HasSuffix(tag, o.partSuffix()) {
				parts[tag] = true
			}
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(parts)) {
		if err := e.RemoveTag(ctx, tag); err != nil {
			return err
		}
	}
	return nil
}
