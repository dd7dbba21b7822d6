package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"runtests/pkg/pipeline"
	"runtests/pkg/plain"
	"runtests/pkg/regular"
	"runtests/pkg/render"
	"runtests/pkg/report"
	"runtests/pkg/runner"
)

// newDisplay returns the display of a run of so many builds and tests: for cron and with -q
// nothing, for a single test its output and that of its builds, on a terminal a live display,
// otherwise a line per finished step.
func (w *world) newDisplay(builds, tests int, mail bool) pipeline.Observer {
	onTerminal := isTerminal(w.stderr)
	switch {
	case w.quiet || mail && !w.verbose:
		return silent{}
	case (tests == 1 || builds+tests == 1) && (onTerminal || w.verbose):
		return newFollower(w.stderr)
	case onTerminal:
		return newLive(w, builds+tests, colours())
	}
	return &lines{out: w.stderr, total: builds + tests}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colours reports whether to use colours, by the rule of no-color.org: NO_COLOR, unless empty, turns
// them off.
func colours() bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// silent shows nothing.
type silent struct{}

func (silent) Started(int, report.Result, *runner.Log)        {}
func (silent) Finished(int, report.Result)                    {}
func (silent) Trying(int, report.Result, string, *runner.Log) {}
func (silent) Diagnosed(int, report.Result)                   {}
func (silent) End()                                           {}

// diagnosing returns the line of a trial that is under way.
func diagnosing(result report.Result, how string) string {
	return "diagnosing " + plain.Clean(result.Name) + ": " + plain.Clean(how)
}

// lines prints a line per finished step.
type lines struct {
	silent
	mu          sync.Mutex
	out         io.Writer
	done, total int
}

func (l *lines) Finished(_ int, result report.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done++
	fmt.Fprintf(l.out, "[%d/%d] %s\n", l.done, l.total, render.Headline(result))
}

func (l *lines) Trying(_ int, result report.Result, how string, _ *runner.Log) {
	fmt.Fprintln(l.out, diagnosing(result, how)) // without the lock: all steps have ended
}

func (l *lines) Diagnosed(_ int, result report.Result) {
	fmt.Fprintln(l.out, render.VerdictLine(result))
}

// follower shows the output of a single test and of its builds, cleaned for a terminal: one log
// after the other, in the order in which they began. It reads the log files, so that a terminal
// that is slow or stopped never holds up the test.
type follower struct {
	silent
	out   *plain.Cleaner
	shown sync.WaitGroup

	mu   sync.Mutex
	last chan struct{} // closed when the newest log has been shown; nil: there is none
}

func newFollower(out io.Writer) *follower {
	return &follower{out: plain.NewCleaner(out)}
}

func (f *follower) Started(_ int, _ report.Result, log *runner.Log) { f.show("", log) }

func (f *follower) Trying(_ int, result report.Result, how string, log *runner.Log) {
	f.show(diagnosing(result, how)+"\n", log)
}

// show shows title and then a log to its end.
func (f *follower) show(title string, log *runner.Log) {
	file, err := regular.OpenNoFollow(log.Path())
	if err != nil {
		return // the report names the log
	}
	f.mu.Lock()
	before, shown := f.last, make(chan struct{})
	f.last = shown
	f.mu.Unlock()
	f.shown.Go(func() {
		defer file.Close()
		defer close(shown)
		if before != nil {
			<-before
		}
		_, _ = io.WriteString(f.out, title)
		f.follow(file, log)
	})
}

// follow copies a log while it grows, up to its end.
func (f *follower) follow(file *os.File, log *runner.Log) {
	for shown := int64(0); ; {
		size, ended, changed := log.Watch()
		n, err := io.Copy(f.out, io.NewSectionReader(file, shown, size-shown))
		shown += n
		if err != nil || ended && shown >= size {
			return
		}
		if shown < size {
			continue
		}
		<-changed
	}
}

// End waits until all logs have been shown.
func (f *follower) End() {
	f.shown.Wait()
	f.out.Flush()
}

// live shows on a terminal which steps run, since when, the last lines of their logs, and how many
// steps are done. Above that is a line per finished step.
type live struct {
	world    *world
	progress *mpb.Progress
	total    *mpb.Bar
	colours  bool
	started  time.Time

	mu     sync.Mutex
	bars   map[int]*mpb.Bar
	done   int
	failed int
	steps  int
}

// rightMargin keeps a line shorter than the terminal, which would wrap it.
const rightMargin = 1

func newLive(w *world, n int, colours bool) *live {
	l := &live{
		world:    w,
		progress: mpb.New(mpb.WithOutput(w.stderr), mpb.WithRefreshRate(200*time.Millisecond)),
		colours:  colours,
		started:  time.Now(),
		bars:     map[int]*mpb.Bar{},
		steps:    n,
	}
	l.total = l.line(n, func() string {
		l.mu.Lock()
		defer l.mu.Unlock()
		text := fmt.Sprintf("%d of %d done", l.done, l.steps)
		if l.failed > 0 {
			text += fmt.Sprintf(", %d failed", l.failed)
		}
		return text + ", " + since(l.started)
	})
	w.log.SetOutput(l.progress) // messages go above the display, not into it
	return l
}

// line adds a line below the others, which shows what text returns.
func (l *live) line(priority int, text func() string) *mpb.Bar {
	return l.progress.New(0, mpb.NopStyle(),
		mpb.BarPriority(priority),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(s decor.Statistics) string {
			return fit(text(), s.AvailableWidth-rightMargin)
		})),
	)
}

