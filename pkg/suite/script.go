package suite

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"runtests/pkg/plain"
	"runtests/pkg/regular"
)

// maxInterpreter is how much of a script's first line the kernel reads (BINPRM_BUF_SIZE).
const maxInterpreter = 256

// ScriptError is why a test's script cannot be run.
type ScriptError struct {
	Path   string // the script, or the test's directory if that is at fault
	Reason string // what is wrong with it, in words
	Remedy string // a command, or a sentence
	err    error
}

func (e *ScriptError) Error() string { return e.Path + " " + e.Reason }

// Unwrap returns what the system said, if it was asked.
func (e *ScriptError) Unwrap() error { return e.err }

// Hint returns the remedy.
func (e *ScriptError) Hint() string { return e.Remedy }

// CheckScript returns a *ScriptError if the step's directory or its test.sh cannot be run. It
// cannot know whether the image has the interpreter. A step with a command of its own needs no
// test.sh.
func (s Step) CheckScript() error {
	info, err := os.Stat(s.Dir)
	switch {
	case isNotExist(err):
		return &ScriptError{Path: s.Dir, Reason: "does not exist", Remedy: "make the directory, with a test.sh in it, or correct dir", err: err}
	case err != nil:
		return &ScriptError{Path: s.Dir, Reason: "cannot be examined: " + bare(err).Error(), err: err}
	case !info.IsDir():
		return &ScriptError{Path: s.Dir, Reason: "is not a directory", Remedy: "a test is a directory with a test.sh in it"}
	case !s.Script:
		return nil
	}
	return checkScript(filepath.Join(s.Dir, "test.sh"))
}

func checkScript(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return missingScript(path, err)
	}
	shell := shellescape.Quote(path)
	switch {
	case info.IsDir():
		return &ScriptError{Path: path, Reason: "is a directory", Remedy: "it must be an executable script"}
	case !info.Mode().IsRegular():
		return &ScriptError{Path: path, Reason: "is not a regular file", Remedy: "it must be an executable script"}
	case info.Size() == 0:
		return &ScriptError{Path: path, Reason: "is empty", Remedy: "its first line names the interpreter: #!/bin/sh"}
	case info.Mode().Perm()&0o111 == 0:
		return &ScriptError{Path: path, Reason: "is not executable", Remedy: "chmod +x " + shell}
	}
	head, err := readHead(path)
	switch {
	case err != nil:
		return &ScriptError{Path: path, Reason: "cannot be read: " + bare(err).Error(), err: err}
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return nil
	case bytes.HasPrefix(head, []byte("\ufeff")):
		return &ScriptError{Path: path, Reason: "starts with a byte order mark, which hides its #! line", Remedy: `sed -i '1s/^\xEF\xBB\xBF//' ` + shell}
	case !bytes.HasPrefix(head, []byte("#!")):
		return &ScriptError{Path: path, Reason: "has no #! line", Remedy: "sed -i '1i #!/bin/sh' " + shell}
	case bytes.HasSuffix(firstLine(head), []byte("\r")):
		return &ScriptError{Path: path, Reason: "has Windows line ends (CRLF), which become part of its interpreter's name", Remedy: `sed -i 's/\r$//' ` + shell}
	case interpreter(head) == "":
		return &ScriptError{Path: path, Reason: "has a #! line without an interpreter", Remedy: "its first line names the interpreter: #!/bin/sh"}
	}
	return nil
}

// missingScript returns the error for a script that does not exist or is a broken link.
func missingScript(path string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return &ScriptError{Path: path, Reason: "cannot be examined: " + bare(err).Error(), err: err}
	}
	if to, linkErr := os.Readlink(path); linkErr == nil {
		return &ScriptError{Path: path, Reason: "is a link to " + plain.Clean(to) + ", which does not exist", Remedy: "the link must lead to an executable script in the test's directory", err: err}
	}
	return &ScriptError{Path: path, Reason: "does not exist", Remedy: "a test is a directory with an executable test.sh in it", err: err}
}

// Interpreter returns the program that the first line of test.sh names, or "". It is for the
// message about a container that does not have it.
func (s Step) Interpreter() string {
	if !s.Script {
		return ""
	}
	head, err := readHead(filepath.Join(s.Dir, "test.sh"))
	if err != nil {
		return ""
	}
	return interpreter(head)
}

func interpreter(head []byte) string {
	line, ok := bytes.CutPrefix(firstLine(head), []byte("#!"))
	if !ok {
		return ""
	}
	fields := strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == 0 })
	if len(fields) == 0 {
		return ""
	}
	return plain.Clean(fields[0])
}

func firstLine(head []byte) []byte {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return line
}

func readHead(path string) ([]byte, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxInterpreter))
}
