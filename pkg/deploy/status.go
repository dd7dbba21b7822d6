package deploy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"runtests/pkg/plain"
	"runtests/pkg/suite"
)

// Status is what runs in production.
type Status struct {
	Host      string
	Current   Release // zero: nothing of ours
	State     string  // of its container: running, exited, …
	Since     time.Time
	Previous  []Release // those that can be rolled back to, the newest first
	CutOff    bool      // an exchange was, and the next promotion finishes or undoes it
	Held      bool      // a promotion is going on
	Container string    // its name
}

// ReadStatus returns what runs in production. It changes nothing there.
func ReadStatus(ctx context.Context, d suite.Deployment, o Options) (Status, error) {
	bare := d
	bare.Files, bare.PortsFile, bare.Check.HTTP, bare.Container.Mounts = nil, "", "", nil // what they need does not matter here
	s, err := reach(ctx, bare, o)
	if err != nil {
		return Status{}, err
	}
	defer s.Close()
	return s.status(ctx)
}

// status returns what runs in production, by the facts that were last read.
func (s *Site) status(ctx context.Context) (Status, error) {
	status := Status{Host: s.Host(), CutOff: s.cutOff && !s.held, Held: s.held, Container: s.deployment.Name}
	found, err := s.containers(ctx)
	if err != nil {
		return status, err
	}
	all, err := s.releases(ctx)
	if err != nil {
		return status, err
	}
	current, ok := found[""]
	if !ok {
		return status, nil
	}
	status.Current, status.State, status.Since = runningRelease(current), current.State, current.Created
	if n := len(s.past); n > 0 && s.past[n-1].release == status.Current.Tag && !s.past[n-1].at.IsZero() {
		status.Since = s.past[n-1].at
	}
	status.Previous = older(s.past, s.thatRan(all), status.Current)
	return status, nil
}

// String returns the status as one or more lines, without a final newline.
func (s Status) String() string {
	var b strings.Builder
	if s.Current.Tag == "" {
		fmt.Fprintf(&b, "%s at %s: nothing runs", s.Container, s.Host)
	} else {
		fmt.Fprintf(&b, "%s at %s: %s since %s, %s", s.Container, s.Host, plain.Line(s.State), s.Since.Local().Format(time.DateTime), s.Current)
	}
	if s.Held {
		b.WriteString("\n  a promotion is going on")
	}
	if s.CutOff {
		b.WriteString("\n  an exchange was cut off; the next promotion finishes or undoes it")
	}
	for _, r := range s.Previous {
		fmt.Fprintf(&b, "\n  previous: %s", r)
	}
	return b.String()
}
