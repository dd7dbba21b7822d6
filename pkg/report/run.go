// Package report holds the facts of a run: Run, Result, Outcome, and what follows from these alone,
// such as counts and changes. It touches no disk and renders nothing: package history keeps runs,
// package render shows them.
package report

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"runtests/pkg/plain"
)

// Version is the version of run.json. It grows when a field changes its meaning, not when a field is
// added.
const Version = 1

// Outcome is how a step ended. The zero value means that the step has not ended.
type Outcome string

// The outcomes. Only Passed is a success.
const (
	Passed      Outcome = "passed"
	Failed      Outcome = "failed"      // its own exit status was not 0
	Timeout     Outcome = "timeout"     // stopped at its time limit
	Broken      Outcome = "broken"      // the step could not be carried out
	Blocked     Outcome = "blocked"     // an image that the step needs failed
	Interrupted Outcome = "interrupted" // stopped or never started, because the run was interrupted
)

// Kind is what a step does.
type Kind string

// The kinds of step.
const (
	KindTest   Kind = "test"
	KindImage  Kind = "image"  // the build of an image
	KindDeploy Kind = "deploy" // the promotion to production of a container that passed
)

// Run is the record of one execution of a suite.
type Run struct {
	Version  int       `json:"version"`
	ID       string    `json:"id"`             // the name of its folder: 2026-11-22T03-00-04
	Suite    string    `json:"suite"`          // the suite's name
	File     string    `json:"file,omitempty"` // the suite file, absolute; empty without one
	Folder   string    `json:"folder"`         // the run's folder, absolute
	Host     string    `json:"host"`
	Program  string    `json:"program"` // the name and version of the program that wrote the record
	Engine   Engine    `json:"engine"`
	Disk     Disk      `json:"disk,omitzero"` // where the engine keeps images; zero: not known
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"` // zero while the run goes on, and if it was cut off
	Signal   string    `json:"signal,omitempty"`  // the signal that interrupted it, such as SIGINT
	Mailed   time.Time `json:"mailed,omitzero"`   // when this report or an earlier one of the suite was last mailed
	Message  string    `json:"message,omitempty"` // the Message-ID of the mail about this run
	Partial  bool      `json:"partial,omitempty"` // only a part of the suite was to run: a target or an image was named
	Gone     []string  `json:"gone,omitempty"`    // steps that the suite no longer has
	Lines    int       `json:"lines"`             // log lines kept per step
	Notes    []string  `json:"notes,omitempty"`   // sentences that the reader of the report must see
	Steps    []Result  `json:"steps"`             // in the suite's order, all that were to run

	// Running says that the run is still going on. It is not part of the record; package history
	// sets it. A run without Finished that is not Running was cut off.
	Running bool `json:"-"`
}

// Engine is the container engine that a run used.
type Engine struct {
	Name    string `json:"name"`    // Docker, Podman
	Version string `json:"version"` // 28.5.2
	API     string `json:"api"`     // the API version used, 1.41
	Host    string `json:"host"`    // unix:///var/run/docker.sock
}

// String returns the engine as a report names it: "Docker 28.5.2".
func (e Engine) String() string { return e.Name + " " + e.Version }

// Disk is the file system on which the engine keeps images and containers.
type Disk struct {
	Path       string `json:"path"`
	Total      int64  `json:"total"`                // bytes
	FreeBefore int64  `json:"free_before"`          // bytes, when the run began
	FreeAfter  int64  `json:"free_after,omitempty"` // bytes, when it ended; 0: not known
	Limit      int64  `json:"limit,omitempty"`      // bytes; the run warns if less is free
}

