package report

import "time"

// Cause is the cause of a failure in one word.
type Cause string

// The causes of a failure.
const (
	Flaky        Cause = "flaky"        // the test passed when run again unchanged
	Dependencies Cause = "dependencies" // the test passes on the last image it passed on
	Code         Cause = "code"         // the test passes with the last files it passed with
	Environment  Cause = "environment"  // none of these: something around the test has changed, or the time
)

// Verdict is why a test fails that passed before. A diagnosis finds it by running the test again.
type Verdict struct {
	Cause    Cause           `json:"word,omitempty"`     // empty: no cause was found, and Reason says why
	Reason   string          `json:"reason,omitempty"`   // in words, what led to the cause, or why none was found
	Trials   []Trial         `json:"tried,omitempty"`    // the experiments, in their order
	Packages []PackageChange `json:"packages,omitempty"` // that differ between the two images, those that the tail of the failure names first
	Commits  []Commit        `json:"commits,omitempty"`  // between the two states of the files, the newest first
}

// Trial is one run of a test to find the cause of its failure.
type Trial struct {
	What     string   `json:"what"` // what was different, in words: "on the image of 2026-11-21"
	ImageID  string   `json:"image_id,omitempty"`
	Commit   string   `json:"commit,omitempty"` // the commit whose files were used; empty: the present files
	Outcome  Outcome  `json:"outcome"`
	Reason   string   `json:"reason,omitempty"` // why the test did not pass
	Duration Duration `json:"duration_seconds"`
	Log      string   `json:"log,omitempty"`     // the name of its log in the run's folder
	Command  string   `json:"command,omitempty"` // runs the same by hand; quoted for a shell
}

// Commit is a commit of a git repository.
type Commit struct {
	ID      string    `json:"id"`
	Date    time.Time `json:"date,omitzero"`
	Author  string    `json:"author,omitempty"`
	Subject string    `json:"subject"`
}
