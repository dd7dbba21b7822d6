package deploy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"runtests/pkg/suite"
)

// What did not work is told with what answers now, and nothing is said to answer that does not.
func TestFailed(t *testing.T) {
	w := &work{site: &Site{deployment: suite.Deployment{Name: "web"}, machine: machine{host: "prod"}, state: "/state"}}
	for _, c := range []struct {
		end        swapped
		want, hint string
	}{
		{swapped{outcome: outcomeBack, why: "it ended", outage: 1500 * time.Millisecond}, "it ended; the old one answers at prod, with its files, after an outage of 1.5s", "the end of its log"},
		{swapped{outcome: outcomeBack, why: "it ended"}, "it ended; the old one answers at prod, with its files", "the end of its log"},
		{swapped{outcome: outcomeNone, why: "it ended"}, "it ended; nothing runs at prod, as before", "the end of its log"},
		{swapped{outcome: outcomeStopped, why: "it ended"}, "it ended; the old one did not run before, and does not run now at prod", "docker logs web"},
		{swapped{outcome: outcomeDown, why: "it ended"}, "it ended; AND THE OLD ONE DOES NOT ANSWER ANY MORE at prod", "docker logs web"},
		{swapped{outcome: outcomeFiles, why: "the files could not be put back"}, "the files could not be put back, AND ARE NOT IN THEIR PLACES at prod", "/state/swap/saved there"},
		{swapped{outcome: outcomeBack, why: "it could not be started: Bind for 0.0.0.0:80 failed: port is already allocated"}, "; the old one answers at prod, with its files", "who has the port"},
		{swapped{outcome: outcomeBack, why: "it did not pass its health check within 1m: 404"}, "; the old one answers at prod, with its files", "healthcheck:"},
	} {
		err := w.failed(c.end)
		var failed *FailedError
		if !errors.As(err, &failed) {
			t.Fatalf("%T", err)
		}
		hint := failed.Hint()
		if text := err.Error(); !strings.HasPrefix(text, "the new version of web does not work: ") || !strings.HasSuffix(text, c.want) || !strings.Contains(hint, c.hint) {
			t.Errorf("%s: %s\n  hint: %s", c.end.outcome, text, hint)
		}
	}
}
