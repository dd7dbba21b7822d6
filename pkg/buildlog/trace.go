package buildlog

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"runtests/pkg/container"
)

// trace is BuildKit's report of a build: the state of its vertices, most of which are
// instructions of the Dockerfile, and their output. It consists of BuildKit's own messages
// (api/services/control/control.proto, StatusResponse, in protocol buffers). Only the fields
// for a log are decoded, because BuildKit's package for them would add gRPC.
type trace struct {
	log      *plainLog
	vertices map[string]*vertex // by digest
	numbered int
}

// vertex is a unit of BuildKit's work.
type vertex struct {
	number    int // in the log, from 1; 0: it has not begun
	name      string
	cached    bool
	started   time.Time
	completed time.Time
	failure   string // empty: none
	ended     string // its last line in the log; empty: it has not ended
	lines     splitter
	full      bool // its output says that a disk is full
}

// The numbers of the fields, as the .proto file has them.
const (
	statusVertexes = 1
	statusStatuses = 2
	statusLogs     = 3
	statusWarnings = 4

	vertexDigest    = 1
	vertexName      = 3
	vertexCached    = 4
	vertexStarted   = 5
	vertexCompleted = 6
	vertexError     = 7

	progressID        = 1
	progressVertex    = 2
	progressName      = 3
	progressCompleted = 8

	logVertex    = 1
	logTimestamp = 2
	logText      = 4

	warningVertex = 1
	warningShort  = 3
	warningRanges = 7
)

// add reads a message and writes its news to the log.
func (t *trace) add(message []byte) error {
	return fields(message, func(number protowire.Number, _ uint64, data []byte) error {
		switch number {
		case statusVertexes:
			return t.vertex(data)
		case statusStatuses:
			return t.progress(data)
		case statusLogs:
			return t.print(data)
		case statusWarnings:
			return t.warn(data)
		}
		return nil
	})
}

// fields calls each for every field of a message, with its value if it is a number and its bytes
// otherwise.
func fields(message []byte, each func(number protowire.Number, value uint64, data []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errNotTrace
		}
		message = message[n:]
		var value uint64
		var data []byte
		switch kind {
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			data, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return errNotTrace
		}
		if err := each(number, value, data); err != nil {
			return err
		}
		message = message[n:]
	}
	return nil
}

var errNotTrace = errors.New("BuildKit's report is malformed")

// moment decodes a google.protobuf.Timestamp.
func moment(data []byte) (time.Time, error) {
	var seconds, nanoseconds int64
	err := fields(data, func(number protowire.Number, value uint64, _ []byte) error {
		switch number {
		case 1:
			seconds = int64(value)
		case 2:
			nanoseconds = int64(value)
		}
		return nil
	})
	return time.Unix(seconds, nanoseconds), err
}

// at returns the vertex with that digest, which may be new.
func (t *trace) at(digest string) *vertex {
	v := t.vertices[digest]
	if v == nil {
		v = &vertex{}
		if t.vertices == nil {
			t.vertices = map[string]*vertex{}
		}
		t.vertices[digest] = v
	}
	return v
}

func (t *trace) vertex(data []byte) error {
	var digest string
	var now vertex
	err := fields(data, func(number protowire.Number, value uint64, data []byte) (err error) {
		switch number {
		case vertexDigest:
			digest = string(data)
		case vertexName:
			now.name = strings.Join(strings.Fields(string(data)), " ")
		case vertexCached:
			now.cached = value != 0
		case vertexStarted:
			now.started, err = moment(data)
		case vertexCompleted:
			now.completed, err = moment(data)
		case vertexError:
			now.failure = string(data)
		}
		return err
	})
	if err != nil {
		return err
	}
	v := t.at(digest)
	v.name, v.cached, v.started, v.completed, v.failure = now.name, now.cached, now.started, now.completed, now.failure
	if !v.started.IsZero() || v.failure != "" {
		t.begin(v)
	}
	t.end(v)
	return nil
}

// begin gives a vertex its number and logs its name, unless that was done.
func (t *trace) begin(v *vertex) {
	if v.number > 0 {
		return
	}
	t.numbered++
	v.number = t.numbered
	t.log.line(fmt.Sprintf("#%d %s", v.number, v.name))
}

