package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
)

// buildReport reads what the engine tells of a build, and writes it to the log.
type buildReport struct {
	build Build
	sink  *sink
	lines lineWriter
	signs atomic.Int64 // grows as long as something comes

	id      string // of the image
	failure string
	code    int
	step    int  // of the classic builder
	full    bool // a disk is, says the instruction that is executed
}

func newBuildReport(b Build, log io.Writer) *buildReport {
	s := &sink{w: log}
	return &buildReport{build: b, sink: s, lines: lineWriter{sink: s, secrets: secretsOf(b.Args)}}
}

// buildMessage is one value of the report.
type buildMessage struct {
	Stream, Status, ID, Error string
	ErrorDetail               struct {
		Code    int
		Message string
	}
	Aux json.RawMessage
}

func (r *buildReport) read(body io.Reader) error {
	values := json.NewDecoder(body)
	for {
		var m buildMessage
		switch err := values.Decode(&m); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: its report of the build is cut off: %w", ErrGone, err)
		}
		r.signs.Add(1)
		if err := r.message(m); err != nil {
			return err
		}
	}
}

var stepLine = regexp.MustCompile(`^Step (\d+)/\d+ : `)

func (r *buildReport) message(m buildMessage) error {
	switch {
	case m.Error != "" || m.ErrorDetail.Message != "":
		r.failure, r.code = m.Error, m.ErrorDetail.Code
		if m.ErrorDetail.Message != "" {
			r.failure = m.ErrorDetail.Message
		}
	case len(m.Aux) > 0:
		var image struct{ ID string }
		if json.Unmarshal(m.Aux, &image) == nil && image.ID != "" {
			r.id = imageID(image.ID)
		}
	case m.Stream != "":
		if match := stepLine.FindStringSubmatch(m.Stream); match != nil {
			r.step, _ = strconv.Atoi(match[1])
			r.full = false
		}
		r.lines.write(m.Stream)
	}
	return nil
}

func (r *buildReport) flush() { r.lines.flush() }

// fault is the build's failure as an error.
func (r *buildReport) fault() error {
	err := &BuildError{Message: r.failure, Code: r.code}
	if n := r.step; n > 0 && n <= len(r.build.Instructions) {
		err.Line, err.Instruction = r.build.Instructions[n-1].Line, r.build.Instructions[n-1].Text
	}
	return err
}

// BuildError is a Dockerfile that fails.
type BuildError struct {
	Line        int    // of the Dockerfile, from 1; 0: not known
	Instruction string // on one line; empty: not known
	Code        int    // the exit status of a RUN; 0: it is something else that failed
	Message     string // the builder's words
}

// Error says which instruction failed and how.
func (e *BuildError) Error() string {
	told := e.Message
	if e.Code != 0 {
		told = fmt.Sprintf("exit status %d", e.Code)
	}
	if e.Instruction != "" {
		told = e.Instruction + ": " + told
	}
	if e.Line > 0 {
		told = fmt.Sprintf("line %d of the Dockerfile: %s", e.Line, told)
	}
	return told
}

// lineWriter writes text to a sink a line at a time, without secrets.
type lineWriter struct {
	sink    *sink
	secrets *strings.Replacer
	rest    strings.Builder
}

func (w *lineWriter) write(text string) {
	for {
		line, rest, ok := strings.Cut(text, "\n")
		w.rest.WriteString(line)
		if !ok {
			return
		}
		w.sink.write([]byte(w.secrets.Replace(w.rest.String()) + "\n"))
		w.rest.Reset()
		text = rest
	}
}

func (w *lineWriter) flush() {
	if w.rest.Len() > 0 {
		w.write("\n")
	}
}

// secretsOf takes the values of secret arguments out of a text.
func secretsOf(args []Variable) *strings.Replacer {
	var pairs []string
	for _, a := range args {
		if a.Secret && a.Value != "" {
			pairs = append(pairs, a.Value, "***")
		}
	}
	return strings.NewReplacer(pairs...)
}
