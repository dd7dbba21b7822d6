package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/go-units"

	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/report"
	"runtests/pkg/transfer"
)

// deployLog is the log of a deployment: what is done, and, of a new version that did not
// work, what that printed. A person sees it on stderr, and how far the transfer is.
type deployLog struct {
	world *world
	name  string
	file  *os.File // nil: it could not be made
	err   error
	quiet bool
	lines int64
	bytes int64

	terminal bool
	told     time.Time // when the transfer's progress was last
}

// progressPause is how often progress is told where there is no terminal.
const progressPause = 10 * time.Second

func newDeployLog(w *world, folder *history.Folder, name string, quiet bool) *deployLog {
	l := &deployLog{world: w, name: name, quiet: quiet || w.quiet, terminal: isTerminal(w.stderr), told: time.Now()}
	l.file, l.err = folder.CreateLog(folder.LogFile("deploy " + name))
	return l
}

// say tells what is done next.
func (l *deployLog) say(text string) {
	l.write(text)
	if !l.quiet {
		fmt.Fprintf(l.world.stderr, "%s%s: %s\n", l.clear(), l.name, plain.Clean(l.world.mask.String(text)))
	}
}

func (l *deployLog) clear() string {
	if l.terminal {
		return "\r\x1b[K"
	}
	return ""
}

// progress tells how far the transfer is.
func (l *deployLog) progress(p transfer.Progress) {
	now := time.Now()
	if l.quiet || !l.terminal && now.Sub(l.told) < progressPause {
		return
	}
	l.told = now
	text := units.HumanSize(float64(p.Sent)) + " sent"
	if p.Total > 0 {
		text = fmt.Sprintf("%s of about %s sent", units.HumanSize(float64(p.Sent)), units.HumanSize(float64(p.Total)))
	}
	if p.Left > 0 {
		text += ", " + report.Duration(p.Left.Round(time.Second)).String() + " left"
	}
	if l.terminal {
		fmt.Fprintf(l.world.stderr, "\r\x1b[K%s: %s", l.name, text)
		return
	}
	fmt.Fprintf(l.world.stderr, "%s: %s\n", l.name, text)
}

// version writes the log of a version that did not work.
func (l *deployLog) version(lines []string) {
	if len(lines) == 0 {
		return
	}
	l.write("the log of the new version:")
	for _, line := range lines {
		l.write(line)
	}
}

func (l *deployLog) write(line string) {
	if l.file == nil || l.err != nil {
		return
	}
	n, err := fmt.Fprintln(l.file, line)
	l.lines, l.bytes, l.err = l.lines+1, l.bytes+int64(n), err
}

// end closes the log, and says in the result what there is to say of it.
func (l *deployLog) end(lines int, result *report.Result) {
	if l.terminal && !l.quiet {
		fmt.Fprint(l.world.stderr, l.clear())
	}
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
