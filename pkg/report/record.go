package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"runtests/pkg/hint"
)

// Encode writes the record of r, as run.json has it. It escapes control characters and those that
// change the direction of text, so that a terminal can show the record.
func Encode(w io.Writer, r *Run) error {
	var data bytes.Buffer
	enc := json.NewEncoder(&data)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write the record of the run: %w", err)
	}
	_, err := w.Write(EscapeJSON(data.Bytes()))
	return err
}

// EscapeJSON escapes the characters that plain.Clean removes and encoding/json does not escape. In JSON
// they can only be in strings.
func EscapeJSON(data []byte) []byte {
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

// Decode reads a record. It checks the version first, because a later one may have other types.
func Decode(data []byte) (*Run, error) {
	var record struct {
		Version int `json:"version"`
	}
	err := json.Unmarshal(data, &record)
	if err := CheckVersion(record.Version, err, len(data)); err != nil {
		return nil, err
	}
	r := new(Run)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, err
	}
	return r, nil
}

// CheckVersion returns what is wrong with a record of size bytes; err is the error of decoding it. A
// later version comes before err, because such a record may have other types.
func CheckVersion(version int, err error, size int) error {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax) && syntax.Offset >= int64(size):
		return errors.New("it is cut off")
	case errors.As(err, &syntax):
		return err
	case version > Version:
		return hint.Errorf("read it with the runtests that wrote it, or a newer one",
			"its version is %d, but this program reads %d", version, Version)
	case err != nil:
		return err
	case version < 1:
		return errors.New("it has no version, so it is not the record of a run")
	}
	return nil
}
