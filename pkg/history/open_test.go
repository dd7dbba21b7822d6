package history

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/hint"
	"runtests/pkg/report/reporttest"
)

// runFolders makes run folders, each with a record that names its suite after the ID.
func runFolders(t *testing.T, ids ...string) (logs string) {
	t.Helper()
	logs = t.TempDir()
	for _, id := range ids {
		reporttest.WriteFile(t, filepath.Join(logs, id, "run.json"), `{"version": 1, "suite": "`+id+`", "finished": "2026-11-22T03:41:16+01:00"}`)
	}
	return logs
}

const (
	monday    = "2026-11-16T03-00-00"
	tuesday   = "2026-11-17T03-00-00"
	tuesday2  = "2026-11-17T03-00-00-2"
	tuesday10 = "2026-11-17T03-00-00-10"
	friday    = "2026-12-04T03-00-00"
)

func TestList(t *testing.T) {
	logs := runFolders(t, tuesday, friday, tuesday10, monday, tuesday2)
	for _, name := range []string{"backup", "2026-11-17", "2026-11-17T03-00-00-old", "x2026-11-17T03-00-00"} {
		reporttest.WriteFile(t, filepath.Join(logs, name, "run.json"), "{}")
	}
	reporttest.WriteFile(t, filepath.Join(logs, "2026-11-19T03-00-00"), "a file")
	reporttest.Symlink(t, friday, filepath.Join(logs, "2026-11-20T03-00-00"))
	reporttest.Symlink(t, friday, filepath.Join(logs, "latest"))
	got, err := List(logs)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{friday, tuesday10, tuesday2, tuesday, monday}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, err := List(filepath.Join(logs, "none")); got != nil || err != nil {
		t.Errorf("of a folder that is not there: %q, %v", got, err)
	}
}

func TestOpen(t *testing.T) {
	logs := runFolders(t, monday, tuesday, tuesday2, friday)
	reporttest.Symlink(t, tuesday2, filepath.Join(logs, "latest"))
	for _, test := range []struct{ run, want string }{
		{"", tuesday2}, // where the link points to, not the newest
		{"latest", tuesday2},
		{monday, monday},
		{tuesday, tuesday}, // though it begins another
		{"2026-12", friday},
		{"2026-11-17T03-00-00-", tuesday2},
		{filepath.Join(logs, monday), monday},
		{filepath.Join(logs, monday) + "/", monday},
		{filepath.Join(logs, monday, "run.json"), monday},
		{filepath.Join(logs, "latest") + "/", tuesday2},
	} {
		got, err := Open(logs, test.run)
		if err != nil {
			t.Errorf("%q: %v", test.run, err)
			continue
		}
		if got.Suite != test.want {
			t.Errorf("%q opens %s, want %s", test.run, got.Suite, test.want)
		}
	}
	if err := os.Remove(filepath.Join(logs, "latest")); err != nil {
		t.Fatal(err)
	}
	if got, err := Open(logs, ""); err != nil || got.Suite != friday {
		t.Errorf("without a link: %v, %v", got, err)
	}
}

func TestOpenTellsWhatThereIs(t *testing.T) {
	logs := runFolders(t, monday, tuesday, tuesday2)
	empty := filepath.Join(logs, "2026-11-21T03-00-00")
	if err := os.Mkdir(empty, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ logs, run, message, hint string }{
		{logs, "2025", `find run "2025" in ` + logs + `: no such run`, "the latest runs are 2026-11-21T03-00-00, " + tuesday2},
		{logs, "2026-11-17", `2 runs begin with that: no such run`, "choose one of " + tuesday2 + ", " + tuesday},
		{logs, "2026-11-21", `no such run: no ` + empty + `/run.json`, "cut off"},
		{t.TempDir(), "", `no such run`, "nothing has been run yet"},
		{filepath.Join(logs, "none"), "", `no such run`, "nothing has been run yet"},
		{logs, "/none/run.json", `no such run`, ""},
	} {
		_, err := Open(test.logs, test.run)
		if !errors.Is(err, ErrNoRun) {
			t.Errorf("%q: %v is not ErrNoRun", test.run, err)
			continue
		}
		if !strings.Contains(err.Error(), test.message) || !strings.Contains(hint.Of(err), test.hint) {
			t.Errorf("%q: got %q, hint %q; want %q, %q", test.run, err, hint.Of(err), test.message, test.hint)
		}
	}
}

func TestOpenRefusesWhatIsNoRecord(t *testing.T) {
	for _, test := range []struct{ name, record, message, hint string }{
		{"newer", `{"version": 2, "steps": {"a": 1}}`, "its version is 2, but this program reads 1", "a newer one"},
		{"cut off", `{"version": 1, "suite": "ec`, "it is cut off", ""},
		{"empty", ``, "it is cut off", ""},
		{"not JSON", `version: 1`, "invalid character", ""},
		{"without a version", `{"suite": "ecs"}`, "not the record of a run", ""},
		{"wrong type", `{"version": 1, "suite": 7}`, "suite", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "run.json")
			reporttest.WriteFile(t, file, test.record)
			_, err := Open("", file)
			if err == nil || !strings.Contains(err.Error(), test.message) || !strings.Contains(hint.Of(err), test.hint) {
				t.Errorf("got %v, hint %q; want %q, %q", err, hint.Of(err), test.message, test.hint)
			}
		})
	}
	if _, err := Open("", "/dev/zero"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a device was read: %v", err)
	}
	large := filepath.Join(t.TempDir(), "run.json")
	reporttest.WriteFile(t, large, "")
	if err := os.Truncate(large, MaxRecordBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("", large); err == nil || !strings.Contains(err.Error(), "larger than 256 MiB") {
		t.Errorf("got %v", err)
	}
}

