package history

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/report"
)

// saveRun saves an earlier run with these steps.
func saveRun(t *testing.T, logs string, started time.Time, partial bool, steps ...report.Result) {
	t.Helper()
	folder, err := Create(logs, started)
	if err != nil {
		t.Fatal(err)
	}
	run := &report.Run{Version: report.Version, ID: folder.ID, Started: started, Finished: started.Add(time.Minute), Partial: partial, Steps: steps}
	if err := folder.Save(run); err != nil {
		t.Fatal(err)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
}

func passOn(name, image, commit string) report.Result {
	return report.Result{Name: name, Kind: report.KindTest, Outcome: report.Passed, ImageID: image, Commit: commit}
}

func TestPasses(t *testing.T) {
	logs := t.TempDir()
	day := func(n int) time.Time { return time.Date(2026, 11, n, 3, 0, 0, 0, time.UTC) }
	failed := func(name string) report.Result {
		return report.Result{Name: name, Kind: report.KindTest, Outcome: report.Failed, ImageID: "i9"}
	}
	build := report.Result{Name: "deps", Kind: report.KindImage, Outcome: report.Passed, ImageID: "i0"}
	saveRun(t, logs, day(1), false, build, passOn("a", "i1", "c1"), passOn("gone", "i2", "c1"), failed("b"))
	saveRun(t, logs, day(2), false, build, passOn("a", "i3", "c2"), failed("b"), passOn("c", "i4", ""))
	saveRun(t, logs, day(3), true, failed("a"), passOn("extra", "i5", ""))
	h, err := ReadHistory(logs, "")
	if err != nil {
		t.Fatal(err)
	}
	passes, err := h.LastPasses(logs, []string{"a", "b", "gone", "none"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]LastPass{
		"a":    {Run: "2026-11-02T03-00-00", Started: day(2), ImageID: "i3", Commit: "c2"},
		"gone": {Run: "2026-11-01T03-00-00", Started: day(1), ImageID: "i2", Commit: "c1"},
	}
	if diff := cmp.Diff(want, passes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	images := func(run *report.Run) []string {
		t.Helper()
		found, err := h.LastPassedImages(logs, run)
		if err != nil {
			t.Error(err)
		}
		var ids []string
		for _, id := range []string{"", "i0", "i1", "i2", "i3", "i4", "i5", "i6", "i9"} {
			if found[id] {
				ids = append(ids, id)
			}
		}
		return ids
	}
	for _, test := range []struct {
		name string
		run  *report.Run
		want []string
	}{
		{"no run is going on", nil, []string{"i3", "i4", "i5"}},
		{"all of the suite", &report.Run{Steps: []report.Result{build, failed("a"), passOn("c", "i6", "")}}, []string{"i3", "i6"}},
		{"a part of it", &report.Run{Partial: true, Steps: []report.Result{passOn("a", "i6", "")}}, []string{"i4", "i5", "i6"}},
		{"an interrupted one", &report.Run{Steps: []report.Result{{Name: "a", Kind: report.KindTest, Outcome: report.Interrupted}, {Name: "c", Kind: report.KindTest}}}, []string{"i3", "i4"}},
	} {
		if diff := cmp.Diff(test.want, images(test.run)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}

	// A record that cannot be read is an error, so that nobody removes images that are needed.
	if err := os.WriteFile(filepath.Join(logs, "2026-11-02T03-00-00", RecordFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := h.LastPassedImages(logs, nil); err == nil {
		t.Error("a record that is cut off: no error")
	}
	if _, err := (*History)(nil).LastPassedImages(logs, nil); err == nil {
		t.Error("no history: no error")
	}
}

// Prune removes the work folder of a killed run with its temporary files, and no other folder.
func TestMakeWork(t *testing.T) {
	logs := t.TempDir()
	folder, err := Create(logs, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	work, err := folder.MakeWork()
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(folder.Path, ".workshop")
	for _, dir := range []string{filepath.Join(work, "tests"), other} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	there := func(path string) bool { _, err := os.Stat(path); return err == nil }
	if _, err := Prune(logs, 30); err != nil || !there(work) {
		t.Errorf("of a run that goes on: %v", err)
	}
	if err := folder.Save(&report.Run{Version: report.Version, ID: folder.ID}); err != nil {
		t.Fatal(err)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Prune(logs, 30); err != nil || there(work) || !there(other) {
		t.Errorf("of one that was killed: %v", err)
	}
}