// end logs how a vertex ended. BuildKit ends some vertices more than once.
func (t *trace) end(v *vertex) {
	if v.number == 0 || v.completed.IsZero() && v.failure == "" {
		return
	}
	how := fmt.Sprintf("DONE %.1fs", v.completed.Sub(v.started).Seconds())
	switch {
	case v.failure != "":
		how = "ERROR: " + v.failure
	case v.cached:
		how = "CACHED"
	}
	if v.ended != "" && v.failure == "" || v.ended == how {
		return
	}
	v.lines.flush(func(line string) { t.output(v, v.completed, line) })
	v.ended = how
	t.log.line(fmt.Sprintf("#%d %s", v.number, how))
}

// progress logs the end of a part of a vertex, such as a layer or a file.
func (t *trace) progress(data []byte) error {
	var id, digest, name string
	done := false
	err := fields(data, func(number protowire.Number, _ uint64, data []byte) error {
		switch number {
		case progressID:
			id = string(data)
		case progressVertex:
			digest = string(data)
		case progressName:
			name = string(data)
		case progressCompleted:
			done = true
		}
		return nil
	})
	if err != nil || !done {
		return err
	}
	v := t.at(digest)
	t.begin(v)
	if strings.HasPrefix(id, name) {
		name = id // the complete name: "extracting sha256:..."
	}
	t.log.line(fmt.Sprintf("#%d %s done", v.number, name))
	return nil
}

// print logs a piece of a vertex's output.
func (t *trace) print(data []byte) error {
	var digest, text string
	var at time.Time
	err := fields(data, func(number protowire.Number, _ uint64, data []byte) (err error) {
		switch number {
		case logVertex:
			digest = string(data)
		case logTimestamp:
			at, err = moment(data)
		case logText:
			text = string(data)
		}
		return err
	})
	if err != nil {
		return err
	}
	v := t.at(digest)
	t.begin(v)
	v.lines.add(text, t.log.secrets, func(line string) { t.output(v, at, line) })
	return nil
}

// output logs a line of a vertex's output, with the seconds since its start.
func (t *trace) output(v *vertex, at time.Time, line string) {
	v.full = v.full || container.SaysNoSpace(line)
	t.log.line(fmt.Sprintf("#%d %.3f %s", v.number, max(0, at.Sub(v.started).Seconds()), line))
}

// warn logs a warning about the Dockerfile.
func (t *trace) warn(data []byte) error {
	var digest, short string
	line := uint64(0)
	err := fields(data, func(number protowire.Number, _ uint64, data []byte) (err error) {
		switch number {
		case warningVertex:
			digest = string(data)
		case warningShort:
			short = string(data)
		case warningRanges:
			if line == 0 {
				line, err = firstLine(data)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if line > 0 {
		short = fmt.Sprintf("%s (line %d)", short, line)
	}
	v := t.at(digest)
	t.begin(v)
	t.log.line(fmt.Sprintf("#%d WARN: %s", v.number, short))
	return nil
}

// firstLine returns the first line of a range of the Dockerfile (solver/pb/ops.proto, Range).
func firstLine(data []byte) (line uint64, err error) {
	err = fields(data, func(number protowire.Number, _ uint64, data []byte) error {
		if number != 1 {
			return nil
		}
		return fields(data, func(number protowire.Number, value uint64, _ []byte) error {
			if number == 1 {
				line = value
			}
			return nil
		})
	})
	return line, err
}

// failed returns the vertex whose failure made the build fail for that reason, or nil.
func (t *trace) failed(reason string) *vertex {
	var failed *vertex
	for _, v := range t.vertices {
		if v.failure == "" || strings.Contains(v.failure, canceled) && !strings.Contains(reason, canceled) {
			continue // the first failure cancels the work on other stages
		}
		if failed == nil || matches(v, reason) && (!matches(failed, reason) || v.completed.Before(failed.completed)) {
			failed = v
		}
	}
	return failed
}

// matches reports whether the reason of a build's failure contains the vertex's failure.
func matches(v *vertex, reason string) bool { return strings.Contains(reason, v.failure) }

// canceled is BuildKit's message about work that was canceled.
const canceled = "context canceled"
