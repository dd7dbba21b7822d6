package deploy

import (
	"fmt"
	"strings"
	"time"

	"runtests/pkg/report"
	"runtests/pkg/transfer"
)

// Promoted is what a promotion did.
type Promoted struct {
	Host   string
	Now    Release       // what runs
	Before Release       // what ran before, kept for going back; zero: nothing did
	Sent   transfer.Sent // of the image; zero when it was there
	// Handover says that the new version answered before the old one was stopped.
	Handover bool
	Outage   time.Duration // how long neither answered; 0 with a handover, or when nothing ran before
	Took     time.Duration
	Mended   string // what became of a promotion before that was cut off; empty: none was
	Warnings []string
}

// A FailedError says that a new version did not work, or did not get that far.
type FailedError struct {
	Name, Host string
	Why        string
	Restored   bool          // the version before answers again, or nothing ran before
	FilesLost  string        // the folder there in which the files of the version before are, which could not be put back; empty: they were
	Nothing    bool          // nothing ran before
	Stopped    bool          // the version before did not run, and does not now
	Outage     time.Duration // until the version before answered again
	Log        []string      // of the new version, its last lines
}

func (e *FailedError) Error() string {
	switch {
	case e.FilesLost != "":
		return fmt.Sprintf("the new version of %s does not work: %s, AND ARE NOT IN THEIR PLACES at %s", e.Name, e.Why, e.Host)
	case e.Nothing:
		return fmt.Sprintf("the new version of %s does not work: %s; nothing runs at %s, as before", e.Name, e.Why, e.Host)
	case e.Stopped:
		return fmt.Sprintf("the new version of %s does not work: %s; the old one did not run before, and does not run now at %s", e.Name, e.Why, e.Host)
	case !e.Restored:
		return fmt.Sprintf("the new version of %s does not work: %s; AND THE OLD ONE DOES NOT ANSWER ANY MORE at %s", e.Name, e.Why, e.Host)
	}
	text := fmt.Sprintf("the new version of %s does not work: %s; the old one answers at %s, with its files", e.Name, e.Why, e.Host)
	if e.Outage > 0 {
		text += ", after an outage of " + report.Duration(e.Outage).String()
	}
	return text
}

// Hint is what a person can do about it.
func (e *FailedError) Hint() string {
	switch {
	case e.FilesLost != "":
		return "they are in " + e.FilesLost + " there; see why they cannot go back (df, ls -ld), and promote again: that puts them back first"
	case !e.Restored && !e.Nothing:
		return "log in there: docker ps -a, docker logs " + e.Name
	case strings.Contains(e.Why, "port is already allocated"), strings.Contains(e.Why, "address already in use"):
		return "see there who has the port (ss -lptun; docker ps), or choose another one"
	case strings.Contains(e.Why, "health check"):
		return "the end of its log follows; was it to answer there, and that soon? (healthcheck: http, timeout)"
	}
	return "the end of its log follows"
}

// The outcomes of a swap.
const (
	outcomePromoted   = "promoted"
	outcomeRolledBack = "rolled-back"
	outcomeFailed     = "failed-"
	outcomeBack       = "failed-back"
	outcomeNone       = "failed-none"
	outcomeDown       = "failed-down"
	outcomeStopped    = "failed-stopped"
	outcomeFiles      = "failed-files"
)

func (w *work) failed(end swapped) error {
	failed := &FailedError{
		Name: w.site.deployment.Name, Host: w.site.Host(), Why: end.why, Outage: end.outage, Log: end.log,
		Restored: end.outcome == outcomeBack || end.outcome == outcomeNone, Nothing: end.outcome == outcomeNone, Stopped: end.outcome == outcomeStopped,
	}
	if end.outcome == outcomeFiles {
		failed.FilesLost = w.site.state + "/swap/saved"
	}
	return failed
}
