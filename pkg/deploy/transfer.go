package deploy

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

// Cargo is a container that becomes an image on another engine.
type Cargo struct {
	Container string // its name or ID, on the engine that it comes from
	Tag       string // the image's name on the other engine: REPO:TAG
	// Labels are added to those of the image that the container was made from. The
	// container's own labels and environment, which are those of a test, stay behind.
	Labels map[string]string
	// Sender tells apart those who send images of one repository from one engine, each of
	// whom clears up what its own transfers left: letters and digits; may be empty.
	Sender  string
	Command []string // what the image runs by itself; nil: what the image that the container was made from does
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

// Source is the engine that a container is on.
type Source interface {
	Commit(ctx context.Context, container, tag string) (engine.Committed, error)
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

// Transfer brings containers to other engines, as images. Nothing of them is written to a
// disk here but by the engine.
type Transfer struct {
	Progress func(Progress)   // called a few times a second, from one goroutine; nil: nobody
	Now      func() time.Time // default: time.Now
}

// tidyBound is how long each engine may take to remove what a transfer made on it.
const tidyBound = 30 * time.Second

// Send makes an image of a container on one engine and loads it into another, without the
// layers that are there already. An image of that name there is replaced when the new one is
// complete. When Send fails, there is none of it there; when this program or the connection
// ends in the midst of it, none, or all. The image made here on the way is removed, and so is
// one that an earlier Send under the same repository was killed with.
//
// Both engines may be the same.
func (t Transfer) Send(ctx context.Context, from Source, to Target, cargo Cargo) (sent Sent, err error) {
	if t.Now == nil {
		t.Now = time.Now
	}
	start := t.Now()
	if err := removeParts(ctx, from, cargo); err != nil {
		return sent, err
	}
	// Whatever an engine made of a call that it did not answer is removed too.
	defer func() { err = errors.Join(err, removePart(ctx, from, cargo)) }()
	c, err := t.prepare(ctx, from, to, cargo)
	if err != nil {
		return sent, err
	}
	before, err := imageThere(ctx, to, cargo.Tag)
	if err != nil {
		return sent, err
	}
	sent, err = c.bring(ctx)
	if err == nil {
		sent.ID, err = c.verify(ctx)
	}
	if err != nil {
		return sent, errors.Join(err, withdraw(ctx, to, cargo.Tag, before))
	}
	sent.Took = t.Now().Sub(start)
	return sent, nil
}

// consignment is an image on its way.
type consignment struct {
	Transfer
	from Source
	to   Target
	parcel
	image     string // its ID here
	has       int    // how many of its layers are there
	size, own int64  // bytes of the image, and of what it does not share with the one it comes from
	shared    int    // how many layers it shares with that one
}

// prepare makes the image, and finds out which of its layers have to be sent.
func (t Transfer) prepare(ctx context.Context, from Source, to Target, cargo Cargo) (*consignment, error) {
	made, err := from.Commit(ctx, cargo.Container, cargo.Tag+cargo.partSuffix())
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
	config, err := configure(spec, base, cargo)
	if err != nil {
		return nil, err
	}
	store, err := to.Layers(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the layers that are there: %w", err)
	}
	return &consignment{
		Transfer: t, from: from, to: to, image: made.ID, has: store.Has(spec.Layers),
		size: spec.Size, own: spec.Size - base.Size, shared: len(base.Layers),
		parcel: parcel{tag: cargo.Tag, layers: spec.Layers, config: config},
	}, nil
}

// bring sends the image without the layers that are there; with them where that is refused.
func (c *consignment) bring(ctx context.Context) (Sent, error) {
	sent, err := c.send(ctx, c.has)
	if c.has == 0 || !errors.Is(err, container.ErrRefused) {
		return sent, err
	}
	refused, first := err, sent.Bytes
	sent, err = c.send(ctx, 0)
	sent.Bytes += first
	sent.Refused = refused
	return sent, err
}

// send sends the image without the lowest layers.
func (c *consignment) send(ctx context.Context, skip int) (Sent, error) {
	total := c.size
	if skip >= c.shared {
		total = c.own
	}
	pace := newPace(c.Progress, c.Now, total)
	pace.report(c.Now()) // the engine here takes its time to save an image
	saving, stop := context.WithCancel(ctx)
	defer stop()
	reader, writer := io.Pipe()
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		open := func() (io.ReadCloser, error) { return c.from.Save(saving, c.image) }
		writer.CloseWithError(c.pack(&countedWriter{writer, pace}, open, skip, pace))
	}()
	err := c.to.Load(ctx, reader) // that of packing is its error too
	reader.CloseWithError(errNotTaken)
	stop()
	<-packed
	if err != nil {
		err = fmt.Errorf("send the image: %w", err)
	} else {
		pace.end()
	}
	return Sent{Bytes: pace.sent, Layers: len(c.layers), Skipped: skip}, err
}

// errNotTaken ends the packing of an archive that the other engine reads no more.
var errNotTaken = errors.New("the other engine reads no more of it")

// verify looks whether the image is there as it was sent, and returns its ID there.
func (c *consignment) verify(ctx context.Context) (string, error) {
	there, err := c.to.Image(ctx, c.tag)
	if err != nil {
		return "", fmt.Errorf("look at the image that was sent: %w", err)
	}
	if !slices.EqualFunc(there.Layers, c.layers, func(a string, b digest.Digest) bool { return a == string(b) }) {
		return "", fmt.Errorf("look at the image that was sent: %w: %s has other layers there", container.ErrDisagree, c.tag)
	}
	return there.ID, nil
}

// imageThere is the ID of the image of that name; empty: there is none.
func imageThere(ctx context.Context, e Target, tag string) (string, error) {
	image, err := e.Image(ctx, tag)
	if errors.Is(err, container.ErrNoImage) {
		return "", nil
	}
	return image.ID, err
}

// withdraw takes the name from an image that was loaded, and yet the transfer failed. An engine
// that is gone is left to the next transfer.
func withdraw(ctx context.Context, e Target, tag, before string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyBound)
	defer cancel()
	now, err := imageThere(ctx, e, tag)
	if err == nil && now != "" && now != before {
		err = e.RemoveTag(ctx, tag)
	}
	if errors.Is(err, container.ErrGone) {
		return nil
	}
	return err
}

// partSuffix ends the name of the image that a transfer makes on the engine it comes from.
const partSuffix = ".part"

func (c Cargo) partSuffix() string {
	if c.Sender == "" {
		return partSuffix
	}
	return "." + c.Sender + partSuffix
}

func removePart(ctx context.Context, e Source, cargo Cargo) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyBound)
	defer cancel()
	return e.RemoveTag(ctx, cargo.Tag+cargo.partSuffix())
}

// removeParts removes what transfers of the same repository left that were killed.
func removeParts(ctx context.Context, e Source, cargo Cargo) error {
	images, err := e.Images(ctx, nil)
	if err != nil {
		return err
	}
	repository, _, _ := strings.Cut(cargo.Tag, ":")
	left := map[string]bool{}
	for _, image := range images {
		for _, name := range image.Tags {
			name = plainName(name)
			if strings.HasPrefix(name, repository+":") && strings.HasSuffix(name, cargo.partSuffix()) {
				left[name] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		if err := e.RemoveTag(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
