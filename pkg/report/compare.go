package report

import "strings"

// Changed says whether the reader of the reports before learns something new from this
// one: a step ended otherwise than when it was last to run, is new, or is gone. Without runs
// before it all is new.
func (r *Run) Changed() bool {
	for i := range r.Steps {
		step := &r.Steps[i]
		if step.Trend == nil || step.Trend.Was != step.Outcome {
			return true
		}
	}
	return len(r.Gone) > 0
}

// changeCounts are how many steps changed in which way.
type changeCounts struct {
	newly, fixed, still, newFailing, newPassing int
	kinds                                       map[string]int // of the newly failing: their verdict, or that they are blocked
}

// kinds is the order in which the kinds of new failures are told.
var kinds = []string{string(Dependencies), string(Code), string(Environment), string(Flaky), string(Blocked)}

func (r *Run) changeCounts() changeCounts {
	c := changeCounts{kinds: map[string]int{}}
	for i := range r.Steps {
		step := &r.Steps[i]
		switch step.Change() {
		case NewlyFailing:
			c.newly++
			c.kinds[step.failureKind()]++
		case StillFailing:
			c.still++
		case Fixed:
			c.fixed++
		case New:
			if step.Outcome == Passed {
				c.newPassing++
			} else {
				c.newFailing++
			}
		}
	}
	return c
}

// Change is what became of the step since the runs before.
func (s *Result) Change() Change {
	if s.Trend == nil {
		return ""
	}
	return s.Trend.Change
}

// failureKind is the kind of a failure in one word; empty when there is no verdict.
func (s *Result) failureKind() string {
	switch {
	case s.Outcome == Blocked:
		return string(Blocked)
	case s.Verdict != nil:
		return string(s.Verdict.Word)
	}
	return ""
}

// Changes says in words what changed since the runs before: "2 newly failing (1
// dependencies, 1 code), 1 fixed, 3 still failing". It is empty when nothing has, and
// nothing fails.
func (r *Run) Changes() string {
	c := r.changeCounts()
	var parts []string
	add := func(n int, text string) {
		if n > 0 {
			parts = append(parts, Thousands(int64(n))+" "+text)
		}
	}
	add(c.newly, string(NewlyFailing)+c.kindsText())
	add(c.newFailing, "new and failing")
	add(c.fixed, string(Fixed))
	add(c.still, string(StillFailing))
	add(c.newPassing, string(New))
	add(len(r.Gone), "gone")
	return strings.Join(parts, ", ")
}

func (c changeCounts) kindsText() string {
	var parts []string
	var only string
	for _, kind := range kinds {
		if n := c.kinds[kind]; n > 0 {
			parts = append(parts, kind+": "+Thousands(int64(n)))
			only = kind
		}
	}
	switch {
	case len(parts) == 0:
		return ""
	case len(parts) == 1 && c.kinds[only] == c.newly:
		return " (" + only + ")"
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
