package history

import (
	"strings"
	"testing"

	"runtests/pkg/report"
	"runtests/pkg/report/reporttest"
)

// past returns the history of nights as reporttest.Nights tells them, the oldest first, each judged in
// its time.
func past(nights ...string) *History {
	h := new(History)
	for i, story := range nights {
		r := reporttest.Night(i, story)
		h.summarize()
		h.Conclude(r)
		night := PastRun{ID: r.ID, Started: r.Started, Finished: r.Finished, Partial: r.Partial}
		for _, s := range r.Steps {
			step := PastStep{Name: s.Name, Kind: s.Kind, Outcome: s.Outcome, Duration: s.Duration}
			if s.Trend != nil && !s.Trend.Since.IsZero() && s.Outcome != report.Passed {
				step.Failing = &Streak{Since: s.Trend.Since, Runs: s.Trend.Runs}
			}
			night.Steps = append(night.Steps, step)
		}
		h.Runs = append([]PastRun{night}, h.Runs...)
	}
	h.summarize()
	return h
}

// letters returns rows as words: "a:Fp-" failed in the newest run, passed before, and is not in the oldest.
func letters(rows []Row) string {
	var words []string
	for _, row := range rows {
		name, _, _ := strings.Cut(row.Last.Step().Name, "@")
		word := name + ":"
		for _, entry := range row.Entries {
			word += string(entry.Outcome().Letter())
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestRows(t *testing.T) {
	nights := []string{"a:p b:p gone:p", "a:p b:F gone:F", "partial b:T new:p", "c:X a: b:I"}
	for _, test := range []struct {
		names string // empty: the current steps
		runs  int
		want  string
	}{
		{"", 4, "c:X--- a:I-pp b:ITFp"},
		{"", 2, "c:X- a:I- b:IT"},
		{"", 0, "c: a: b:"},
		{"gone b new", 2, "b:IT new:-p gone:--"}, // the last run that had the step need not be shown
		{"b none", 9, "b:ITFp"},
	} {
		h := past(nights...)
		names := h.CurrentSteps()
		if test.names != "" {
			names = nil
			for _, name := range strings.Fields(test.names) {
				names = append(names, name+"@i")
			}
		}
		if got := letters(h.Rows(names, test.runs)); got != test.want {
			t.Errorf("%q in %d runs: got %q, want %q", test.names, test.runs, got, test.want)
		}
	}
	h := past(nights...)
	h.Runs[0].Running = true
	if got, want := letters(h.Rows([]string{"a@i"}, 2)), "a:--"; got != want {
		t.Errorf("a step that goes on: got %q, want %q", got, want)
	}
}

func TestFailingNow(t *testing.T) {
	for _, test := range []struct {
		name   string
		nights []string
		want   string
	}{
		{"nothing fails", []string{"a:F b:p", "a:p b:p"}, ""},
		{"new failures, blocked steps, then those that go on", []string{"a:p b:p c:F d:X e:p", "a:X b:F c:F d:X e:p"}, "b a c d"},
		{"equally urgent ones in the suite's order", []string{"b:p a:p c:p", "b:T a:F c:B"}, "b a c"},
		{"since before a partial run", []string{"a:F b:F", "partial b:p"}, "a"},
		{"cut off", []string{"a:p b:p", "a: b:p"}, "a"},
	} {
		h := past(test.nights...)
		var names []string
		for _, entry := range FailingNow(h.Rows(h.CurrentSteps(), 1)) {
			names = append(names, strings.TrimSuffix(entry.Step().Name, "@i"))
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestWorst(t *testing.T) {
	h := past("a:p b:F c:p d:p e:p", "a:p b:p c:p d:T e:p")
	for n, want := range []string{"", "b:pF", "b:pF d:Tp", "a:pp b:pF d:Tp", "a:pp b:pF c:pp d:Tp", "a:pp b:pF c:pp d:Tp e:pp", "a:pp b:pF c:pp d:Tp e:pp"} {
		if got := letters(Worst(h.Rows(h.CurrentSteps(), 2), n)); got != want {
			t.Errorf("%d rows: got %q, want %q", n, got, want)
		}
	}
}
