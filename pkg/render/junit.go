package render

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"runtests/pkg/report"
)

// The elements of JUnit's XML as Jenkins reads it. The schema of its xunit plugin (junit-10.xsd) is the
// strictest description of the format.
type (
	junitSuites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Time     seconds  `xml:"time,attr"`
		Suite    junitSuite
	}
	junitSuite struct {
		XMLName    xml.Name        `xml:"testsuite"`
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       seconds         `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr"` // the local time of the launch; the format has no time zone
		Hostname   string          `xml:"hostname,attr"`
		ID         string          `xml:"id,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		XMLName   xml.Name `xml:"testcase"`
		Name      string   `xml:"name,attr"`
		Classname string   `xml:"classname,attr"`
		Time      seconds  `xml:"time,attr"`
		Failure   *junitFault
		Error     *junitFault
		SystemOut string `xml:"system-out,omitempty"`
	}
	junitFault struct {
		XMLName xml.Name
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// seconds is a duration in seconds, to the millisecond.
type seconds time.Duration

// MarshalText returns the number of seconds.
func (s seconds) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", max(time.Duration(s), 0).Seconds()), nil
}

// JUnit writes r as JUnit's XML: one testsuite with a testcase for each step. A step that failed or
// timed out is a failure. Any other that did not pass is an error.
func JUnit(w io.Writer, r *report.Run) error {
	v := newView(r)
	suite := junitSuite{
		Name:      v.Suite,
		Tests:     len(v.steps),
		Time:      seconds(elapsed(r)),
		Timestamp: r.Started.Format("2006-01-02T15:04:05"),
		Hostname:  v.Where,
		ID:        v.ID,
	}
	add := func(name string, values ...string) {
		for _, value := range values {
			suite.Properties = append(suite.Properties, junitProperty{name, value})
		}
	}
	add("engine", v.Engine)
	add("program", v.Program)
	add("folder", v.Folder)
	if v.Changes != "" {
		add("changes", v.Changes)
	}
	add("gone", v.Gone...)
	add("note", v.Notes...)
	for i := range v.steps {
		step := newJUnitCase(v.Suite, &v.steps[i])
		if step.Failure != nil {
			suite.Failures++
		}
		if step.Error != nil {
			suite.Errors++
		}
		suite.Cases = append(suite.Cases, step)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	err := enc.Encode(junitSuites{
		Name: suite.Name, Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Time: suite.Time, Suite: suite,
	})
	if err != nil {
		return fmt.Errorf("write JUnit's XML: %w", err)
	}
	_, err = io.WriteString(w, "\n")
	return err
}

// elapsed returns how long r took, or its steps if r has no end.
func elapsed(r *report.Run) time.Duration {
	if !r.Finished.IsZero() {
		return r.Finished.Sub(r.Started)
	}
	var sum time.Duration
	for i := range r.Steps {
		sum += time.Duration(r.Steps[i].Duration)
	}
	return sum
}

func newJUnitCase(suite string, v *stepView) junitCase {
	var output strings.Builder
	for _, line := range v.Tail {
		output.WriteString(line.String() + "\n")
	}
	c := junitCase{Name: v.Name, Classname: suite, Time: seconds(v.result.Duration), SystemOut: output.String()}
	fault := &junitFault{Type: v.Outcome, Message: v.Reason, Text: details(v)}
	switch v.result.Outcome {
	case report.Passed:
	case report.Failed, report.Timeout:
		fault.XMLName.Local = "failure"
		c.Failure = fault
	default:
		fault.XMLName.Local = "error"
		c.Error = fault
	}
	return c
}

// details returns the facts about a step other than its output, a line each.
func details(v *stepView) string {
	var text strings.Builder
	out := textWriter{Writer: bufio.NewWriter(&text)}
	out.fact("", v.Trend)
	out.verdict(v)
	out.fact("hint: ", v.Hint)
	out.notes(v)
	out.fact("commit: ", v.Commit)
	out.fact("$ ", v.Command)
	out.fact("container: ", noted(v.Container, "kept"))
	out.log(v)
	_ = out.Flush() // a strings.Builder returns no error
	return text.String()
}
