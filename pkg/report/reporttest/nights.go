package reporttest

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"runtests/pkg/report"
)

// Nights creates runs of a suite, one each night from 2026-11-01 on, and returns their logs folder.
// Each story has the outcomes of the steps as letters: "a:p b:F". A step without a letter, "a:", was
// cut off. The word "partial" marks a partial run.
func Nights(t testing.TB, stories ...string) (logs string, runs []*report.Run) {
	t.Helper()
	logs = t.TempDir()
	for i, story := range stories {
		r := Night(i, story)
		r.Folder = filepath.Join(logs, r.ID)
		Save(t, logs, r)
		runs = append(runs, r)
	}
	return logs, runs
}

// Night returns the run of that index in Nights.
func Night(i int, story string) *report.Run {
	at := time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC).AddDate(0, 0, i)
	r := &report.Run{Version: report.Version, ID: at.Format(report.IDLayout), Suite: "s", Program: "runtests test", Started: at, Finished: at.Add(time.Hour)}
	for _, word := range strings.Fields(story) {
		if word == "partial" {
			r.Partial = true
			continue
		}
		name, letter, _ := strings.Cut(word, ":")
		step := report.Result{Name: name + "@i", Kind: report.KindTest, Test: name, Image: "i", Started: at, Duration: report.Duration(10 * time.Second)}
		if letter != "" {
			at := slices.IndexFunc(report.Outcomes, func(o report.Outcome) bool { return o.Letter() == letter[0] })
			step.Outcome = report.Outcomes[at]
		}
		r.Steps = append(r.Steps, step)
	}
	return r
}

// Save writes the record of r into its folder in logs.
func Save(t testing.TB, logs string, r *report.Run) {
	t.Helper()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	WriteFile(t, filepath.Join(logs, r.ID, "run.json"), string(data))
}
