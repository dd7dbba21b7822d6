package deploy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"runtests/pkg/suite"
)

// TestFailed checks that the error and its hint say what answers now.
func TestFailed(t *testing.T) {
	site := &Site{deployment: suite.Deployment{Name: "web"}, machine: machine{host: "prod"}, state: "/state"}
	for _, c := range []struct {
		end        swapResult
		want, hint string
	}{
		{swapResult{outcome: outcomeBack, why: "it ended", outage: 1500 * time.Millisecond}, "it ended; the old version answers at prod, with its files, after an outage of 1.5s", "the end of its log"},
		{swapResult{outcome: outcomeBack, why: "it ended"}, "it ended; the old version answers at prod, with its files", "the end of its log"},
		{swapResult{outcome: outcomeNone, why: "it ended"}, "it ended; nothing runs at prod, as before", "the end of its log"},
		{swapResult{outcome: outcomeStopped, why: "it ended"}, "it ended; the old version is stopped at prod, as before", "docker logs web"},
		{swapResult{outcome: outcomeDown, why: "it ended"}, "it ended; THE OLD VERSION NO LONGER ANSWERS at prod", "docker logs web"},
		{swapResult{outcome: outcomeFiles, why: "it ended"}, "it ended; THE FILES OF THE OLD VERSION COULD NOT BE PUT BACK at prod", "they are in /state/swap/saved on prod"},
		{swapResult{outcome: outcomeBack, why: "it could not be started: Bind for 0.0.0.0:80 failed: port is already allocated"}, "; the old version answers at prod, with its files", "which program has the port"},
		{swapResult{outcome: outcomeBack, why: "it did not pass its health check within 1m: 404"}, "; the old version answers at prod, with its files", "healthcheck:"},
	} {
		err := site.failed(c.end)
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
