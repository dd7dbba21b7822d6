// Package buildlog turns the report on the build of an image, as the classic builder, BuildKit and
// Podman send it, into a plain log and the instruction of the Dockerfile that failed. It reads a
// stream and writes text, whatever engine is at the other end.
package buildlog

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/jsonmessage"
	"runtests/pkg/plain"
)

// Report is a builder's report. The fields are those of the part that was read so far.
type Report struct {
	ImageID string // with or without its algorithm; empty: there is no image
	Failure string // the builder's message; empty: the build has not failed
	Running string // the container in which the classic builder executes an instruction; empty: none

	log   *plainLog
	lines splitter
	trace trace
	code  int    // of the failure: the exit status of the classic builder's RUN
	step  string // the line with which the classic builder or Podman began the current instruction
	full  bool   // the output of the instruction says that a disk is full
}

// New returns a report that is written to log as it is read, a line at a time and without the
// secrets, in the form of `docker build --progress plain`.
func New(log io.Writer, secrets plain.Mask) *Report {
	r := &Report{log: newPlainLog(log, secrets)}
	r.trace.log = r.log
	return r
}

// traceID marks a message that contains one of BuildKit's.
const traceID = "moby.buildkit.trace"

// Read reads the stream to its end. A log that cannot be written does not stop it.
func (r *Report) Read(stream io.Reader) error {
	for m, err := range jsonmessage.All(stream) {
		if err == nil {
			err = r.message(m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) message(m jsonmessage.Message) error {
	switch failure := m.Failure(); {
	case failure != "":
		r.Failure, r.code = failure, m.ErrorDetail.Code
	case m.ID == traceID:
		var trace []byte
		if err := json.Unmarshal(m.Aux, &trace); err != nil {
			return fmt.Errorf("read the engine's report: %w", err)
		}
		return r.trace.add(trace)
	case len(m.Aux) > 0:
		var image struct{ ID string }
		if json.Unmarshal(m.Aux, &image) == nil && image.ID != "" { // other builders send other fields
			r.ImageID = image.ID
		}
	case m.Stream != "":
		r.lines.add(uncoloured(m.Stream), r.log.secrets, r.line)
	}
	return nil
}

// uncoloured returns what a command of a build printed without the colour that the classic
// builder gives to its errors.
func uncoloured(text string) string {
	const red, end = "\x1b[91m", "\x1b[0m"
	if strings.HasPrefix(text, red) && strings.HasSuffix(text, end) {
		return text[len(red) : len(text)-len(end)]
	}
	return text
}

// runningLine matches the line that names the container in which the classic builder executes an
// instruction.
var runningLine = regexp.MustCompile(`^ ---> Running in ([0-9a-f]{12})$`)

// line reads and logs a line of the classic builder or Podman.
func (r *Report) line(text string) {
	switch match := runningLine.FindStringSubmatch(text); {
	case step.MatchString(text):
		r.step, r.Running, r.full = text, "", false
	case match != nil:
		r.Running = match[1]
	case r.Running != "" && text == "Removing intermediate container "+r.Running:
		r.Running = ""
	default:
		r.full = r.full || container.SaysNoSpace(text)
	}
	r.log.line(text)
}

// End logs the rest of the output and the failure. It returns the error of writing the log.
func (r *Report) End() error {
	r.lines.flush(r.line)
	if r.Failure != "" {
		r.log.line("ERROR: " + r.Failure)
	}
	return r.log.w.Flush()
}

// Canceled reports whether the build failed because somebody canceled it.
func (r *Report) Canceled() bool { return strings.Contains(r.Failure, canceled) }
