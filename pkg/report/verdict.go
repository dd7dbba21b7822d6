package report

import "time"

// Cause is the word of a verdict.
type Cause string

// The causes of a failure.
const (
	Flaky        Cause = "flaky"        // it passed when it was run again as it was
	Dependencies Cause = "dependencies" // it passed on the image that it had last passed on
	Code         Cause = "code"         // it passed with the files that it had last passed with
	Environment  Cause = "environment"  // none of these: what is around it has changed, or the time has come
)

// Verdict is why a test fails that passed before, found out by running it again.
type Verdict struct {
	Word     Cause           `json:"word,omitempty"`     // empty: none was reached, Reason says why
	Reason   string          `json:"reason,omitempty"`   // in words, what led to the word or stood in its way
	Tried    []Trial         `json:"tried,omitempty"`    // what was run to find out, in that order
	Packages []PackageChange `json:"packages,omitempty"` // that differ between the two images; those that the failing tail names first
	Commits  []Commit        `json:"commits,omitempty"`  // between the two states of the files, the newest first
}

// Trial is one run of a test that was made to find the cause of its failure.
type Trial struct {
	What     string   `json:"what"` // in words: "on the image of 2026-11-21"
	ImageID  string   `json:"image_id,omitempty"`
	Commit   string   `json:"commit,omitempty"` // the one whose files were used; empty: the files as they are
	Outcome  Outcome  `json:"outcome"`
	Reason   string   `json:"reason,omitempty"` // why it did not pass
	Duration Duration `json:"duration_seconds"`
	Log      string   `json:"log,omitempty"`     // its log's name in the run's folder
	Command  string   `json:"command,omitempty"` // does the same by hand; quoted for a shell
}

// Commit is a commit of a git repository.
type Commit struct {
	ID      string    `json:"id"`
	Date    time.Time `json:"date,omitzero"`
	Author  string    `json:"author,omitempty"`
	Subject string    `json:"subject"`
}
