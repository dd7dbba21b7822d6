package render

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"runtests/pkg/hint"
	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/plain/plaintest"
	"runtests/pkg/report"
	"runtests/pkg/report/reporttest"
)

// readHistory returns the history of the runs in logs before a run, or of all.
func readHistory(t testing.TB, logs, before string) *history.History {
	t.Helper()
	h, err := history.ReadHistory(logs, before)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// runsPage returns the page of the runs in logs.
func runsPage(t testing.TB, logs string) string {
	t.Helper()
	var page bytes.Buffer
	if err := RunsPage(&page, logs, readHistory(t, logs, ""), nil); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(page.String(), logs, "/logs")
}

// concluded returns the logs of reporttest.Nights, each run compared with those before it.
func concluded(t testing.TB, stories ...string) (logs string) {
	t.Helper()
	logs, runs := reporttest.Nights(t, stories...)
	for _, run := range runs {
		readHistory(t, logs, run.ID).Conclude(run)
		for i := range run.Steps {
			if step := &run.Steps[i]; step.Outcome != report.Passed && step.Outcome != "" {
				step.Reason = "exit status 1"
				step.Log = report.Log{File: step.Test + ".log", Bytes: 9000, Lines: 900, Page: step.Test + ".log.html", Tail: plain.Tail{Lines: []string{"one", "the last line"}}}
			}
		}
		reporttest.Save(t, logs, run)
	}
	return logs
}

func TestRunsPage(t *testing.T) {
	compareGolden(t, "runs.html", runsPage(t, concluded(t,
		"a:p b:p c:p d:p gone:p", "a:p b:F c:T d:B gone:p", "a:p b:F c:p d:I gone:p", "partial b:F", "a:F b:F c:X d: new:p")))
	compareGolden(t, "runs-green.html", runsPage(t, concluded(t, "a:p")))
}

// The history as text.
func TestWriteHistory(t *testing.T) {
	logs := concluded(t, "a:p b:p c:p", "a:p b:F c:T", "a:p b:F c:p", "partial b:B", "a:F b:F c:X new:p", "a:p b:F c: new:p", "a:p b:F c:p new:p")
	var all bytes.Buffer
	for _, pattern := range []string{"", "b", "?@i"} {
		if err := WriteHistory(&all, logs, readHistory(t, logs, ""), pattern); err != nil {
			t.Fatal(err)
		}
		all.WriteString("====\n")
	}
	compareGolden(t, "history.txt", strings.ReplaceAll(all.String(), logs, "/logs"))
	for _, pattern := range []string{"none", "[", "b@j"} {
		if err := WriteHistory(io.Discard, logs, readHistory(t, logs, ""), pattern); err == nil {
			t.Errorf("%q names a step", pattern)
		}
	}
}

// Whatever the records hold, the pages run nothing and lead nowhere else.
func TestPagesOfHostileRuns(t *testing.T) {
	logs := t.TempDir()
	evil := reporttest.Hostile()
	for i := range 3 {
		r := reporttest.Night(i, "")
		r.Suite, r.Host, r.Program, r.Engine, r.Steps = evil.Suite, evil.Host, evil.Program, evil.Engine, evil.Steps
		reporttest.Save(t, logs, r)
	}
	page := runsPage(t, logs)
	if !plaintest.Safe(page, "\t\n") {
		t.Errorf("the page holds a control character: %q", page)
	}
	var log bytes.Buffer
	tail := plain.Tail{Lines: []string{plain.Clean(evil.Suite)}, Cut: map[int]int64{0: 7}}
	if err := templates().ExecuteTemplate(&log, "log.html", newLogView(evil, 0, tail, 100)); err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{page, log.String()} {
		for _, tag := range []string{"<script", "<img", "<link", "<iframe", "src=", "url(", "@import", "javascript:", " style="} {
			if strings.Contains(strings.ToLower(got), tag) {
				t.Errorf("a page holds %q", tag)
			}
		}
		for _, link := range regexp.MustCompile(`href="([^"]*)`).FindAllStringSubmatch(got, -1) {
			if !strings.HasPrefix(link[1], "./") || strings.Contains(link[1], "/../") || strings.Count(link[1], "/") > 2 {
				t.Errorf("a link leads away: %q", link[1])
			}
		}
	}
}

// Only the page's own style is let through, and it is what the policy names.
func TestPolicy(t *testing.T) {
	page := runsPage(t, concluded(t, "a:p"))
	_, rest, _ := strings.Cut(page, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	if want := "style-src &#39;sha256-" + strings.ReplaceAll(hash(style), "+", "&#43;") + "&#39;"; !strings.Contains(page, want) {
		t.Errorf("the policy does not name the style: no %s", want)
	}
}

func TestWritePage(t *testing.T) {
	logs := concluded(t, "a:p", "a:F")
	for range 2 { // it replaces its own
		if err := WriteRunsPage(logs, readHistory(t, logs, ""), nil); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(logs, indexPage)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != history.FileMode {
		t.Errorf("got %v, %v", info, err)
	}
	foreign := filepath.Join(t.TempDir(), "precious.html")
	reporttest.WriteFile(t, foreign, "mine")
	for name, put := range map[string]func(){
		"a file":   func() { reporttest.WriteFile(t, path, "<html>mine</html>") },
		"a link":   func() { reporttest.Symlink(t, foreign, path) },
		"a folder": func() { reporttest.WriteFile(t, filepath.Join(path, "x"), "") },
	} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		put()
		if err := WriteRunsPage(logs, readHistory(t, logs, ""), nil); err == nil || !strings.Contains(hint.Of(err), "move it away") {
			t.Errorf("%s of somebody else: %v", name, err)
		}
	}
	if data, err := os.ReadFile(foreign); err != nil || string(data) != "mine" {
		t.Errorf("got %q, %v", data, err)
	}
	if err := WriteRunsPage(t.TempDir(), new(history.History), nil); err == nil {
		t.Error("a page of no runs")
	}
}

// With 30 runs of 50 steps the page has at most 300 KB, and not much more with any
// number of steps, all of which fail.
func TestRunsPageIsSmall(t *testing.T) {
	for _, test := range []struct {
		steps, runs, most int
		letter            string
	}{{50, 30, 300_000, "p"}, {50, 30, 300_000, "F"}, {300, 31, 1_200_000, "F"}} {
		var story strings.Builder
		for i := range test.steps {
			fmt.Fprintf(&story, "test-%04d:%s ", i, test.letter)
		}
		logs, runs := t.TempDir(), test.runs
		long := strings.Repeat("x", 5000)
		for i := range runs {
			r := reporttest.Night(i, story.String())
			for j := range r.Steps {
				r.Steps[j].Log = report.Log{File: "x.log", Lines: 100, Tail: plain.Tail{Lines: []string{long, long, long, long, long}}}
			}
			if i < runs-1 {
				for j := range r.Steps {
					r.Steps[j].Log = report.Log{}
				}
			}
			reporttest.Save(t, logs, r)
		}
		if size := len(runsPage(t, logs)); size > test.most {
			t.Errorf("%d × %d steps that end with %s: %d bytes", test.runs, test.steps, test.letter, size)
		}
	}
}

func TestLogPages(t *testing.T) {
	f, err := history.Create(t.TempDir(), reporttest.Launch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	logFile := func(name string, lines int) report.Log {
		file, err := f.CreateLog(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for i := range lines {
			fmt.Fprintf(file, "line %d of the secret-word\n", i+1)
		}
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		tail, err := plain.ReadTail(file, info.Size(), 40)
		if err != nil {
			t.Fatal(err)
		}
		return report.Log{File: name, Bytes: info.Size(), Lines: int64(lines), Tail: tail}
	}
	r := reporttest.Night(0, "long:F short:F passed:p none:X lost:T")
	r.ID, r.Folder = f.ID, f.Path
	r.Steps[0].Log = logFile("long.log", 5000)
	r.Steps[1].Log = logFile("short.log", 40)
	r.Steps[2].Log = logFile("passed.log", 5000)
	r.Steps[4].Log = report.Log{File: "lost.log", Lines: 9}
	if err := WriteLogPages(f, r, plain.NewMask([]string{"secret-word"})); err == nil || !strings.Contains(err.Error(), "lost@i") {
		t.Errorf("a log that is not there: %v", err)
	}
	for i, want := range []string{"long.log.html", "", "", "", ""} {
		if got := r.Steps[i].Log.Page; got != want {
			t.Errorf("%s has the page %q, want %q", r.Steps[i].Name, got, want)
		}
	}
	page, err := os.ReadFile(filepath.Join(f.Path, "long.log.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"the last 1,000 of 5,000 lines",
		`<span class="n" aria-hidden="true">4001</span>line 4001 of the ***`,
		`<span class="n" aria-hidden="true">5000</span>line 5000 of the ***`,
		`href="./long.log"`,
		`href="./report.html#s0"`,
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(string(page), "secret") || strings.Contains(string(page), ">4000<") {
		t.Error("the page has what it should not")
	}
	if got := rendered(t, HTML, r); !strings.Contains(got, `href="./long.log.html#end"`) {
		t.Error("the report does not lead to the page")
	}
}

// All that is written at the end of a run of 10,000 steps, a tenth of which failed: 2 s.
func BenchmarkEnd10000(b *testing.B) {
	logs := b.TempDir()
	at := reporttest.Launch
	for b.Loop() {
		b.StopTimer()
		at = at.Add(time.Hour)
		f, err := history.Create(logs, at)
		if err != nil {
			b.Fatal(err)
		}
		r := reporttest.Many(10_000)
		r.ID, r.Folder, r.Started = f.ID, f.Path, at
		for i := range r.Steps {
			r.Steps[i].Log.File = ""
			if i%10 == 0 {
				r.Steps[i].Log.File = fmt.Sprintf("%d.log", i)
				reporttest.WriteFile(b, filepath.Join(f.Path, r.Steps[i].Log.File), strings.Repeat("a line of a log\n", 3000))
			}
		}
		h := readHistory(b, logs, f.ID)
		b.StartTimer()
		h.Conclude(r)
		if err := WriteLogPages(f, r, plain.Mask{}); err != nil {
			b.Fatal(err)
		}
		if err := f.Save(r); err != nil {
			b.Fatal(err)
		}
		if err := WriteReports(f, r); err != nil {
			b.Fatal(err)
		}
		if err := WriteRunsPage(logs, readHistory(b, logs, ""), r); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
