package pipeline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// A deployLog is the log of a deployment: its actions and, if the new version did not work, what
// that version printed.
type deployLog struct {
	file  *os.File // nil: it could not be created
	err   error    // the first one
	lines int64
	bytes int64
}

func newDeployLog(folder *history.Folder, deployment string) *deployLog {
	l := new(deployLog)
	l.file, l.err = folder.CreateLog(folder.LogFile("deploy " + deployment))
	return l
}

func (l *deployLog) write(line string) {
	if l.file == nil || l.err != nil {
		return
	}
	n, err := fmt.Fprintln(l.file, line)
	l.lines, l.bytes, l.err = l.lines+1, l.bytes+int64(n), err
}

// writeVersion writes the log of a version that did not work.
func (l *deployLog) writeVersion(lines []string) {
	if len(lines) == 0 {
		return
	}
	l.write("the log of the new version:")
	for _, line := range lines {
		l.write(line)
	}
}

// end closes the log, and describes it in the result with the last lines.
func (l *deployLog) end(lines int, result *report.Result) {
	if l.file == nil {
		result.Notes = append(result.Notes, fmt.Sprintf("its log could not be written: %v", l.err))
		return
	}
	defer l.file.Close()
	result.Log = report.Log{File: filepath.Base(l.file.Name()), Bytes: l.bytes, Lines: l.lines}
	tail, err := plain.ReadTail(l.file, l.bytes, lines)
	if l.err != nil || err != nil {
		result.Notes = append(result.Notes, fmt.Sprintf("its log is not complete: %v", errors.Join(l.err, err)))
	}
	result.Log.Tail = tail
}
