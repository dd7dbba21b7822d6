package deploy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"runtests/pkg/plain"
)

// followScript prints the output of the swap, then a line with its result, then the log of a
// new version that did not work. Its argument is the state's folder.
const followScript = `
cd "$1" || exit
shown=0
show() {
	[ -e swap/log ] || return
	lines=$(wc -l <swap/log)
	[ "$lines" -le "$shown" ] || sed -n "$((shown + 1)),${lines}p" swap/log | sed 's/^/. /'
	shown=$lines
}
waited=0
until [ -e swap/result ]; do
	show
	if [ -s swap/pid ]; then
		kill -0 "$(cat swap/pid)" 2>/dev/null || [ -e swap/result ] || { echo dead; exit; }
	else
		waited=$((waited + 1))
		[ "$waited" -le 100 ] || { echo dead; exit; }
	fi
	sleep 0.1 2>/dev/null || sleep 1
done
show
[ ! -e swap/warnings ] || sed 's/^/! /' swap/warnings
echo "result $(cat swap/result)"
[ ! -e swap/new.log ] || sed 's/^/| /' swap/new.log
`

// swapResult is the result of a swap.
type swapResult struct {
	outcome string // the verb, or one of failed-…
	outage  time.Duration
	why     string
	log     []string // the last lines of a new version that did not work
	// warnings are for the report: what was found in the files' places.
	warnings []string
}

// errSwapDied reports that the script was killed, or its machine went down.
var errSwapDied = errors.New("the exchange was cut off on the production machine")

// follow logs what the swap does, and waits for its result. A connection that breaks is made
// again, since the swap goes on without it.
func (s *Site) follow(ctx context.Context, log func(string)) (swapResult, error) {
	bound := s.deployment.Check.Timeout*2 + s.deployment.Container.StopGrace*2 + s.deployment.Drain + 5*time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("the exchange has not ended within %s", bound))
	defer cancel()
	logged, lastFault := 0, ""
	for {
		r, err := s.followOnce(ctx, &logged, log)
		var away *connectionError
		if err == nil || !errors.As(err, &away) {
			return r, err
		}
		if fault := err.Error(); fault != lastFault {
			log(fault + "; the exchange goes on there, reconnecting")
			lastFault = fault
		}
		select {
		case <-ctx.Done():
			return r, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		case <-time.After(reconnectPause):
		}
	}
}

// reconnectPause is the time between a broken connection and the next attempt.
const reconnectPause = 3 * time.Second

// maxFollowedLine bounds a line of the output of followScript, in bytes. A new version may print a line of 256 KiB.
const maxFollowedLine = 1 << 20

func (s *Site) followOnce(ctx context.Context, logged *int, log func(string)) (r swapResult, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := s.machine.command(ctx, followScript, s.state)
	stderr := &bounded{limit: maxStderr, what: "stderr", over: cancel}
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	f := follower{logged: logged, log: log}
	read := &io.LimitedReader{R: stdout, N: maxOutput}
	lines := bufio.NewScanner(read)
	lines.Buffer(nil, maxFollowedLine)
	for lines.Scan() {
		f.line(lines.Text())
	}
	if err := lines.Err(); err != nil {
		cancel(fmt.Errorf("read its output: %w", err))
	} else if read.N == 0 {
		cancel(fmt.Errorf("it printed more than %d KiB on stdout", maxOutput>>10))
	}
	if err := cmd.Wait(); err != nil {
		return r, s.machine.fault(ctx, err, stderr.String())
	}
	switch {
	case f.dead:
		return r, errSwapDied
	case f.result.outcome == "":
		return r, &connectionError{host: s.Host()}
	}
	return f.result, nil
}

// follower reads the output of followScript.
type follower struct {
	logged *int // how many lines of the swap's output were logged, over all connections
	lines  int
	log    func(string)
	result swapResult
	dead   bool
}

func (f *follower) line(text string) {
	kind, rest, _ := strings.Cut(text, " ")
	switch kind {
	case ".":
		if f.lines++; f.lines > *f.logged && f.lines <= maxShown {
			*f.logged = f.lines
			f.log(plain.Line(rest))
		}
	case "dead":
		f.dead = true
	case "result": // OUTCOME HUNDREDTHS WHY
		var hundredths string
		f.result.outcome, rest, _ = strings.Cut(rest, " ")
		hundredths, f.result.why, _ = strings.Cut(rest, " ")
		f.result.why = plain.Line(f.result.why)
		n, _ := strconv.Atoi(hundredths)
		f.result.outage = time.Duration(n) * 10 * time.Millisecond
	case "!":
		if len(f.result.warnings) < maxNotes {
			f.result.warnings = append(f.result.warnings, plain.Line(rest))
		}
	case "|":
		if len(f.result.log) < maxShown {
			f.result.log = append(f.result.log, plain.Clean(rest))
		}
	}
}
