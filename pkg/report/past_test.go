package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// nights are runs of a suite, a night after the other from 2026-11-01 on; each tells how
// its steps ended, as in "a:p b:F". A step without one, "a:", was cut off.
func nights(t testing.TB, stories ...string) (logs string, runs []*Run) {
	t.Helper()
	logs = t.TempDir()
	for i, story := range stories {
		r := night(i, story)
		r.Folder = filepath.Join(logs, r.ID)
		save(t, logs, r)
		runs = append(runs, r)
	}
	return logs, runs
}

func night(i int, story string) *Run {
	at := time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC).AddDate(0, 0, i)
	r := &Run{Version: Version, ID: at.Format(idLayout), Suite: "s", Program: "runtests test", Started: at, Finished: at.Add(time.Hour)}
	for _, word := range strings.Fields(story) {
		if word == "partial" {
			r.Partial = true
			continue
		}
		name, letter, _ := strings.Cut(word, ":")
		step := Result{Name: name + "@i", Kind: Test, Test: name, Image: "i", Started: at, Duration: Duration(10 * time.Second)}
		if letter != "" {
			step.Outcome = outcomeOf(letter[0])
		}
		r.Steps = append(r.Steps, step)
	}
	return r
}

func save(t testing.TB, logs string, r *Run) {
	t.Helper()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(logs, r.ID)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := replaceIn(folder, recordFile, data); err != nil {
		t.Fatal(err)
	}
}

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
		{"blocked", []string{"a:p b:p", "a:X b:F"}, "newly failing 2 1", "2 newly failing (1 blocked)"},
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
			"2 newly failing (1 blocked), 1 new and failing, 1 fixed, 1 still failing, 1 new, 1 gone"},
	} {
		logs, runs := nights(t, test.nights...)
		for _, run := range runs { // each as it would have been written at its time
			read(t, logs, run.ID).Conclude(run)
			save(t, logs, run)
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
		// Records of before this was recorded say the same.
		logs, runs = nights(t, test.nights...)
		last = runs[len(runs)-1]
		read(t, logs, last.ID).Conclude(last)
		if last.Changes() != test.changes {
			t.Errorf("%s, of old records: got %q, want %q", test.name, last.Changes(), test.changes)
		}
	}
}

