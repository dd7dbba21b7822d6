package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/hint"
)

// Summary is what the engine's list says of a container.
type Summary struct {
	ID      string
	Name    string
	Image   string
	Labels  map[string]string
	State   string // created, running, paused, restarting, removing, exited, dead
	Created time.Time
}

// Running says that the container has processes.
func (s Summary) Running() bool {
	return s.State == "running" || s.State == "paused" || s.State == "restarting"
}

// Containers lists the containers, in any state, that have all these labels. A label with
// an empty value is one that must be there with any value.
func (e *Engine) Containers(ctx context.Context, labels map[string]string) ([]Summary, error) {
	ctx, cancel := within(ctx, e.options.CallTimeout)
	defer cancel()
	listed, err := e.client(ctx).ListContainers(docker.ListContainersOptions{All: true, Filters: labelFilters(labels), Context: ctx})
	if err != nil {
		return nil, fmt.Errorf("list the containers: %w", explain(ctx, err))
	}
	var summaries []Summary
	for _, c := range listed {
		summaries = append(summaries, Summary{
			ID: c.ID, Name: ownName(c.Names), Image: c.Image, Labels: c.Labels, State: dockerState(c.State), Created: time.Unix(c.Created, 0),
		})
	}
	return summaries, nil
}

// labelFilters are the engine's words for labels, of which an empty value means any.
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

// dockerState is a state in Docker's word, where Podman has another.
func dockerState(state string) string {
	if state == "stopped" {
		return "exited"
	}
	return state
}

// ownName is the container's own name among those that links gave it: /other/alias.
func ownName(names []string) string {
	for _, name := range names {
		if name = strings.TrimPrefix(name, "/"); !strings.Contains(name, "/") {
			return name
		}
	}
	return ""
}

// ContainerNamed returns the container that has exactly that name; ok is false when none has.
func (e *Engine) ContainerNamed(ctx context.Context, name string) (s Summary, ok bool, err error) {
	if !validName(name) {
		return Summary{}, false, nil // such a name would be another request to the engine
	}
	c, err := e.inspect(ctx, name)
	if errors.Is(err, ErrNoContainer) {
		return Summary{}, false, nil
	}
	if err != nil {
		return Summary{}, false, fmt.Errorf("find the container %q: %w", name, err)
	}
	if strings.TrimPrefix(c.Name, "/") != name {
		return Summary{}, false, nil // the engine takes the beginning of an ID for a name
	}
	s = Summary{ID: c.ID, Name: name, State: dockerState(c.State.Status), Created: c.Created}
	if s.State == "" {
		s.State = c.State.StateString()
	}
	if c.Config != nil {
		s.Image, s.Labels = c.Config.Image, c.Config.Labels
	}
	return s, true, nil
}

// validName says that s can be the name of a container: Docker's rule.
func validName(s string) bool {
	for i, r := range s {
		alphanumeric := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alphanumeric && (i == 0 || r != '_' && r != '.' && r != '-') {
			return false
		}
	}
	return len(s) > 1
}

// removalPoll is how often a container whose removal somebody else began is looked at.
const removalPoll = 100 * time.Millisecond

// Remove removes a container, running or not, with its anonymous volumes, and returns when
// it is gone. One that is not there is removed.
func (e *Engine) Remove(ctx context.Context, id string) error {
	ctx, cancel := e.slow(ctx)
	defer cancel()
	for {
		err := e.client(ctx).RemoveContainer(docker.RemoveContainerOptions{ID: id, RemoveVolumes: true, Force: true, Context: ctx})
		if status, _, ok := refusal(err); err != nil && (!ok || status != http.StatusConflict && status != http.StatusNotFound) {
			return removeFault(id, explain(ctx, err))
		}
		_, err = e.inspect(ctx, id)
		if errors.Is(err, ErrNoContainer) {
			return nil
		}
		if err != nil {
			return removeFault(id, err)
		}
		select {
		case <-time.After(removalPoll):
		case <-ctx.Done():
			return removeFault(id, fmt.Errorf("%w: %w", ErrStillThere, context.Cause(ctx)))
		}
	}
}

func removeFault(id string, err error) error {
	return fmt.Errorf("remove the container %.12s: %w", id, err)
}

// Rename gives a container another name (ErrNameTaken, ErrNoContainer).
func (e *Engine) Rename(ctx context.Context, id, name string) error {
	if !validName(name) {
		return hint.Wrap(fmt.Errorf("rename the container %.12s: %q cannot be a container's name", id, name),
			"two characters or more of a-z A-Z 0-9 _ . - and the first one a letter or a digit")
	}
	ctx, cancel := within(ctx, e.options.CallTimeout)
	defer cancel()
	err := e.client(ctx).RenameContainer(docker.RenameContainerOptions{ID: id, Name: name, Context: ctx})
	if err == nil {
		return nil
	}
	status, message, _ := refusal(err)
	switch {
	case status == http.StatusConflict || containsFold(message, "already in use"):
		err = ErrNameTaken
	case status == http.StatusNotFound:
		err = ErrNoContainer
	default:
		err = explain(ctx, err)
	}
	return fmt.Errorf("rename the container %.12s to %q: %w", id, name, err)
}
