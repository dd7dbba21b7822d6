package jsonmessage

import (
	"io"
	"strings"
	"testing"
)

func TestAll(t *testing.T) {
	for name, tt := range map[string]struct{ in, want, fails string }{
		"several":     {`{"stream":"a"}` + "\r\n" + `{"status":"b","id":"c"} {"aux":{"ID":"x"}}`, "a|b c|", ""},
		"nothing":     {"", "", ""},
		"failure":     {`{"error":"it broke","errorDetail":{"message":" no \n"}}{"error":"it broke"}`, "!no|!it broke|", ""},
		"cut off":     {`{"stream":"a"}{"str`, "a|", "unexpected EOF"},
		"not JSON":    {"<html>", "", "invalid character"},
		"wrong types": {`{"stream":7}`, "", "cannot unmarshal"},
	} {
		got, err := summary(maxMessage, strings.NewReader(tt.in))
		if got != tt.want || (err == nil) != (tt.fails == "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// summary returns the contents of the messages, without those of the field Aux.
func summary(bound int64, stream io.Reader) (string, error) {
	var all strings.Builder
	for m, err := range within(bound, stream) {
		if err != nil {
			return all.String(), err
		}
		if m.Failure() != "" {
			all.WriteString("!" + m.Failure() + "|")
		} else if m.Aux == nil {
			all.WriteString(strings.TrimSpace(m.Stream+m.Status+" "+m.ID) + "|")
		}
	}
	return all.String(), nil
}

// TestEndlessMessage checks that a message without an end is given up. The bound is for each message:
// a stream may be longer.
func TestEndlessMessage(t *testing.T) {
	const bound = 1 << 20
	for name, endless := range map[string]io.Reader{
		"text":   io.MultiReader(strings.NewReader(`{"stream":"`), fill('x')),
		"blanks": fill(' '),
	} {
		if _, err := summary(bound, endless); err == nil || !strings.Contains(err.Error(), "more than 1 MiB") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	part := `{"stream":"` + strings.Repeat("x", bound/3) + `"}`
	if got, err := summary(bound, strings.NewReader(strings.Repeat(part, 5))); err != nil || strings.Count(got, "|") != 5 {
		t.Errorf("five long messages: %d bytes, %v", len(got), err)
	}
}

// FuzzAll checks that a stream, however it is cut, ends with at most one error, and gives nothing after it.
func FuzzAll(f *testing.F) {
	f.Add(`{"stream":"a"}`+"\r\n"+`{"status":"b","id":"c"} {"aux":{"ID":"x"}}`, 9)
	f.Add(`{"error":"it broke","errorDetail":{"message":" no \n"}}`, 1)
	f.Fuzz(func(t *testing.T, in string, bound int) {
		bound = 1 + bound&0xffff
		failed := false
		for m, err := range within(int64(bound), strings.NewReader(in)) {
			if failed {
				t.Fatal("it goes on after an error")
			}
			failed = err != nil
			if failure := m.Failure(); failure != strings.TrimSpace(failure) || len(m.Aux) > bound {
				t.Fatalf("%q", failure)
			}
		}
	})
}

// fill is an endless stream of one byte.
type fill byte

func (f fill) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(f)
	}
	return len(p), nil
}
