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

// parsed is a message by its fields. Of a repeated field it has the first value.
type parsed map[protowire.Number]value

// value is a number, or the bytes of anything else.
type value struct {
	number uint64
	bytes  []byte
}

func parse(message []byte) (parsed, error) {
	p := parsed{}
	err := fields(message, func(number protowire.Number, n uint64, data []byte) error {
		if _, repeated := p[number]; !repeated {
			p[number] = value{n, data}
		}
		return nil
	})
	return p, err
}

func (p parsed) text(number protowire.Number) string { return string(p[number].bytes) }

// moment returns a google.protobuf.Timestamp; a field that is not there is the zero time.
func (p parsed) moment(number protowire.Number) (time.Time, error) {
	field, ok := p[number]
	if !ok {
		return time.Time{}, nil
	}
	t, err := parse(field.bytes)
	return time.Unix(int64(t[1].number), int64(t[2].number)), err
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
	m, err := parse(data)
	started, errStarted := m.moment(vertexStarted)
	completed, errCompleted := m.moment(vertexCompleted)
	if err != nil || errStarted != nil || errCompleted != nil {
		return errNotTrace
	}
	v := t.at(m.text(vertexDigest))
	v.name, v.cached = strings.Join(strings.Fields(m.text(vertexName)), " "), m[vertexCached].number != 0
	v.started, v.completed, v.failure = started, completed, m.text(vertexError)
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
	m, err := parse(data)
	if _, done := m[progressCompleted]; err != nil || !done {
		return err
	}
	v := t.at(m.text(progressVertex))
	t.begin(v)
	name := m.text(progressName)
	if id := m.text(progressID); strings.HasPrefix(id, name) {
		name = id // the complete name: "extracting sha256:..."
	}
	t.log.line(fmt.Sprintf("#%d %s done", v.number, name))
	return nil
}

// print logs a piece of a vertex's output.
func (t *trace) print(data []byte) error {
	m, err := parse(data)
	at, errTime := m.moment(logTimestamp)
	if err != nil || errTime != nil {
		return errNotTrace
	}
	v := t.at(m.text(logVertex))
	t.begin(v)
	v.lines.add(m.text(logText), t.log.secrets, func(line string) { t.output(v, at, line) })
	return nil
}

// output logs a line of a vertex's output, with the seconds since its start.
func (t *trace) output(v *vertex, at time.Time, line string) {
	v.full = v.full || container.SaysNoSpace(line)
	t.log.line(fmt.Sprintf("#%d %.3f %s", v.number, max(0, at.Sub(v.started).Seconds()), line))
}

// warn logs a warning about the Dockerfile, with the first line of its range (solver/pb/ops.proto,
// Range).
func (t *trace) warn(data []byte) error {
	m, err := parse(data)
	lines, errRange := parse(m[warningRanges].bytes)
	start, errStart := parse(lines[1].bytes)
	if err != nil || errRange != nil || errStart != nil {
		return errNotTrace
	}
	short := m.text(warningShort)
	if line := start[1].number; line > 0 {
		short = fmt.Sprintf("%s (line %d)", short, line)
	}
	v := t.at(m.text(warningVertex))
	t.begin(v)
	t.log.line(fmt.Sprintf("#%d WARN: %s", v.number, short))
	return nil
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
