// Package executortest provides an executor for tests. Its containers live in memory and run
// Go functions, and it can be told to fail in the ways in which an engine does: it cuts its
// connections, goes away, freezes, dies between two calls, or cannot honour a setting.
//
// It passes the suite of pkg/runner/conformance, as the engines do.
package executortest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"runtests/pkg/container"
)

// The defaults of an Executor and of its containers.
const (
	defaultCallTimeout = time.Second
	defaultGrace       = 10 * time.Second
)

// Executor runs containers in memory. Its methods may be called concurrently; its exported
// fields are set before the first call.
type Executor struct {
	// CallTimeout bounds one call, and the silence of a frozen executor; default 1s.
	CallTimeout time.Duration
	// Latency is how long each call takes.
	Latency time.Duration
	// Unsupported returns the settings of a container that this executor cannot honour; nil: it honours all.
	// A container with a setting that is not merely ignored does not start.
	Unsupported func(container.Container) []container.Unsupported
	// Ended is called when a container has ended by itself, before Run returns.
	Ended func(id string)

	mu         sync.Mutex
	images     map[string]container.Image
	registry   map[string]container.Image
	programs   map[string]Program
	containers []*record
	made       int // containers, ever
	calls      int // that are still answered; negative: all
	dead       error
	link       link
}

// link is the connection between the executor and whoever uses it.
type link struct {
	cut    chan struct{} // closed when the connections break; there is a new one for the next ones
	away   bool          // no new connection is made
	froze  chan struct{} // closed when the executor freezes; there is a new one when it thaws
	melted chan struct{} // closed when it thaws; nil: it is not frozen
}

// record is a container.
type record struct {
	container.Summary
	process *process // nil: it was added with Add, and never ran here
	exit    container.Exit
}

// New returns an executor that has these images, and no container.
func New(images ...string) *Executor {
	e := &Executor{
		images: map[string]container.Image{}, registry: map[string]container.Image{}, programs: map[string]Program{},
		calls: -1, link: link{cut: make(chan struct{}), froze: make(chan struct{})},
	}
	for _, ref := range images {
		e.images[ref] = container.Image{ID: "sha256:" + ref}
	}
	return e
}

// Program makes the containers whose command is name run p.
func (e *Executor) Program(name string, p Program) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.programs[name] = p
}

// Publish puts an image into the registry that Pull asks.
func (e *Executor) Publish(ref string, image container.Image) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.registry[ref] = image
}

// Unpublish takes an image out of the registry.
func (e *Executor) Unpublish(ref string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.registry, ref)
}

// Add adds containers that somebody else made.
func (e *Executor) Add(summaries ...container.Summary) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range summaries {
		e.containers = append(e.containers, &record{Summary: s})
	}
}

// All returns all containers, whatever faults the executor has.
func (e *Executor) All() []container.Summary {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list(nil)
}

// Check returns the settings of c that the executor cannot honour.
func (e *Executor) Check(ctx context.Context, c container.Container) ([]container.Unsupported, error) {
	if err := e.call(ctx); err != nil || e.Unsupported == nil {
		return nil, err
	}
	return e.Unsupported(c), nil
}

// Ping returns nil unless the executor is away, frozen or dead.
func (e *Executor) Ping(ctx context.Context) error { return e.call(ctx) }

