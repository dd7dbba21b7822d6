package deploy

import (
	"fmt"
	"strings"
	"time"

	"runtests/pkg/report"
	"runtests/pkg/transfer"
)

// Promoted describes what a promotion did.
type Promoted struct {
	Host     string
	Current  Release       // what runs
	Previous Release       // the previous version, kept for rolling back; zero: nothing ran before
	Sent     transfer.Sent // zero: the image was there already
	// Handover reports whether the new version answered before the old one was stopped.
	Handover  bool
	Outage    time.Duration // how long neither answered; 0 with a handover, or when nothing ran before
	Took      time.Duration
	Recovered string // what was done about an earlier exchange that was cut off; empty: there was none
	Warnings  []string
}

// A FailedError reports that a new version did not work, or could not be started.
type FailedError struct {
	Name, Host    string
	Why           string
	Restored      bool          // the old version answers again, or nothing ran before
	FilesLost     string        // the directory on the host with the old version's files, if they could not be put back
	NothingBefore bool          // nothing ran before
	Stopped       bool          // the old version was stopped before, and still is
	Outage        time.Duration // until the old version answered again
	Log           []string      // the last lines of the new version's log
}

func (e *FailedError) Error() string {
	text := fmt.Sprintf("the new version of %s does not work: %s; ", e.Name, e.Why)
	switch {
	case e.FilesLost != "":
		return text + "THE FILES OF THE OLD VERSION COULD NOT BE PUT BACK at " + e.Host
	case e.NothingBefore:
		return text + "nothing runs at " + e.Host + ", as before"
	case e.Stopped:
		return text + "the old version is stopped at " + e.Host + ", as before"
	case !e.Restored:
		return text + "THE OLD VERSION NO LONGER ANSWERS at " + e.Host
	}
	text += "the old version answers at " + e.Host + ", with its files"
	if e.Outage > 0 {
		text += ", after an outage of " + report.Duration(e.Outage).String()
	}
	return text
}

// Hint returns the remedy.
func (e *FailedError) Hint() string {
	switch {
	case e.FilesLost != "":
		return fmt.Sprintf("they are in %s on %s; find out why they cannot be put back (df, ls -ld), and promote again, which puts them back first", e.FilesLost, e.Host)
	case !e.Restored && !e.NothingBefore:
		return fmt.Sprintf("log in to %s and look: docker ps -a, docker logs %s", e.Host, e.Name)
	case strings.Contains(e.Why, "port is already allocated"), strings.Contains(e.Why, "address already in use"):
		return fmt.Sprintf("find out on %s which program has the port (ss -lptun; docker ps), or choose another one", e.Host)
	case strings.Contains(e.Why, "health check"):
		return "see the end of its log below; does it answer at that address, and that soon? (healthcheck: http, timeout)"
	}
	return "see the end of its log below"
}

// The outcomes of a swap, as swap.sh writes them.
const (
	outcomePromoted   = "promoted"
	outcomeRolledBack = "rolled-back"
	outcomeFailed     = "failed-"        // the prefix of the others
	outcomeBack       = "failed-back"    // everything is as before
	outcomeNone       = "failed-none"    // nothing runs, as before
	outcomeStopped    = "failed-stopped" // the old version is stopped, as before
	outcomeDown       = "failed-down"    // the old version does not answer
	outcomeFiles      = "failed-files"   // the old version's files could not be put back
)

// failed returns the error of a swap that did not succeed.
func (s *Site) failed(r swapResult) error {
	failed := &FailedError{
		Name: s.deployment.Name, Host: s.Host(), Why: r.why, Outage: r.outage, Log: r.log,
		Restored: r.outcome == outcomeBack || r.outcome == outcomeNone, NothingBefore: r.outcome == outcomeNone, Stopped: r.outcome == outcomeStopped,
	}
	if r.outcome == outcomeFiles {
		failed.FilesLost = s.state + "/swap/saved"
	}
	return failed
}