// A failure is older than the oldest folder that is kept.
func TestTrendOutlivesTheFolders(t *testing.T) {
	logs, runs := nights(t, "a:p", "a:F", "a:F", "a:F", "a:F", "a:F")
	for i, run := range runs {
		read(t, logs, run.ID).Conclude(run)
		if i == 1 {
			run.Announce("<first@example.org>")
		}
		save(t, logs, run)
		if i >= 2 {
			if err := os.RemoveAll(filepath.Join(logs, runs[i-2].ID)); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := runs[5]
	want := &Trend{Change: StillFailing, Was: Failed, Since: runs[1].Started, Runs: 5, Announced: "<first@example.org>"}
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
		logs, runs := nights(t, test.nights...)
		last := runs[len(runs)-1]
		read(t, logs, last.ID).Conclude(last)
		if got := last.Changed(); got != test.want {
			t.Errorf("%q: %v", test.nights, got)
		}
	}
}

func TestAnnouncements(t *testing.T) {
	logs, runs := nights(t, "a:p b:p", "a:F b:p", "a:F b:F", "a:F b:F", "a:p b:F", "a:p b:p", "a:p b:p")
	want := [][]string{nil, nil, {"<1>"}, {"<1>", "<2>"}, {"<1>", "<2>"}, {"<2>"}, nil}
	for i, run := range runs {
		read(t, logs, run.ID).Conclude(run)
		if diff := cmp.Diff(want[i], run.Announcements()); diff != "" {
			t.Errorf("night %d: -want +got:\n%s", i, diff)
		}
		run.Announce(fmt.Sprintf("<%d>", i))
		save(t, logs, run)
	}
}

func TestPace(t *testing.T) {
	seconds := func(list ...float64) (d []time.Duration) {
		for _, s := range list {
			d = append(d, time.Duration(s*float64(time.Second)))
		}
		return d
	}
	steady := seconds(100, 101, 99, 100, 102, 98, 100, 100, 101, 99)
	wild := seconds(60, 140, 100, 70, 130, 90, 110, 100, 80, 120)
	for _, test := range []struct {
		name   string
		passes []time.Duration
		took   float64
		usual  string
		pace   Pace
	}{
		{"too few passes", seconds(1, 1, 1, 1), 100, "0s", ""},
		{"as usual", steady, 104, "1m40s", ""},
		{"a quarter more is usual, whatever the spread", steady, 125, "1m40s", ""},
		{"slower", steady, 126, "1m40s", Slower},
		{"faster", steady, 74, "1m40s", Faster},
		{"within a wide spread", wild, 180, "1m40s", ""},
		{"beyond a wide spread", wild, 212, "1m40s", Slower},
		{"one that stood out is no measure", append(seconds(1000), steady[1:]...), 126, "1m40s", Slower},
		{"a second is nothing", seconds(0.1, 0.1, 0.1, 0.1, 0.1), 1, "0.1s", ""},
		{"two are", seconds(0.1, 0.1, 0.1, 0.1, 0.1), 2, "0.1s", Slower},
	} {
		middle, pace := pace(seconds(test.took)[0], test.passes)
		if got := Duration(middle).String(); got != test.usual || pace != test.pace {
			t.Errorf("%s: got %s, %q; want %s, %q", test.name, got, pace, test.usual, test.pace)
		}
	}
}

// An image that was current took no time: it says nothing of how long its build takes.
func TestPaceOfImages(t *testing.T) {
	logs, runs := nights(t, "a:p", "a:p", "a:p", "a:p", "a:p", "a:p", "a:p")
	for i, run := range runs {
		run.Steps[0].Kind = Image
		if i >= 5 {
			run.Steps[0].Build = &Build{Current: true}
			run.Steps[0].Duration = Duration(time.Millisecond)
		}
		save(t, logs, run)
	}
	last := runs[6]
	read(t, logs, last.ID).Conclude(last)
	if got := last.Steps[0].Trend; got.Usual != Duration(10*time.Second) || got.Pace != "" {
		t.Errorf("got %+v", got)
	}
}

// The index says what the records do, is written again when it does not, and hides no change.
func TestIndex(t *testing.T) {
	stories := []string{"a:p b:F", "a:F b:X c:I", "partial c:", "a:T b:B", "a:p b:p"}
	fresh := func(logs string) []Past { // what the records themselves say
		t.Helper()
		_ = os.Remove(filepath.Join(logs, indexFile))
		return read(t, logs, "").Runs
	}
	for _, test := range []struct {
		name   string
		damage func(logs string, runs []*Run)
	}{
		{"nothing", func(string, []*Run) {}},
		{"a run is new", func(logs string, _ []*Run) { save(t, logs, night(9, "a:p d:F")) }},
		{"a run is gone", func(logs string, runs []*Run) { _ = os.RemoveAll(filepath.Join(logs, runs[1].ID)) }},
		{"a record was replaced", func(logs string, runs []*Run) { runs[1].Steps[0].Outcome = Passed; save(t, logs, runs[1]) }},
		{"a record was edited", func(logs string, runs []*Run) {
			path := filepath.Join(logs, runs[0].ID, recordFile)
			data, _ := os.ReadFile(path)
			write(t, path, strings.Replace(string(data), `"failed"`, `"passed"`, 1))
		}},
		{"a run can no longer be read", func(logs string, runs []*Run) { write(t, filepath.Join(logs, runs[2].ID, recordFile), "{") }},
		{"the index is empty", func(logs string, _ []*Run) { write(t, filepath.Join(logs, indexFile), "") }},
		{"the index is cut off", func(logs string, _ []*Run) {
			data, _ := os.ReadFile(filepath.Join(logs, indexFile))
			write(t, filepath.Join(logs, indexFile), string(data[:len(data)/2]))
		}},
		{"a letter of the index is wrong", func(logs string, _ []*Run) {
			data, _ := os.ReadFile(filepath.Join(logs, indexFile))
			write(t, filepath.Join(logs, indexFile), strings.Replace(string(data), `"outcomes":"p`, `"outcomes":"F`, 1))
		}},
		{"the index is of another version", func(logs string, _ []*Run) {
			data, _ := os.ReadFile(filepath.Join(logs, indexFile))
			write(t, filepath.Join(logs, indexFile), strings.Replace(string(data), "history 1 ", "history 2 ", 1))
		}},
		{"the index is a link", func(logs string, _ []*Run) {
			_ = os.Rename(filepath.Join(logs, indexFile), filepath.Join(logs, "elsewhere"))
			link(t, "elsewhere", filepath.Join(logs, indexFile))
		}},
		{"the index is a folder", func(logs string, _ []*Run) {
			_ = os.Remove(filepath.Join(logs, indexFile))
			write(t, filepath.Join(logs, indexFile, "x"), "")
		}},
	} {
		logs, runs := nights(t, stories...)
		read(t, logs, "")
		if _, err := os.Stat(filepath.Join(logs, indexFile)); err != nil {
			t.Fatal(err)
		}
		test.damage(logs, runs)
		first := read(t, logs, "").Runs
		second := read(t, logs, "").Runs
		want := fresh(logs)
		if diff := cmp.Diff(want, first); diff != "" {
			t.Errorf("%s: -records +read:\n%s", test.name, diff)
		}
		if diff := cmp.Diff(want, second); diff != "" {
			t.Errorf("%s, read again: -records +read:\n%s", test.name, diff)
		}
	}
}

// The index is used: a record that is as it was is not read again.
func TestIndexSpares(t *testing.T) {
	logs, runs := nights(t, "a:p", "a:F")
	read(t, logs, "")
	path := filepath.Join(logs, runs[0].ID, recordFile)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0) // the same file, of the same size
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(bytes.Repeat([]byte("x"), len(data))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Close(), os.Chtimes(path, before.ModTime(), before.ModTime())); err != nil {
		t.Fatal(err)
	}
	if h := read(t, logs, ""); len(h.Runs) != 2 || len(h.Faults) != 0 {
		t.Errorf("%d runs, %v", len(h.Runs), h.Faults)
	}
}

