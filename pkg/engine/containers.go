package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
)

// Containers lists the containers, in any state, that have all these labels. An empty value
// matches any value.
func (e *Engine) Containers(ctx context.Context, labels map[string]string) ([]container.Summary, error) {
	ctx, cancel := within(ctx, e.options.CallTimeout)
	defer cancel()
	listed, err := e.client(ctx).ListContainers(docker.ListContainersOptions{All: true, Filters: labelFilters(labels), Context: ctx})
	if err != nil {
		return nil, fmt.Errorf("list the containers: %w", explain(ctx, err))
	}
	var summaries []container.Summary
	for _, c := range listed {
		summaries = append(summaries, container.Summary{
			ID: c.ID, Name: ownName(c.Names), Image: c.Image, Labels: c.Labels, State: dockerState(c.State), Created: time.Unix(c.Created, 0),
		})
	}
	return summaries, nil
}

// labelFilters returns labels as the engine's filters; an empty value matches any value.
func labelFilters(labels map[string]string) map[string][]string {
	filters := map[string][]string{}
	for name, value := range labels {
		label := name
		if value != "" {
			label += "=" + value
		}
		filters["label"] = append(filters["label"], label)
	}
	return filters
}

// dockerState returns Docker's word for a state.
func dockerState(state string) string {
	if state == "stopped" {
		return "exited"
	}
	return state
}

// ownName returns the container's own name, as opposed to those given by links: /other/alias.
func ownName(names []string) string {
	for _, name := range names {
		if name = strings.TrimPrefix(name, "/"); !strings.Contains(name, "/") {
			return name
		}
	}
	return ""
}

// ContainerNamed returns the container with exactly that name; ok is false if there is none.
func (e *Engine) ContainerNamed(ctx context.Context, name string) (s container.Summary, ok bool, err error) {
	if container.CheckName(name) != nil {
		return container.Summary{}, false, nil // in the path of a request it could mean another request
	}
	c, err := e.inspect(ctx, name)
	if errors.Is(err, container.ErrNoContainer) {
		return container.Summary{}, false, nil
	}
	if err != nil {
		return container.Summary{}, false, fmt.Errorf("find the container %q: %w", name, err)
	}
	if strings.TrimPrefix(c.Name, "/") != name {
		return container.Summary{}, false, nil // the engine also finds containers by the beginning of their IDs
	}
	return summaryOf(c), true, nil
}

// summaryOf returns what inspecting a container says of what a list says.
func summaryOf(c *docker.Container) container.Summary {
	s := container.Summary{ID: c.ID, Name: strings.TrimPrefix(c.Name, "/"), State: dockerState(c.State.Status), Created: c.Created}
	if s.State == "" {
		s.State = c.State.StateString()
	}
	if c.Config != nil {
		s.Image, s.Labels = c.Config.Image, c.Config.Labels
	}
	return s
}

// Inspect returns the container with that ID, and how it last ended (ErrNoContainer). Exit's times
// and its status are the same as Run returned, unless the container was started again.
func (e *Engine) Inspect(ctx context.Context, id string) (s container.Summary, exit container.Exit, err error) {
	c, err := e.inspect(ctx, id)
	if err == nil && c.ID != id { // the engine also finds containers by their names
		err = fmt.Errorf("inspect the container: %w", container.ErrNoContainer)
	}
	if err != nil {
		return s, exit, fmt.Errorf("container %.12s: %w", id, err)
	}
	s = summaryOf(c)
	exit.ID, exit.Name = c.ID, s.Name
	noteExit(c, &exit)
	return s, exit, nil
}

// Create creates a container that does not run yet, and returns its ID (ErrNoImage,
// ErrNameTaken, ErrGone). It goes on when ctx ends, because nobody would know the ID of a
// container whose creation was given up.
func (e *Engine) Create(ctx context.Context, c container.Container) (id string, err error) {
	r := &running{engine: e, container: c, life: context.WithoutCancel(ctx)}
	err = r.create()
	return r.exit.ID, err
}

// removalPoll is how often Remove checks whether a container is gone.
const removalPoll = 100 * time.Millisecond

// Remove removes a container, running or not, with its anonymous volumes, and waits until it is
// gone. It returns nil if there is no such container.
func (e *Engine) Remove(ctx context.Context, id string) error {
	ctx, cancel := e.slow(ctx)
	defer cancel()
	for {
		err := explain(ctx, e.client(ctx).RemoveContainer(docker.RemoveContainerOptions{ID: id, RemoveVolumes: true, Force: true, Context: ctx}))
		if err != nil && !errors.Is(err, container.ErrNoContainer) && !refusedWith(err, http.StatusConflict) {
			return removeFault(id, err)
		}
		_, err = e.inspect(ctx, id)
		if errors.Is(err, container.ErrNoContainer) {
			return nil
		}
		if err != nil {
			return removeFault(id, err)
		}
		select {
		case <-time.After(removalPoll):
		case <-ctx.Done():
			return removeFault(id, fmt.Errorf("%w: %w", container.ErrStillThere, context.Cause(ctx)))
		}
	}
}

func removeFault(id string, err error) error {
	return fmt.Errorf("remove the container %.12s: %w", id, err)
}

// Rename changes the name of a container (ErrNameTaken, ErrNoContainer).
func (e *Engine) Rename(ctx context.Context, id, name string) error {
	if err := container.CheckName(name); err != nil {
		return fmt.Errorf("rename the container %.12s: %w", id, err)
	}
	ctx, cancel := within(ctx, e.options.CallTimeout)
	defer cancel()
	err := explain(ctx, e.client(ctx).RenameContainer(docker.RenameContainerOptions{ID: id, Name: name, Context: ctx}))
	switch {
	case err == nil:
		return nil
	case refusedWith(err, http.StatusConflict) || containsFold(err.Error(), "already in use"):
		err = container.ErrNameTaken
	case refusedWith(err, http.StatusNotFound):
		err = container.ErrNoContainer
	}
	return fmt.Errorf("rename the container %.12s to %q: %w", id, name, err)
}
