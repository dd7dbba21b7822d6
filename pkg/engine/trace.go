package engine

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// trace is what BuildKit tells of a build: the state of its vertices, which are mostly the
// instructions of the Dockerfile, and what they print. Docker passes it on as BuildKit's own
// messages (api/services/control/control.proto, StatusResponse, in protocol buffers), of which
// only what a log needs is decoded: BuildKit's own package for it would bring gRPC along.
type trace struct {
	log      *plainLog
	vertices map[string]*vertex // by digest
	numbered int
}

// vertex is a piece of work of BuildKit's.
type vertex struct {
	number    int // in the log; 0: it has not begun
	name      string
	cached    bool
	started   time.Time
	completed time.Time
	failure   string // empty: none
	told      string // how it ended, as the log has it
	lines     splitter
	full      bool // it printed that a disk is full
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

// add reads one message and writes what is new in it to the log.
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

// fields calls each for the fields of a message, with the value of a number or the bytes of
// anything else.
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

var errNotTrace = errors.New("BuildKit's report is not in its format")

// moment is a google.protobuf.Timestamp.
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

// at is the vertex with that digest.
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

// begin gives a vertex its number and its first line in the log.
func (t *trace) begin(v *vertex) {
	if v.number > 0 {
		return
	}
	t.numbered++
	v.number = t.numbered
	t.log.line(fmt.Sprintf("#%d %s", v.number, v.name))
}

// end writes how a vertex ended. BuildKit ends some of them more than once.
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
	if v.told != "" && v.failure == "" || v.told == how {
		return
	}
	v.lines.flush(func(line string) { t.output(v, v.completed, line) })
	v.told = how
	t.log.line(fmt.Sprintf("#%d %s", v.number, how))
}

// progress is that of a part of a vertex: a layer, a file. Only its end is written.
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
		name = id // the whole of it: "extracting sha256:..."
	}
	t.log.line(fmt.Sprintf("#%d %s done", v.number, name))
	return nil
}

// print is a piece of a vertex' output.
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
	v.lines.add(text, t.log, func(line string) { t.output(v, at, line) })
	return nil
}

// output writes a line that a vertex printed, with the seconds since its start.
func (t *trace) output(v *vertex, at time.Time, line string) {
	v.full = v.full || saysFull(line)
	t.log.line(fmt.Sprintf("#%d %.3f %s", v.number, max(0, at.Sub(v.started).Seconds()), line))
}

// warn is what BuildKit thinks of the Dockerfile.
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

// firstLine is the line where a range of the Dockerfile begins (solver/pb/ops.proto, Range).
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

// failed is the vertex whose failure is the build's, as BuildKit gives the reason.
func (t *trace) failed(reason string) *vertex {
	var failed *vertex
	for _, v := range t.vertices {
		if v.failure == "" || strings.Contains(v.failure, canceled) && !strings.Contains(reason, canceled) {
			continue // the work on other stages is given up with the first failure
		}
		if failed == nil || matches(v, reason) && (!matches(failed, reason) || v.completed.Before(failed.completed)) {
			failed = v
		}
	}
	return failed
}

// matches says that a vertex' failure is in the build's.
func matches(v *vertex, reason string) bool { return strings.Contains(reason, v.failure) }

// canceled is what BuildKit says of work that was given up.
const canceled = "context canceled"