// What a later program adds to the record does not disturb this one.
func TestOpenToleratesUnknownFields(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.json")
	reporttest.WriteFile(t, file, `{"version": 1, "suite": "ecs", "mood": "good", "steps": [{"name": "a@b", "outcome": "puzzled", "colour": {}}]}`)
	r, err := Open("", file)
	if err != nil {
		t.Fatal(err)
	}
	if success, failures := r.Counts(); success != 0 || failures != 1 {
		t.Errorf("got %d success, %d failures", success, failures)
	}
}

func TestOpenSeesWhetherItRuns(t *testing.T) {
	f := create(t, t.TempDir())
	logs := filepath.Dir(f.Path)
	if err := f.Save(reporttest.CutOff()); err != nil {
		t.Fatal(err)
	}
	if r, err := Open(logs, ""); err != nil || !r.Running {
		t.Errorf("it does not run: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := Open(logs, ""); err != nil || r.Running {
		t.Errorf("it runs after its end: %v", err)
	}
}

func TestPrune(t *testing.T) {
	const living, foreign = "2026-11-01T03-00-00", "2026-11-02T03-00-00"
	logs := runFolders(t, monday, tuesday, tuesday2, friday, "backup")
	reporttest.WriteFile(t, filepath.Join(logs, monday, "cache", "deep.log"), "x")
	precious := t.TempDir()
	reporttest.WriteFile(t, filepath.Join(precious, "run.json"), "{}")
	reporttest.Symlink(t, precious, filepath.Join(logs, monday, "elsewhere"))   // in a run that is removed
	reporttest.Symlink(t, precious, filepath.Join(logs, "2026-11-03T03-00-00")) // named as a run
	reporttest.WriteFile(t, filepath.Join(logs, foreign, "thesis.txt"), "x")    // named as a run, but not of runtests
	f, err := Create(logs, reporttest.Launch.AddDate(0, 0, -21))                // old, and still going on
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(f.Path, filepath.Join(logs, living)); err != nil {
		t.Fatal(err)
	}
	old, err := Prunable(logs, 2)
	if err != nil {
		t.Fatal(err)
	}
	removed, err := Prune(logs, 2)
	if err != nil {
		t.Fatal(err)
	}
	var announced []string
	for _, run := range old {
		announced = append(announced, run.ID)
		if run.Bytes == 0 {
			t.Errorf("%s has no size", run.ID)
		}
	}
	if diff := cmp.Diff(removed, announced); diff != "" {
		t.Errorf("-removed +announced:\n%s", diff)
	}
	if diff := cmp.Diff([]string{tuesday, monday}, removed); diff != "" {
		t.Errorf("-want +removed:\n%s", diff)
	}
	left, err := List(logs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{friday, tuesday2, foreign, living}, left); diff != "" {
		t.Errorf("-want +left:\n%s", diff)
	}
	for _, path := range []string{filepath.Join(precious, "run.json"), filepath.Join(logs, "backup", "run.json")} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%v", err)
		}
	}
}

func TestPruneKeeps(t *testing.T) {
	logs := runFolders(t, monday, tuesday, friday)
	reporttest.Symlink(t, monday, filepath.Join(logs, "latest")) // the clock was put back
	for _, keep := range []int{-1, 0, 3, 9} {
		if removed, err := Prune(logs, keep); err != nil || removed != nil {
			t.Errorf("of keep %d: removed %q (%v)", keep, removed, err)
		}
	}
	if removed, err := Prune(logs, 1); err != nil || !slices.Equal(removed, []string{tuesday}) {
		t.Errorf("removed %q (%v), want the one that is neither newest nor latest", removed, err)
	}
	if _, err := Prune(filepath.Join(logs, "none"), 1); err != nil {
		t.Errorf("of a folder that is not there: %v", err)
	}
}

// An empty folder of long ago is that of a run that was killed at its very beginning.
func TestPruneRemovesEmptyFolders(t *testing.T) {
	const empty, young = "2026-10-01T03-00-00", "2026-10-02T03-00-00"
	logs := runFolders(t, monday)
	for _, id := range []string{empty, young} {
		if err := os.Mkdir(filepath.Join(logs, id), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(logs, empty), before, before); err != nil {
		t.Fatal(err)
	}
	if _, err := Prune(logs, 30); err != nil {
		t.Fatal(err)
	}
	left, err := List(logs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{monday, young}, left); diff != "" {
		t.Errorf("-want +left:\n%s", diff)
	}
}

// A run that may be going on stays, and the error says so.
func TestPruneWhenNobodyKnows(t *testing.T) {
	logs := runFolders(t, monday, tuesday)
	reporttest.Symlink(t, "/dev/null", filepath.Join(logs, monday, "lock"))
	removed, err := Prune(logs, 1)
	if err == nil || removed != nil {
		t.Errorf("removed %q, %v", removed, err)
	}
	if _, err := os.Stat(filepath.Join(logs, monday)); errors.Is(err, fs.ErrNotExist) {
		t.Error("it is gone")
	}
}