func TestHistoryTellsWhatItCannotRead(t *testing.T) {
	logs, runs := nights(t, "a:p", "a:F", "a:F")
	write(t, filepath.Join(logs, runs[1].ID, recordFile), `{"version": 2, "steps": 7}`)
	if err := os.Mkdir(filepath.Join(logs, "2026-11-09T03-00-00"), 0o750); err != nil { // cut off at once
		t.Fatal(err)
	}
	h := read(t, logs, "")
	if len(h.Runs) != 2 || len(h.Faults) != 1 || !strings.Contains(h.Faults[0].Error(), "its version is 2") {
		t.Errorf("%d runs, %v", len(h.Runs), h.Faults)
	}
}

// Any bytes as an index: an error, or runs.
func FuzzIndex(f *testing.F) {
	logs, _ := nights(f, "a:p b:F", "a:F b:X c:I", "partial c:")
	read(f, logs, "")
	data, err := os.ReadFile(filepath.Join(logs, indexFile))
	if err != nil {
		f.Fatal(err)
	}
	_, body, _ := bytes.Cut(data, []byte("\n"))
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		runs, err := decodeIndex(append([]byte(indexHead(body)), body...))
		if err != nil {
			return
		}
		for id, run := range runs {
			if run.ID != id {
				t.Errorf("%q is under %q", run.ID, id)
			}
		}
	})
}

// year is a year of nights of so many steps, a twentieth of which fail with a full tail.
func year(t testing.TB, runs, steps int) (logs string) {
	t.Helper()
	logs = t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	sample := sampleRun()
	failed := sample.Steps[3]
	passed := sample.Steps[2]
	for i := range runs {
		r := night(i, "")
		r.Folder = filepath.Join(logs, r.ID)
		for n := range steps {
			step := passed
			if random.IntN(20) == 0 {
				step = failed
			}
			step.Name = fmt.Sprintf("test-%04d@specfun-debian-deps", n)
			step.Duration = Duration(time.Duration(10_000+random.IntN(1000)) * time.Millisecond)
			r.Steps = append(r.Steps, step)
		}
		var record bytes.Buffer
		if err := JSON(&record, r); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(logs, r.ID, recordFile), record.String())
	}
	return logs
}

// 365 runs of 50 steps in at most 0.3 s, of 1,000 in 5 s and 128 MiB.
func BenchmarkHistory(b *testing.B) {
	for _, steps := range []int{50, 1000} {
		logs := year(b, 365, steps)
		b.Run(fmt.Sprintf("records-%d", steps), func(b *testing.B) {
			for b.Loop() {
				_ = os.Remove(filepath.Join(logs, indexFile))
				read(b, logs, "")
			}
		})
		b.Run(fmt.Sprintf("index-%d", steps), func(b *testing.B) {
			read(b, logs, "")
			for b.Loop() {
				h := read(b, logs, "")
				runtime.KeepAlive(h)
			}
		})
	}
}
