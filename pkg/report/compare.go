package report

import "strings"

// Changed reports whether r says something that the report before it did not: a step has another
// outcome than in the last run that had it, is new, or is gone. Without earlier runs every step is new.
func (r *Run) Changed() bool {
	for i := range r.Steps {
		step := &r.Steps[i]
		if step.Trend == nil || step.Trend.Previous != step.Outcome {
			return true
		}
	}
	return len(r.Gone) > 0
}

// changeCounts counts the steps by change.
type changeCounts struct {
	newly, fixed, still, newFailing, newPassing int
	kinds                                       map[string]int // the newly failing by failureKind
}

// kinds is the order in which a report counts the kinds of new failures.
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

// Change returns how the step changed since the earlier runs; "" if it did not.
func (s *Result) Change() Change {
	if s.Trend == nil {
		return ""
	}
	return s.Trend.Change
}

// failureKind returns "blocked", the cause in the verdict, or "".
func (s *Result) failureKind() string {
	switch {
	case s.Outcome == Blocked:
		return string(Blocked)
	case s.Verdict != nil:
		return string(s.Verdict.Cause)
	}
	return ""
}

// Changes returns what changed since the earlier runs, in words: "2 newly failing (dependencies: 1,
// code: 1), 1 fixed, 3 still failing". It returns "" if nothing changed and nothing fails.
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

// kindsText returns the kinds of the newly failing steps: " (dependencies)" if all are of one kind,
// " (dependencies: 1, code: 1)" otherwise.
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
