package images

import (
	"context"
	"errors"
	"io"
	"sync"

	"runtests/pkg/container"
)

// pulls pulls each image once per run, also when several images are built on it: they then stand
// on the same one.
type pulls struct {
	mu  sync.Mutex
	all map[string]*onePull
}

type onePull struct {
	turn chan struct{} // holds a token; its holder may pull
	done bool
	err  error
}

// do pulls an image, or returns the result of an earlier pull. Only an answer about the image
// counts: an interrupted pull, or an engine that went away, is tried again.
func (p *pulls) do(ctx context.Context, e Engine, ref, platform string, log io.Writer) error {
	pull := p.of(ref + " " + platform)
	select {
	case <-pull.turn:
		defer func() { pull.turn <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if pull.done {
		return pull.err
	}
	err := e.Pull(ctx, ref, platform, log)
	if ctx.Err() == nil && !errors.Is(err, container.ErrGone) {
		pull.done, pull.err = true, err
	}
	return err
}

func (p *pulls) of(key string) *onePull {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]*onePull{}
	}
	pull, ok := p.all[key]
	if !ok {
		pull = &onePull{turn: make(chan struct{}, 1)}
		pull.turn <- struct{}{}
		p.all[key] = pull
	}
	return pull
}
