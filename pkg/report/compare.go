package report

import (
	"fmt"
	"path/filepath"
)

// Before returns the record of the run that was launched before the run id. The
// error wraps ErrNoRun when there is none.
func Before(logs, id string) (*Run, error) {
	ids, err := List(logs)
	if err != nil {
		return nil, err
	}
	for _, other := range ids {
		if compareIDs(other, id) < 0 {
			return openPath(filepath.Join(logs, other))
		}
	}
	return nil, fmt.Errorf("look for the run before %s: %w", id, ErrNoRun)
}

// Changed says whether a step of now did not have its outcome before, or was not
// there. What was there and was not to run now is no change.
func Changed(before, now *Run) bool {
	outcomes := map[string]Outcome{}
	for i := range before.Steps {
		outcomes[before.Steps[i].Name] = before.Steps[i].Outcome
	}
	for i := range now.Steps {
		if outcome, ok := outcomes[now.Steps[i].Name]; !ok || outcome != now.Steps[i].Outcome {
			return true
		}
	}
	return false
}
