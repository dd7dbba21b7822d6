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

// failingAdded is how Changes counts a step that is new and fails.
const failingAdded Change = "new and failing"

// Changes returns what changed since the earlier runs, in words: "2 newly failing (dependencies: 1,
// code: 1), 1 fixed, 3 still failing". It returns "" if nothing changed and nothing fails.
func (r *Run) Changes() string {
	counts := map[Change]int{"gone": len(r.Gone)}
	kinds := map[string]int{} // of the newly failing steps
	for i := range r.Steps {
		step := &r.Steps[i]
		change := step.Change()
		switch {
		case change == NewlyFailing:
			kinds[step.failureKind()]++
		case change == Added && step.Outcome != Passed:
			change = failingAdded
		}
		counts[change]++
	}
	var parts []string
	for _, change := range []Change{NewlyFailing, failingAdded, Fixed, StillFailing, Added, "gone"} {
		n := counts[change]
		if n == 0 {
			continue
		}
		part := Thousands(int64(n)) + " " + string(change)
		if change == NewlyFailing {
			part += kindsText(kinds, n)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// kindsText returns the kinds of the newly failing steps: " (dependencies)" if all are of one kind,
// " (dependencies: 1, code: 1)" otherwise.
func kindsText(kinds map[string]int, newly int) string {
	var parts []string
	for _, kind := range []string{string(Dependencies), string(Code), string(Environment), string(Flaky), string(Blocked)} {
		switch n := kinds[kind]; n {
		case 0:
		case newly:
			return " (" + kind + ")"
		default:
			parts = append(parts, kind+": "+Thousands(int64(n)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
