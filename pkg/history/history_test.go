package history

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/report"
	"runtests/pkg/report/reporttest"
)

func read(t testing.TB, logs, before string) *History {
	t.Helper()
	h, err := ReadHistory(logs, before)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// What the last night says of step a.
func TestTrend(t *testing.T) {
	for _, test := range []struct {
		name    string
		nights  []string
		trend   string // the change, since which day of November, in how many runs
		changes string
	}{
		{"the first run", []string{"a:F"}, " 1 1", ""},
		{"the first run passes", []string{"a:p"}, "nothing", ""},
		{"as before", []string{"a:p", "a:p"}, " 0 0", ""},
		{"newly failing", []string{"a:p", "a:F"}, "newly failing 2 1", "1 newly failing"},
		{"in another way", []string{"a:p", "a:T"}, "newly failing 2 1", "1 newly failing"},
		{"blocked", []string{"a:p b:p", "a:X b:F"}, "newly failing 2 1", "2 newly failing (blocked: 1)"},
		{"still failing", []string{"a:p", "a:F", "a:T", "a:B"}, "still failing 2 3", "1 still failing"},
		{"since ever", []string{"a:F", "a:F"}, "still failing 1 2", "1 still failing"},
		{"fixed", []string{"a:p", "a:F", "a:F", "a:p"}, "fixed 2 2", "1 fixed"},
		{"fails again", []string{"a:F", "a:p", "a:F"}, "newly failing 3 1", "1 newly failing"},
		{"new", []string{"b:p", "a:p b:p"}, "new 0 0", "1 new"},
		{"new and failing", []string{"b:p", "a:F b:p"}, "new 2 1", "1 new and failing"},
		{"still failing after it was new", []string{"b:p", "a:F b:p", "a:F b:p"}, "still failing 2 2", "1 still failing"},
		{"not in the run before", []string{"a:F b:p", "b:p partial", "a:F b:p"}, "still failing 1 2", "1 still failing"},
		{"back after a while", []string{"a:p b:p", "b:p", "a:p b:p"}, " 0 0", ""},
		{"interrupted", []string{"a:p", "a:I"}, " 0 0", ""},
		{"interrupted while it fails", []string{"a:F", "a:I"}, " 1 1", ""},
		{"an interruption proves nothing", []string{"a:p", "a:I", "a:F"}, "newly failing 3 1", "1 newly failing"},
		{"and hides no failure", []string{"a:F", "a:I", "a:", "a:F"}, "still failing 1 2", "1 still failing"},
		{"gone", []string{"a:p b:p c:F", "a:p"}, " 0 0", "2 gone"},
		{"gone once", []string{"a:p b:p", "a:p", "a:p"}, " 0 0", ""},
		{"not gone from a part", []string{"a:p b:p", "a:p partial"}, " 0 0", ""},
		{"gone since the last whole run", []string{"a:p b:p", "c:p partial", "a:p"}, " 0 0", "2 gone"},
		{"all at once", []string{"a:p b:p c:F d:F e:p", "a:F b:X c:p d:F f:p g:F"}, "newly failing 2 1",
			"2 newly failing (blocked: 1), 1 new and failing, 1 fixed, 1 still failing, 1 new, 1 gone"},
	} {
		logs, runs := reporttest.Nights(t, test.nights...)
		for _, run := range runs { // each as it would have been written at its time
			read(t, logs, run.ID).Conclude(run)
			reporttest.Save(t, logs, run)
		}
		last := runs[len(runs)-1]
		got := "nothing"
		if trend := last.Steps[0].Trend; trend != nil {
			day := 0
			if !trend.Since.IsZero() {
				day = trend.Since.Day()
			}
			got = fmt.Sprintf("%s %d %d", trend.Change, day, trend.Runs)
		}
		if got != test.trend || last.Changes() != test.changes {
			t.Errorf("%s: got %q and %q, want %q and %q", test.name, got, last.Changes(), test.trend, test.changes)
		}
		// Older records, without this field, say the same.
		logs, runs = reporttest.Nights(t, test.nights...)
		last = runs[len(runs)-1]
		read(t, logs, last.ID).Conclude(last)
		if last.Changes() != test.changes {
			t.Errorf("%s, of old records: got %q, want %q", test.name, last.Changes(), test.changes)
		}
	}
}

// A failure is older than the oldest folder that is kept.
func TestTrendOutlivesTheFolders(t *testing.T) {
	logs, runs := reporttest.Nights(t, "a:p", "a:F", "a:F", "a:F", "a:F", "a:F")
	for i, run := range runs {
		read(t, logs, run.ID).Conclude(run)
		if i == 1 {
			run.Announce("<first@example.org>")
		}
		reporttest.Save(t, logs, run)
		if i >= 2 {
			if err := os.RemoveAll(filepath.Join(logs, runs[i-2].ID)); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := runs[5]
	want := &report.Trend{Change: report.StillFailing, Previous: report.Failed, Since: runs[1].Started, Runs: 5, Announced: "<first@example.org>"}
	if diff := cmp.Diff(want, last.Steps[0].Trend); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"<first@example.org>"}, last.Announcements()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestChanged(t *testing.T) {
	for _, test := range []struct {
		nights []string
		want   bool
	}{
		{[]string{"a:p"}, true},
		{[]string{"a:p b:F", "a:p b:F"}, false},
		{[]string{"a:p b:F", "a:p b:T"}, true},
		{[]string{"a:p", "a:I"}, true},
		{[]string{"a:I", "a:p"}, true},
		{[]string{"a:p", "a:p b:p"}, true},
		{[]string{"a:p b:p", "a:p"}, true},
		{[]string{"a:p b:p", "a:p partial"}, false},
		{[]string{"a:F b:p", "b:p partial", "a:F b:p"}, false},
	} {
		logs, runs := reporttest.Nights(t, test.nights...)
		last := runs[len(runs)-1]
		read(t, logs, last.ID).Conclude(last)
		if got := last.Changed(); got != test.want {
			t.Errorf("%q: %v", test.nights, got)
		}
	}
}

func TestAnnouncements(t *testing.T) {
	logs, runs := reporttest.Nights(t, "a:p b:p", "a:F b:p", "a:F b:F", "a:F b:F", "a:p b:F", "a:p b:p", "a:p b:p")
	want := [][]string{nil, nil, {"<1>"}, {"<1>", "<2>"}, {"<1>", "<2>"}, {"<2>"}, nil}
	for i, run := range runs {
		read(t, logs, run.ID).Conclude(run)
		if diff := cmp.Diff(want[i], run.Announcements()); diff != "" {
			t.Errorf("night %d: -want +got:\n%s", i, diff)
		}
		run.Announce(fmt.Sprintf("<%d>", i))
		reporttest.Save(t, logs, run)
	}
}

// An image that was current took no time: it says nothing of how long its build takes.
func TestPaceOfImages(t *testing.T) {
	logs, runs := reporttest.Nights(t, "a:p", "a:p", "a:p", "a:p", "a:p", "a:p", "a:p")
	for i, run := range runs {
		run.Steps[0].Kind = report.KindImage
		if i >= 5 {
			run.Steps[0].Build = &report.Build{Current: true}
			run.Steps[0].Duration = report.Duration(time.Millisecond)
		}
		reporttest.Save(t, logs, run)
	}
	last := runs[6]
	read(t, logs, last.ID).Conclude(last)
	if got := last.Steps[0].Trend; got.Usual != report.Duration(10*time.Second) || got.Pace != "" {
		t.Errorf("got %+v", got)
	}
}

func TestHistoryTellsWhatItCannotRead(t *testing.T) {
	logs, runs := reporttest.Nights(t, "a:p", "a:F", "a:F")
	reporttest.WriteFile(t, filepath.Join(logs, runs[1].ID, RecordFile), `{"version": 2, "steps": 7}`)
	if err := os.Mkdir(filepath.Join(logs, "2026-11-09T03-00-00"), 0o750); err != nil { // cut off at once
		t.Fatal(err)
	}
	h := read(t, logs, "")
	if len(h.Runs) != 2 || len(h.Errors) != 1 || !strings.Contains(h.Errors[0].Error(), "its version is 2") {
		t.Errorf("%d runs, %v", len(h.Runs), h.Errors)
	}
}

// year is a year of nights of so many steps, a twentieth of which fail with a full tail.
func year(t testing.TB, runs, steps int) (logs string) {
	t.Helper()
	logs = t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	sample := reporttest.Sample()
	failed := sample.Steps[3]
	passed := sample.Steps[2]
	for i := range runs {
		r := reporttest.Night(i, "")
		r.Folder = filepath.Join(logs, r.ID)
		for n := range steps {
			step := passed
			if random.IntN(20) == 0 {
				step = failed
			}
			step.Name = fmt.Sprintf("test-%04d@specfun-debian-deps", n)
			step.Duration = report.Duration(time.Duration(10_000+random.IntN(1000)) * time.Millisecond)
			r.Steps = append(r.Steps, step)
		}
		var record bytes.Buffer
		if err := report.Encode(&record, r); err != nil {
			t.Fatal(err)
		}
		reporttest.WriteFile(t, filepath.Join(logs, r.ID, RecordFile), record.String())
	}
	return logs
}

// A year of 50 steps a night is to be read in 0.3 s, of 1,000 in 5 s and 128 MiB.
func BenchmarkHistory(b *testing.B) {
	for _, steps := range []int{50, 1000} {
		logs := year(b, 365, steps)
		b.Run(fmt.Sprintf("%d-steps", steps), func(b *testing.B) {
			for b.Loop() {
				h := read(b, logs, "")
				runtime.KeepAlive(h)
			}
		})
	}
}
