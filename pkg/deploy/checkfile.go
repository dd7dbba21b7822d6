package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"runtests/pkg/container"
)

// The health check of a container in production is needed again when a later version is exchanged
// for it and has to be undone. It may hold a token, so it lies in the state's folder, which only its
// owner reads, and not in a label, which everybody reads who may ask the engine.

// saveCheckScript writes the check of the container $2, from stdin, and removes those of containers
// that are gone: all but $2 and the containers that follow. $1 is the state's folder.
const saveCheckScript = `
set -e
umask 077
cd "$1"
mkdir -p checks
cat >"checks/$2.part"
mv -f "checks/$2.part" "checks/$2"
shift
for file in checks/*; do
	for id; do [ "$file" != "checks/$id" ] || continue 2; done
	rm -f -- "$file"
done
`

// readCheckScript prints the check of the container $2, if it was saved.
const readCheckScript = `[ ! -f "$1/checks/$2" ] || cat "$1/checks/$2"`

// savedCheck is a check as its file has it.
type savedCheck struct {
	URL     string `json:"url"`
	Command string `json:"command"`
}

// saveCheck saves the check of a new container; others are the containers that are still there.
func (s *Site) saveCheck(ctx context.Context, id string, c check, others containers) error {
	data, err := json.Marshal(savedCheck{c.url, c.command})
	if err != nil {
		return err
	}
	args := []string{s.state, id}
	for _, other := range others {
		args = append(args, other.ID)
	}
	if _, err := s.machine.feed(ctx, shellBound, bytes.NewReader(data), saveCheckScript, args...); err != nil {
		return fmt.Errorf("save the health check: %w", err)
	}
	return nil
}

// readCheck returns the check of a container in production. Earlier versions kept it in its labels.
func (s *Site) readCheck(ctx context.Context, c container.Summary) (check, error) {
	if c.ID == "" {
		return check{}, nil
	}
	text, err := s.machine.sh(ctx, readCheckScript, s.state, c.ID)
	if err == nil && text == "" {
		return checkOf(c), nil
	}
	var saved savedCheck
	if err == nil {
		err = json.Unmarshal([]byte(text), &saved)
	}
	if err != nil {
		return check{}, fmt.Errorf("read the health check of %s: %w", c.Name, err)
	}
	return check{saved.URL, saved.Command}, nil
}