func (l *live) Started(index int, result report.Result, log *runner.Log) {
	name := plain.Clean(result.Name)
	if result.Attempts > 1 {
		name += fmt.Sprintf(" (attempt %d)", result.Attempts)
	}
	l.show(index, name, log)
}

func (l *live) Trying(index int, result report.Result, how string, log *runner.Log) {
	l.show(index, diagnosing(result, how), log)
}

func (l *live) Diagnosed(index int, result report.Result) {
	l.mu.Lock()
	l.hide(index)
	l.mu.Unlock()
	fmt.Fprintln(l.progress, render.VerdictLine(result))
}

// show adds a line for a step, in place of its previous line.
func (l *live) show(index int, what string, log *runner.Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hide(index)
	started := time.Now()
	l.bars[index] = l.line(index, func() string {
		return fmt.Sprintf("  %s  %s  %s", what, since(started), plain.Clean(log.LastLine()))
	})
}

// hide removes the line of a step, if there is one. The caller holds l.mu.
func (l *live) hide(index int) {
	if bar, ok := l.bars[index]; ok {
		bar.Abort(true)
		delete(l.bars, index)
	}
}

func (l *live) Finished(index int, result report.Result) {
	l.mu.Lock()
	l.done++
	if result.Outcome != report.Passed {
		l.failed++
	}
	l.hide(index)
	l.mu.Unlock()
	fmt.Fprintln(l.progress, l.coloured(result))
}

// coloured returns the line of a finished step with its outcome in colour, which says nothing that
// the words do not.
func (l *live) coloured(result report.Result) string {
	line := render.Headline(result)
	if !l.colours {
		return line
	}
	colour := "\x1b[31m"
	if result.Outcome == report.Passed {
		colour = "\x1b[32m"
	}
	word := string(result.Outcome)
	return colour + word + "\x1b[0m" + strings.TrimPrefix(line, word)
}

func (l *live) End() {
	l.world.log.SetOutput(l.world.stderr)
	l.total.Abort(true)
	l.progress.Shutdown()
}

// since returns the time since start, to the second.
func since(start time.Time) string {
	return time.Since(start).Truncate(time.Second).String()
}

// fit returns s cut to width columns.
func fit(s string, width int) string {
	if width <= 0 {
		return ""
	}
	return runewidth.Truncate(s, width, "…")
}
