package render

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/hint"
	"runtests/pkg/plain"
	"runtests/pkg/plain/plaintest"
	"runtests/pkg/report"
	"runtests/pkg/report/reporttest"
)

var update = flag.Bool("update", false, "write the golden files again")

// runs has the runs that the golden files show.
var runs = map[string]*report.Run{
	"sample":      reporttest.Sample(),
	"running":     reporttest.Running(),
	"cut-off":     reporttest.CutOff(),
	"interrupted": reporttest.Interrupted(),
	"green":       reporttest.Green(),
	"changed":     reporttest.Changed(),
	"hostile":     reporttest.Hostile(),
	"empty":       {Version: report.Version, Suite: "none", Started: reporttest.Launch, Finished: reporttest.Launch},
}

// extensions has the renderings by the extension of their golden files.
var extensions = map[string]func(io.Writer, *report.Run) error{
	".txt":       Text,
	".json":      report.Encode,
	".xml":       JUnit,
	".tap":       TAP,
	".html":      HTML,
	".mail.html": MailHTML,
}

func rendered(t testing.TB, format func(io.Writer, *report.Run) error, r *report.Run) string {
	t.Helper()
	var out bytes.Buffer
	if err := format(&out, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// compareGolden compares got with a file of testdata, or writes that with -update.
func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	golden := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-%s +got:\n%s", golden, diff)
	}
}

func TestGolden(t *testing.T) {
	for name, run := range runs {
		for extension, format := range extensions {
			t.Run(name+extension, func(t *testing.T) {
				compareGolden(t, name+extension, rendered(t, format, run))
			})
		}
	}
}