// Containers lists the containers with these labels. An empty value stands for any.
func (e *Executor) Containers(ctx context.Context, labels map[string]string) ([]container.Summary, error) {
	if err := e.call(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list(labels), nil
}

// list is Containers for a caller who holds the lock.
func (e *Executor) list(labels map[string]string) []container.Summary {
	var found []container.Summary
	for _, r := range e.containers {
		if r.labelled(labels) {
			s := r.Summary
			s.Labels = maps.Clone(s.Labels)
			found = append(found, s)
		}
	}
	return found
}

func (r *record) labelled(labels map[string]string) bool {
	for name, value := range labels {
		if has, ok := r.Labels[name]; !ok || value != "" && value != has {
			return false
		}
	}
	return true
}

// Remove removes a container, whatever state it is in. It returns nil when there is none.
func (e *Executor) Remove(ctx context.Context, id string) error {
	if err := e.call(ctx); err != nil {
		return fmt.Errorf("remove the container %s: %w", id, err)
	}
	e.mu.Lock()
	i := e.find(func(r *record) bool { return r.ID == id })
	if i < 0 {
		e.mu.Unlock()
		return nil
	}
	process := e.containers[i].process
	e.containers = slices.Delete(e.containers, i, i+1)
	e.mu.Unlock()
	if process != nil {
		process.end(ending{removed: true})
	}
	return nil
}

// find returns the index of a container, or -1. The caller holds the lock.
func (e *Executor) find(is func(*record) bool) int { return slices.IndexFunc(e.containers, is) }

// ContainerNamed returns the container with exactly that name.
func (e *Executor) ContainerNamed(ctx context.Context, name string) (container.Summary, bool, error) {
	if err := e.call(ctx); err != nil {
		return container.Summary{}, false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	i := e.find(func(r *record) bool { return r.Name == name })
	if i < 0 {
		return container.Summary{}, false, nil
	}
	return e.containers[i].Summary, true, nil
}

// Inspect returns a container, and how it last ended.
func (e *Executor) Inspect(ctx context.Context, id string) (container.Summary, container.Exit, error) {
	if err := e.call(ctx); err != nil {
		return container.Summary{}, container.Exit{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	i := e.find(func(r *record) bool { return r.ID == id })
	if i < 0 {
		return container.Summary{}, container.Exit{}, fmt.Errorf("inspect the container %s: %w", id, container.ErrNoContainer)
	}
	return e.containers[i].Summary, e.containers[i].exit, nil
}

// End gives a container another end, as if somebody had started it again meanwhile.
func (e *Executor) End(id string, exit container.Exit) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := e.find(func(r *record) bool { return r.ID == id }); i >= 0 {
		e.containers[i].exit = exit
	}
}

// Rename gives a container another name.
func (e *Executor) Rename(ctx context.Context, id, name string) error {
	if err := e.call(ctx); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.find(func(r *record) bool { return r.Name == name }) >= 0 {
		return fmt.Errorf("rename the container %s: %w", id, container.ErrNameTaken)
	}
	i := e.find(func(r *record) bool { return r.ID == id })
	if i < 0 {
		return fmt.Errorf("rename the container %s: %w", id, container.ErrNoContainer)
	}
	e.containers[i].Name = name
	return nil
}

// Image returns an image that the executor has.
func (e *Executor) Image(ctx context.Context, ref string) (container.Image, error) {
	if err := e.call(ctx); err != nil {
		return container.Image{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	image, ok := e.images[ref]
	if !ok {
		return container.Image{}, fmt.Errorf("%w: %q", container.ErrNoImage, ref)
	}
	return image, nil
}

// Pull takes an image from the registry.
func (e *Executor) Pull(ctx context.Context, ref, _ string, _ io.Writer) error {
	if err := e.call(ctx); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	image, ok := e.registry[ref]
	if !ok {
		return fmt.Errorf("pull the image %q: manifest unknown", ref)
	}
	e.images[ref] = image
	return nil
}

// errLate says that a frozen executor did not answer.
var errLate = errors.New("no answer")

// call is what every call does first: it takes its time, and it fails as the executor was told to.
func (e *Executor) call(ctx context.Context) error {
	if e.Latency > 0 {
		time.Sleep(e.Latency) // an engine that does not listen to the caller's context meanwhile
	}
	e.mu.Lock()
	state := e.link
	left := e.calls
	if left > 0 {
		e.calls--
	}
	e.mu.Unlock()
	switch {
	case left == 0:
		return e.dead
	case state.away:
		return fmt.Errorf("%w: connection refused", container.ErrGone)
	case state.melted == nil:
		return nil
	}
	return e.wait(ctx, state.melted)
}

// wait returns nil when the executor has thawed, or ErrGone after CallTimeout.
func (e *Executor) wait(ctx context.Context, melted <-chan struct{}) error {
	bound := time.NewTimer(e.callTimeout())
	defer bound.Stop()
	select {
	case <-melted:
		return nil
	case <-bound.C:
		return fmt.Errorf("%w: %w within %s", container.ErrGone, errLate, e.callTimeout())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *Executor) callTimeout() time.Duration {
	if e.CallTimeout > 0 {
		return e.CallTimeout
	}
	return defaultCallTimeout
}
