package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// renderings are the formats by name; Formats has their order.
var renderings = map[string]func(io.Writer, *Run) error{
	"text":  Text,
	"json":  JSON,
	"junit": JUnit,
	"tap":   TAP,
	"html":  HTML,
}

// Formats returns the names of the renderings, the default first.
func Formats() []string { return []string{"text", "json", "junit", "tap", "html"} }

// Render writes r in one of Formats.
func Render(w io.Writer, format string, r *Run) error {
	render, ok := renderings[format]
	if !ok {
		return &hinted{fmt.Errorf("render a report: no format %q", format), "the formats are " + strings.Join(Formats(), ", ")}
	}
	return render(w, r)
}

// JSON writes the record itself, as it is in run.json. Control characters and those
// that turn the direction of text around are escaped: it may be shown on a terminal.
func JSON(w io.Writer, r *Run) error {
	var data bytes.Buffer
	enc := json.NewEncoder(&data)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write the record of the run: %w", err)
	}
	_, err := w.Write(escapeJSON(data.Bytes()))
	return err
}

// escapeJSON escapes what Clean would remove and encoding/json leaves as it is. In
// JSON such characters can only be in strings.
func escapeJSON(data []byte) []byte {
	var out []byte
	done := 0
	for i := 0; i < len(data); {
		c, n := utf8.DecodeRune(data[i:])
		if c >= 0x7f && c <= 0x9f || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 {
			out = append(out, data[done:i]...)
			out = fmt.Appendf(out, `\u%04x`, c)
			done = i + n
		}
		i += n
	}
	if done == 0 {
		return data
	}
	return append(out, data[done:]...)
}

// Shorten returns a copy of r of whose tails only the last lines are left, with a
// note that says so. A run with no longer tail is copied as it is.
func Shorten(r *Run, lines int) *Run {
	short := *r
	short.Steps = make([]Result, len(r.Steps))
	shortened := false
	for i, step := range r.Steps {
		if len(step.Log.Tail.Lines) > max(lines, 0) {
			step.Log.Tail = step.Log.Tail.last(lines)
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
		return "To keep this report small, the ends of the logs are left out."
	}
	return "To keep this report small, no more than the last " + count(int64(lines), "line") + " of each log " + isAre(lines) + " shown."
}