// The report reads as the contract says, to the letter.
func TestTextIsAsTheContractDrawsIt(t *testing.T) {
	two := 2
	r := reporttest.Sample()
	r.Notes = nil
	r.Lines = 2
	r.Steps = []report.Result{r.Steps[0], {
		Name: "ecs@specfun-ubuntu-deps", Kind: report.KindTest, Outcome: report.Failed, Reason: "exit status 2", ExitStatus: &two, Duration: r.Steps[3].Duration,
		Command: "docker run --rm --mac-address aa:bb:cc:dd:ee:ff -v /srv/ci/tests/ecs:/test -v /maple:/maple:ro specfun-ubuntu-deps /test/test.sh",
		Log: report.Log{File: "ecs@specfun-ubuntu-deps.2026-11-22T03-00-04.log", Bytes: 910_034, Lines: 18_204,
			Tail: plain.Tail{Lines: []string{"ocamlfind: Package `zarith' not found", "make: *** [ecs.native] Error 2"}}},
	}}
	want := `Subject: 1 success, 1 failures

ecs on ci-slave, 2026-11-22 03:00:04, took 41m12s (Docker 28.5.2)

failed   ecs@specfun-ubuntu-deps   exit status 2 after 12m3s
  $ docker run --rm --mac-address aa:bb:cc:dd:ee:ff -v /srv/ci/tests/ecs:/test -v /maple:/maple:ro specfun-ubuntu-deps /test/test.sh
  log: /var/log/runtests/ecs/2026-11-22T03-00-04/ecs@specfun-ubuntu-deps.2026-11-22T03-00-04.log (18,204 lines)
  the last 2 lines:
  | ocamlfind: Package ` + "`" + `zarith' not found
  | make: *** [ecs.native] Error 2

passed   image specfun-debian-opam   3m10s
  $ docker build -t specfun-debian-opam docker/debian/opam
  image: 4f8c0d12ab34, 1.03GB, 12.4MB larger than before
  why: built 7 days ago (rebuild: weekly)
  packages: 412, 1 changed: libgmp10 6.2.1 → 6.3.0, 1 added: m4 1.4.19, 1 removed: camlp4 4.02
`
	if diff := cmp.Diff(want, rendered(t, Text, r)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Whatever a record holds, no rendering acts on a terminal.
func TestRenderingsAreSafe(t *testing.T) {
	for extension, format := range extensions {
		if got := rendered(t, format, reporttest.Hostile()); !plaintest.Safe(got, "\t\n") {
			t.Errorf("%s holds a control character: %q", extension, got)
		}
	}
	text := rendered(t, Text, reporttest.Hostile())
	if got := strings.Count(text, "\nSubject:"); got != 0 {
		t.Errorf("%d lines are forged:\n%s", got, text)
	}
}

func TestPagesHaveNoForeignMarkup(t *testing.T) {
	links := regexp.MustCompile(`href="([^"]*)`)
	for _, page := range []func(io.Writer, *report.Run) error{HTML, MailHTML} {
		got := rendered(t, page, reporttest.Hostile())
		for _, tag := range []string{"<script", "<img", "<link", "<iframe", "src=", "url(", "@import", "javascript:"} {
			if strings.Contains(strings.ToLower(got), tag) {
				t.Errorf("a page holds %q", tag)
			}
		}
		for _, link := range links.FindAllStringSubmatch(got, -1) {
			file, here := strings.CutPrefix(link[1], "./")
			if link[1] != "../index.html" && (!here || strings.Contains(file, "/")) {
				t.Errorf("a link leads away: %q", link[1])
			}
		}
	}
}

// The mail's HTML stands without a style element, which many mail programs drop.
func TestMailHTMLHasItsStylesInline(t *testing.T) {
	if got := rendered(t, MailHTML, reporttest.Sample()); strings.Contains(got, "<style") || strings.Contains(got, "class=") {
		t.Error("it has a style element or a class")
	}
}

func TestJSONComesBack(t *testing.T) {
	for name, want := range runs {
		if name == "hostile" { // broken UTF-8 does not come back
			continue
		}
		var got report.Run
		if err := json.Unmarshal([]byte(rendered(t, report.Encode, want)), &got); err != nil {
			t.Fatal(err)
		}
		got.Running = want.Running // no part of the record
		if diff := cmp.Diff(want, &got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// xmllint (Debian: libxml2-utils) must be there: without it nothing is proven.
func TestJUnitFollowsTheSchemaOfJenkins(t *testing.T) {
	for name, run := range runs {
		file := filepath.Join(t.TempDir(), "junit.xml")
		if err := os.WriteFile(file, []byte(rendered(t, JUnit, run)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("xmllint", "--noout", "--nonet", "--schema", "testdata/junit.xsd", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestJUnitCounts(t *testing.T) {
	for name, want := range map[string]string{"sample": "8 3 3", "interrupted": "3 0 2", "cut-off": "8 1 5", "green": "2 0 0"} {
		var got struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
		}
		if err := xml.Unmarshal([]byte(rendered(t, JUnit, runs[name])), &got); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(got.Tests, got.Failures, got.Errors); got != want {
			t.Errorf("%s: tests, failures, errors are %s, want %s", name, got, want)
		}
	}
}

// proved returns what prove, perl's consumer of TAP, says about a report.
func proved(t *testing.T, r *report.Run) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.tap")
	if err := os.WriteFile(file, []byte(rendered(t, TAP, r)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("prove", "--exec", "cat", file).CombinedOutput()
	if len(out) == 0 {
		t.Fatal(err)
	}
	return string(out)
}

func TestTAPIsUnderstoodByProve(t *testing.T) {
	for name, want := range map[string]string{
		"green":   `Result: PASS`,
		"sample":  `Failed tests?:?\s+2, 4-8`,
		"hostile": `Failed tests?:?\s+1, 3`, // and no test is taken for a skipped one
		"cut-off": `Failed tests?:?\s+2, 4-8`,
	} {
		got := proved(t, runs[name])
		if !regexp.MustCompile(want).MatchString(got) || strings.Contains(got, "Parse errors") {
			t.Errorf("%s: want %q in:\n%s", name, want, got)
		}
	}
}

func TestRender(t *testing.T) {
	for _, format := range Formats() {
		var out bytes.Buffer
		if err := Render(&out, format, reporttest.Sample()); err != nil || out.Len() == 0 {
			t.Errorf("%s: %d bytes, %v", format, out.Len(), err)
		}
	}
	if err := Render(io.Discard, "pdf", reporttest.Sample()); err == nil || !strings.Contains(hint.Of(err), "text, json, junit, tap, html") {
		t.Errorf("got %v, hint %q", err, hint.Of(err))
	}
}

// limited fails after some bytes, as a full disk or a closed pipe does.
type limited struct{ left int }

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestRenderingsTellWriteErrors(t *testing.T) {
	for extension, format := range extensions {
		size := len(rendered(t, format, reporttest.Sample()))
		for _, room := range []int{0, 10, size / 2, size - 1} {
			if err := format(&limited{room}, reporttest.Sample()); err == nil {
				t.Errorf("%s: no error when there is room for %d of %d bytes", extension, room, size)
			}
		}
	}
}

func TestShorten(t *testing.T) {
	r := reporttest.Sample()
	before := rendered(t, report.Encode, r)
	short := Shorten(r, 2)
	if after := rendered(t, report.Encode, r); after != before {
		t.Error("the run itself was changed")
	}
	if got, want := short.Steps[3].Log.Tail.Lines, r.Steps[3].Log.Tail.Lines[38:]; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if diff := cmp.Diff(map[int]int64{0: 1 << 30}, short.Steps[7].Log.Tail.Cut); diff != "" {
		t.Errorf("the cut line: -want +got:\n%s", diff)
	}
	if got, want := short.Notes[1:], []string{"To keep this report small, each log is cut to its last 2 lines."}; !slices.Equal(got, want) {
		t.Errorf("got the notes %q, want %q", got, want)
	}
	if none := Shorten(r, 0); none.Steps[3].Log.Tail.Lines != nil || len(none.Notes) != 2 {
		t.Errorf("got %q and %q", none.Steps[3].Log.Tail.Lines, none.Notes)
	}
	if same := Shorten(r, 40); len(same.Notes) != 1 {
		t.Errorf("nothing was shortened, yet it says so: %q", same.Notes)
	}
}

func TestCommandLineStaysOne(t *testing.T) {
	line := commandLine("sh -c 'echo a\necho b'")
	if line != `sh -c 'echo a'$'\n''echo b'` {
		t.Errorf("got %s", line)
	}
	if out, err := exec.Command("bash", "-c", line).CombinedOutput(); err != nil || string(out) != "a\nb\n" {
		t.Errorf("a shell does %q with it (%v)", out, err)
	}
}

// All renderings of a run of 10,000 steps: under 2 s.
func BenchmarkRender10000(b *testing.B) {
	run := reporttest.Many(10_000)
	for b.Loop() {
		for _, format := range extensions {
			if err := format(io.Discard, run); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// Any bytes as a record: an error or a run that every rendering can show.
func FuzzRender(f *testing.F) {
	// Small seeds: the fuzzer spends a minute on making each large input smaller.
	f.Add([]byte(`{"version":1,"suite":"ecs","started":"2026-11-22T03:00:04+01:00","notes":["a"],"steps":[{"name":"a@b","kind":"test"}]}`))
	f.Add([]byte(`{"version":1,"signal":"SIGINT","steps":[{"kind":"image","outcome":"failed","log":{"file":"x","tail":{"lines":[" a","b"]}}}]}`))
	f.Add([]byte(`{"version":1,"steps":[{"duration_seconds":1e300,"log":{"lines":-5,"tail":{"cut":{"7":-1}}}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := report.Decode(data)
		if err != nil {
			return
		}
		for extension, format := range extensions {
			if extension == ".json" { // a year beyond 9999 is refused
				continue
			}
			if got := rendered(t, format, r); !plaintest.Safe(got, "\t\n") {
				t.Errorf("%s is not safe: %q", extension, got)
			}
		}
	})
}

// A record of a later program, with an outcome that this one does not know, can be shown.
func TestUnknownOutcome(t *testing.T) {
	r, err := report.Decode([]byte(`{"version": 1, "suite": "ecs", "mood": "good", "steps": [{"name": "a@b", "outcome": "puzzled", "colour": {}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := rendered(t, Text, r); !strings.Contains(got, "\npuzzled  a@b\n") {
		t.Errorf("got %s", got)
	}
}
