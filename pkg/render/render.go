package render

import (
	"errors"
	"io"
	"strings"

	"runtests/pkg/hint"
	"runtests/pkg/history"
	"runtests/pkg/report"
)

// renderings has the formats by name. Formats has their order.
var renderings = map[string]func(io.Writer, *report.Run) error{
	"text":  Text,
	"json":  report.Encode,
	"junit": JUnit,
	"tap":   TAP,
	"html":  HTML,
}

// Formats returns the names of the renderings, the default first.
func Formats() []string { return []string{"text", "json", "junit", "tap", "html"} }

// Render writes r in one of Formats.
func Render(w io.Writer, format string, r *report.Run) error {
	write, ok := renderings[format]
	if !ok {
		return hint.Errorf("the formats are "+strings.Join(Formats(), ", "), "render a report: no format %q", format)
	}
	return write(w, r)
}

// WriteReports writes report.txt, report.html and junit.xml into a run's folder.
func WriteReports(f *history.Folder, r *report.Run) error {
	var errs []error
	for name, format := range map[string]func(io.Writer, *report.Run) error{history.TextFile: Text, history.HTMLFile: HTML, history.JUnitFile: JUnit} {
		errs = append(errs, f.Replace(name, func(w io.Writer) error { return format(w, r) }))
	}
	return errors.Join(errs...)
}

// Shorten returns a copy of r whose tails have only their last lines, with a note that says so. The
// copy has no note if no tail is longer.
func Shorten(r *report.Run, lines int) *report.Run {
	short := *r
	short.Steps = make([]report.Result, len(r.Steps))
	shortened := false
	for i, step := range r.Steps {
		if len(step.Log.Tail.Lines) > max(lines, 0) {
			step.Log.Tail = step.Log.Tail.Last(lines)
			shortened = true
		}
		short.Steps[i] = step
	}
	if shortened {
		short.Notes = append(append([]string(nil), r.Notes...), shortenedNote(lines))
	}
	return &short
}

func shortenedNote(lines int) string {
	if lines <= 0 {
		return "To keep this report small, the logs are left out."
	}
	return "To keep this report small, each log is cut to its last " + report.Count(int64(lines), "line") + "."
}
