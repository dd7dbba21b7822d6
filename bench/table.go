package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// table is what was measured, a row each: ours beside the other, and the goal.
type table struct {
	rows []string
}

func (t *table) add(figure, other, ours, ratio, goal string, met bool) {
	verdict := "missed"
	if met {
		verdict = "met"
	}
	t.rows = append(t.rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t", figure, other, ours, ratio, goal, verdict))
}

func (t *table) write(w io.Writer) error {
	aligned := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	rows := append([]string{"figure\tthe other\truntests\tratio\tgoal\t\t"}, t.rows...)
	for _, row := range rows {
		if _, err := fmt.Fprintln(aligned, row); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	return aligned.Flush()
}

func ms(seconds float64) string { return fmt.Sprintf("%.1f ms", seconds*1000) }

func ratio(a, b float64) string { return fmt.Sprintf("%.2f", a/b) }
