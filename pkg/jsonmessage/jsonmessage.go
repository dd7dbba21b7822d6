// Package jsonmessage reads the stream of JSON values in which an engine reports on its work: a
// build, a pull, a load. No value of a stream can fill the memory.
package jsonmessage

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// maxMessage bounds a value of a stream, in bytes. The largest are messages of BuildKit, of at most
// 16 MiB (the bound of gRPC), in base64.
const maxMessage = 32 << 20

// Message is a value of a stream. Each has only some of the fields.
type Message struct {
	ID, Status, Stream, Error string
	ErrorDetail               struct {
		Code    int
		Message string
	}
	ProgressDetail struct{ Total int64 }
	Aux            json.RawMessage
}

// Failure returns why the work failed; empty: it has not failed.
func (m Message) Failure() string {
	return strings.TrimSpace(cmp.Or(m.ErrorDetail.Message, m.Error))
}

// All returns the messages of a stream. If the stream is malformed or cannot be read to its end, the
// last pair has the error.
func All(stream io.Reader) iter.Seq2[Message, error] { return within(maxMessage, stream) }

func within(bound int64, stream io.Reader) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		bounded := &io.LimitedReader{R: stream}
		for values := json.NewDecoder(bounded); ; {
			var m Message
			bounded.N = bound
			err := values.Decode(&m)
			switch {
			case err != nil && bounded.N <= 0:
				err = fmt.Errorf("the engine sent a message of more than %d MiB", bound>>20)
			case errors.Is(err, io.EOF):
				return
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}
