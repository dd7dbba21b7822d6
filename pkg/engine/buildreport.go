package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync/atomic"

	"runtests/pkg/container"
)

// buildReport reads the engine's report of a build, a sequence of JSON values, and writes it to
// the log.
type buildReport struct {
	sink  *sink
	log   *plainLog
	lines splitter
	trace trace
	signs atomic.Int64 // how many values have come

	id      string // of the image
	failure string // the engine's message; empty: none so far
	code    int    // of the failure: the exit status of the classic builder's RUN
	step    string // the line with which the classic builder or Podman began the current instruction
	running string // the container in which the classic builder executes it; empty: none
	full    bool   // the output of the instruction says that a disk is full
}

func newBuildReport(log io.Writer, args []container.Variable) *buildReport {
	s := &sink{w: log}
	r := &buildReport{sink: s, log: newPlainLog(s, args)}
	r.trace.log = r.log
	return r
}

// buildMessage is a value of the report.
type buildMessage struct {
	Stream, Status, ID, Error string
	ErrorDetail               struct {
		Code    int
		Message string
	}
	Aux json.RawMessage
}

// traceID marks a value that is a message of BuildKit's.
const traceID = "moby.buildkit.trace"

func (r *buildReport) read(body io.Reader) error {
	values := json.NewDecoder(body)
	for {
		var m buildMessage
		switch err := values.Decode(&m); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		r.signs.Add(1)
		if err := r.message(m); err != nil {
			return err
		}
	}
}

func (r *buildReport) message(m buildMessage) error {
	switch {
	case m.Error != "" || m.ErrorDetail.Message != "":
		r.failure, r.code = m.ErrorDetail.Message, m.ErrorDetail.Code
		if r.failure == "" {
			r.failure = m.Error
		}
		r.failure = strings.TrimSpace(r.failure)
	case m.ID == traceID:
		var trace []byte
		if err := json.Unmarshal(m.Aux, &trace); err != nil {
			return fmt.Errorf("read the engine's report: %w", err)
		}
		return r.trace.add(trace)
	case len(m.Aux) > 0:
		var image struct{ ID string }
		if json.Unmarshal(m.Aux, &image) == nil && image.ID != "" { // other builders send other fields
			r.id = imageID(image.ID)
		}
	case m.Stream != "":
		r.lines.add(uncoloured(m.Stream), r.log, r.line)
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
func (r *buildReport) line(text string) {
	switch match := runningLine.FindStringSubmatch(text); {
	case step.MatchString(text):
		r.step, r.running, r.full = text, "", false
	case match != nil:
		r.running = match[1]
	case r.running != "" && text == "Removing intermediate container "+r.running:
		r.running = ""
	default:
		r.full = r.full || saysFull(text)
	}
	r.log.line(text)
}

// end logs the rest of the output and the failure.
func (r *buildReport) end() {
	r.lines.flush(r.line)
	if r.failure != "" {
		r.log.line("ERROR: " + r.failure)
	}
}
