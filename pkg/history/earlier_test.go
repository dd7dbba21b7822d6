package history

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/report"
	"runtests/pkg/report/reporttest"
)

// noted are the runs that were skipped, and how to forget them.
func noted(t *testing.T, logs string) (list []Skipped, size int64) {
	t.Helper()
	list, size, err := ListSkipped(logs)
	if err != nil {
		t.Fatal(err)
	}
	return list, size
}

func TestSkippedRunsAreToldOnce(t *testing.T) {
	logs := t.TempDir()
	if list, size := noted(t, logs); list != nil || size != 0 {
		t.Errorf("before any: %v, %d bytes", list, size)
	}
	one, two := Skipped{Launched: reporttest.Launch, Since: reporttest.Launch.Add(-time.Hour)}, Skipped{Launched: reporttest.Launch.Add(time.Minute)}
	if err := RecordSkipped(logs, one); err != nil {
		t.Fatal(err)
	}
	list, size := noted(t, logs)
	if diff := cmp.Diff([]Skipped{one}, list); diff != "" {
		t.Error(diff)
	}
	// One that is noted between the reading and the forgetting stays.
	if err := RecordSkipped(logs, two); err != nil {
		t.Fatal(err)
	}
	if err := ForgetSkipped(logs, size); err != nil {
		t.Fatal(err)
	}
	list, size = noted(t, logs)
	if diff := cmp.Diff([]Skipped{two}, list); diff != "" {
		t.Error(diff)
	}
	if err := ForgetSkipped(logs, size); err != nil {
		t.Fatal(err)
	}
	if list, size := noted(t, logs); list != nil || size != 0 {
		t.Errorf("after all: %v, %d bytes", list, size)
	}
}