// Result is the result of one step.
type Result struct {
	Name       string    `json:"name"` // unique in the run: TEST@IMAGE, or the image's name
	Kind       Kind      `json:"kind"`
	Test       string    `json:"test,omitempty"`
	Image      string    `json:"image"`
	ImageID    string    `json:"image_id,omitempty"`
	Commit     string    `json:"commit,omitempty"`           // the git commit that the test's directory was at, when the run began
	Dirty      bool      `json:"dirty,omitempty"`            // the directory had uncommitted changes
	Untrusted  bool      `json:"commit_untrusted,omitempty"` // tests can write the repository: Commit and Dirty are what they say
	Outcome    Outcome   `json:"outcome"`                    // empty until it ended
	Reason     string    `json:"reason,omitempty"`           // why the step did not pass: "exit status 2"
	Hint       string    `json:"hint,omitempty"`             // what to do about it
	Notes      []string  `json:"notes,omitempty"`            // other facts for the reader: "passed on attempt 2 of 3"
	ExitStatus *int      `json:"exit_status,omitempty"`
	Command    string    `json:"command"` // runs the same by hand; quoted for a shell
	Started    time.Time `json:"started,omitzero"`
	Duration   Duration  `json:"duration_seconds"`
	Attempts   int       `json:"attempts,omitempty"`   // how many times the step was run
	Container  string    `json:"container,omitempty"`  // the name of its container, if it was kept
	BlockedBy  string    `json:"blocked_by,omitempty"` // for a blocked step: the step that did not pass
	Stale      bool      `json:"stale,omitempty"`      // the test ran on an image whose build failed in this run
	Build      *Build    `json:"build,omitempty"`      // for an image
	Trend      *Trend    `json:"trend,omitempty"`      // how the step compares with earlier runs; nil: nothing to say
	Verdict    *Verdict  `json:"verdict,omitempty"`    // why the step fails, according to experiments
	Log        Log       `json:"log,omitzero"`

	Deployment *Deployment `json:"deployment,omitempty"` // for a promotion to production
}

// Log describes a step's log.
type Log struct {
	File    string     `json:"file,omitempty"`     // its name in the run's folder
	Bytes   int64      `json:"bytes"`              // how much the container wrote
	Lines   int64      `json:"lines"`              // a last line without a newline counts
	LeftOut int64      `json:"left_out,omitempty"` // how many of Bytes are not in the file, because of max_log
	Page    string     `json:"page,omitempty"`     // the file name, in the run's folder, of a page that shows more lines than Tail
	Tail    plain.Tail `json:"tail,omitzero"`
}

// Counts returns how many steps passed and how many did not, together all that were to run. A step
// that has not ended counts as a failure.
func (r *Run) Counts() (success, failures int) {
	for i := range r.Steps {
		if r.Steps[i].Outcome == Passed {
			success++
		}
	}
	return success, len(r.Steps) - success
}

// Subject returns the counts as the subject of a mail has them: "4 success, 2 failures".
func (r *Run) Subject() string {
	success, failures := r.Counts()
	return fmt.Sprintf("%d success, %d failures", success, failures)
}

// Duration is a time.Duration that is written to JSON in seconds, to the millisecond.
type Duration time.Duration

// MarshalJSON writes d as a number of seconds.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(math.Round(time.Duration(d).Seconds()*1000) / 1000)
}

// UnmarshalJSON reads a number of seconds.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var seconds float64
	if err := json.Unmarshal(data, &seconds); err != nil {
		return fmt.Errorf("read a duration in seconds: %w", err)
	}
	*d = Duration(math.Round(seconds*1000) * float64(time.Millisecond))
	return nil
}

// String returns d to the second, without zero units: 41m12s, 3m10s, 2h. Below ten seconds, d has a
// tenth if it is not a whole number of seconds: 0.4s, 1s.
func (d Duration) String() string {
	t := time.Duration(d)
	if tenths := t.Round(time.Second / 10); tenths < 10*time.Second && t%time.Second != 0 {
		return fmt.Sprintf("%.1fs", tenths.Seconds())
	}
	text := t.Round(time.Second).String()
	if hours, whole := strings.CutSuffix(text, "h0m0s"); whole {
		return hours + "h"
	}
	if minutes, whole := strings.CutSuffix(text, "m0s"); whole && t < time.Hour {
		return minutes + "m"
	}
	return text
}