// Any number of processes note at once, while one reads and forgets: none is lost.
func TestSkippedRunsOfManyProcesses(t *testing.T) {
	logs := t.TempDir()
	const processes, each = 8, 20
	var noting sync.WaitGroup
	for range processes {
		noting.Go(func() {
			for range each {
				if err := RecordSkipped(logs, Skipped{Launched: reporttest.Launch}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		noting.Wait()
		close(done)
	}()
	listed := 0
	for over := false; !over; {
		select {
		case <-done:
			over = true // and once more
		default:
		}
		list, size := noted(t, logs)
		listed += len(list)
		if err := ForgetSkipped(logs, size); err != nil {
			t.Fatal(err)
		}
	}
	if listed != processes*each {
		t.Errorf("listed %d runs, want %d", listed, processes*each)
	}
}

func TestSkippedRunsAreBounded(t *testing.T) {
	logs := t.TempDir()
	path := filepath.Join(logs, skippedFile)
	if err := os.WriteFile(path, []byte("not one of ours\n\x00\xff\n"+strings.Repeat("x", maxSkippedFile-40)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := RecordSkipped(logs, Skipped{Launched: reporttest.Launch}); err == nil {
		t.Error("noted beyond the bound")
	}
	list, size := noted(t, logs)
	if len(list) != 0 {
		t.Errorf("read %v", list)
	}
	if err := ForgetSkipped(logs, size); err != nil {
		t.Fatal(err)
	}
	if err := RecordSkipped(logs, Skipped{Launched: reporttest.Launch}); err != nil {
		t.Error(err)
	}
}

func TestSkippedRunsFollowNoLink(t *testing.T) {
	logs, mine := t.TempDir(), filepath.Join(t.TempDir(), "mine")
	if err := os.WriteFile(mine, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(mine, filepath.Join(logs, skippedFile)); err != nil {
		t.Fatal(err)
	}
	if RecordSkipped(logs, Skipped{Launched: reporttest.Launch}) == nil || ForgetSkipped(logs, 4) == nil {
		t.Error("a link was followed")
	}
	if got, err := os.ReadFile(mine); err != nil || string(got) != "precious" {
		t.Errorf("the file behind the link is %q, %v", got, err)
	}
}

func TestSkippedNotes(t *testing.T) {
	at := func(hours int) time.Time { return reporttest.Launch.Add(time.Duration(hours) * time.Hour).Local() }
	moment := func(hours int) string { return at(hours).Format(report.TimeLayout) }
	for _, test := range []struct {
		name string
		list []Skipped
		want []string
	}{
		{"none", nil, nil},
		{"by this run", []Skipped{{at(1), at(0)}},
			[]string{"the run of " + moment(1) + " was skipped: this run was still going on"}},
		{"by one before, and by this one twice", []Skipped{{at(-5), at(-6)}, {at(1), at(0)}, {at(2), at(0)}}, []string{
			"the run of " + moment(-5) + " was skipped: the run of " + moment(-6) + " was still going on",
			"2 runs were skipped, the first at " + moment(1) + ", the last at " + moment(2) + ": this run was still going on",
		}},
		{"by one that had not said who it is", []Skipped{{Launched: at(1)}},
			[]string{"the run of " + moment(1) + " was skipped: another run was still going on"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, SkippedNotes(test.list, at(0))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// stillRunning stands for a step that has begun and not ended.
const stillRunning report.Outcome = "running"

// earlierRun makes a run launched so many hours after launch with the given outcomes; an
// outcome "running" is one that had not ended. It came to its end when finished.
func earlierRun(t *testing.T, logs string, hours int, finished bool, outcomes ...report.Outcome) *Folder {
	t.Helper()
	started := reporttest.Launch.Add(time.Duration(hours) * time.Hour)
	folder, err := Create(logs, started)
	if err != nil {
		t.Fatal(err)
	}
	run := &report.Run{Version: report.Version, ID: folder.ID, Started: started}
	if finished {
		run.Finished = started.Add(time.Minute)
	}
	for i, outcome := range outcomes {
		step := report.Result{Name: "step-" + string(rune('a'+i)), Outcome: outcome}
		if outcome == stillRunning {
			step.Outcome, step.Started = "", started
		}
		run.Steps = append(run.Steps, step)
	}
	if err := folder.Save(run); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestCutOffNotes(t *testing.T) {
	logs := t.TempDir()
	closed := func(f *Folder) {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	closed(earlierRun(t, logs, 0, false, stillRunning)) // the next run reports it
	closed(earlierRun(t, logs, 1, true, report.Passed))
	closed(earlierRun(t, logs, 2, false, report.Passed, report.Failed, stillRunning, stillRunning, ""))
	closed(earlierRun(t, logs, 3, false, ""))
	closed(earlierRun(t, logs, 4, false, report.Passed, ""))
	closed(earlierRun(t, logs, 5, false, report.Passed))
	bare, err := Create(logs, reporttest.Launch.Add(6*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	closed(bare)
	if err := os.Mkdir(filepath.Join(logs, reporttest.Launch.Add(7*time.Hour).Format(report.IDLayout)), 0o700); err != nil { // not of runtests's
		t.Fatal(err)
	}
	defer closed(earlierRun(t, logs, 8, false, stillRunning)) // going on
	now := earlierRun(t, logs, 9, false, stillRunning)
	defer closed(now)
	moment := func(hours int) string {
		return reporttest.Launch.Add(time.Duration(hours) * time.Hour).Format(report.TimeLayout)
	}
	want := []string{
		"the run of " + moment(2) + " was cut off during step-c, step-d; 1 step had passed, 1 had not",
		"the run of " + moment(3) + " was cut off before its first step; 0 steps had passed",
		"the run of " + moment(4) + " was cut off between two steps; 1 step had passed",
		"the run of " + moment(5) + " was cut off after its last step; 1 step had passed",
		"the run of " + moment(6) + " was cut off before its first step",
	}
	got, err := CutOffNotes(logs, now.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWaitSuite(t *testing.T) {
	logs := t.TempDir()
	first, err := LockSuite(logs, Holder{PID: 1, Since: reporttest.Launch})
	if err != nil {
		t.Fatal(err)
	}
	waited := 0
	waiting := func(held *HeldError) {
		waited++
		if held.PID != 1 {
			t.Errorf("held by %d", held.PID)
		}
	}
	var held *HeldError
	if _, err := WaitSuite(t.Context(), logs, Holder{PID: 2}, 0, waiting); !errors.As(err, &held) || waited != 0 || held.Waited != 0 {
		t.Errorf("no wait: %v, waited %d times", err, waited)
	}
	if _, err := WaitSuite(t.Context(), logs, Holder{PID: 2}, time.Millisecond, waiting); !errors.As(err, &held) || waited != 1 || held.Waited != time.Millisecond {
		t.Errorf("a short wait: %v, waited %d times", err, waited)
	}
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := WaitSuite(ctx, logs, Holder{PID: 2}, time.Hour, waiting); !errors.Is(err, why) {
		t.Errorf("an interrupted wait: %v", err)
	}
	lock, err := WaitSuite(t.Context(), logs, Holder{PID: 2, Since: reporttest.Launch}, time.Hour, func(*HeldError) {
		if err := first.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !lock.Since().After(reporttest.Launch) {
		t.Errorf("taken at %v, when it was asked for", lock.Since())
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
}
