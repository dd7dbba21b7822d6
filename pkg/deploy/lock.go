package deploy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"runtests/pkg/plain"
)

// lockScript holds the lock of a deployment's state for as long as it hears from us. It starts
// swap.sh, which inherits the lock: the lock is held until both have ended, however they end.
// It also creates the folders of the files. Its arguments are the state's folder and these.
//
// It reads orders of one byte. swap.sh is that of the version which began the swap, so the word
// "mend" stays.
const lockScript = `
umask 077
mkdir -p "$1" && cd "$1" || exit
exec 9>>lock
flock -n 9 || { sleep 1; flock -n 9; } || { echo held; exit 0; } # a status query holds it for a moment
state=$1
shift
umask 022 # a container or a proxy may read the files as another user
for folder; do mkdir -p -- "$folder" || exit; done
umask 077
echo locked
while :; do
	case $(timeout 60 dd bs=1 count=1 2>/dev/null 9>&-) in
	.) ;;
	g) setsid sh "$state/swap/swap.sh" go </dev/null >swap/log 2>&1 & ;;
	r) setsid sh "$state/swap/swap.sh" mend </dev/null >swap/log 2>&1 & ;;
	c)
		rm -rf swap.gone
		flock -w 60 busy mv swap swap.gone # at once: the rest of a half-removed swap would look like one that was cut off
		rm -rf swap.gone
		;;
	*) exit 0 ;;
	esac
done
`

// The orders to lockScript.
const (
	orderAlive   = "." // every few seconds
	orderGo      = "g" // begin the swap
	orderRecover = "r" // finish or undo a swap that was cut off
	orderClear   = "c" // remove the swap
)

// heartbeat is how often the session is told that we are alive.
const heartbeat = 10 * time.Second

// A HeldError reports that another promotion of the deployment is going on.
type HeldError struct{ Name, Host string }

func (e *HeldError) Error() string {
	return fmt.Sprintf("another promotion of %s to %s is going on", e.Name, e.Host)
}

// Hint returns the remedy.
func (e *HeldError) Hint() string {
	return "wait until it has ended: runtests deploy --status " + e.Name
}

// errConnection is the cause of a promotion's context when the connection broke.
var errConnection = errors.New("the connection to production broke")

// session runs lockScript on the production machine, and so holds the lock of a deployment.
type session struct {
	cmd    *exec.Cmd
	stderr *bounded
	ended  chan struct{} // closed when the script has ended
	kill   func()

	mu    sync.Mutex // one order at a time
	stdin io.WriteCloser
}

// lock takes the lock (HeldError). The lock is released by close, when this program dies, and
// after a minute without a sign of life; a swap that was begun keeps it until that has ended.
// lock calls lost when the session ends, before or after close.
func (s *Site) lock(lost func()) (*session, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	kill := func() { cancel(errConnection) }
	l := &session{
		cmd: s.machine.command(ctx, lockScript, append([]string{s.state}, s.folders()...)...), ended: make(chan struct{}), kill: kill,
		stderr: &bounded{limit: maxStderr, what: "stderr", over: cancel},
	}
	stdout, err := l.start()
	if err != nil {
		kill()
		return nil, fmt.Errorf("lock the deployment: %w", err)
	}
	answer := firstLine(stdout, shellBound, kill)
	if answer != "" && answer != "locked" && answer != "held" {
		cancel(errors.New("it did not answer as it should: " + plain.Line(answer)))
	}
	var exited error
	go func() {
		exited = l.cmd.Wait()
		close(l.ended)
	}()
	if answer != "locked" {
		l.close()
		if answer == "held" {
			return nil, &HeldError{s.deployment.Name, s.Host()}
		}
		if cause := context.Cause(ctx); !errors.Is(cause, errConnection) || exited == nil {
			exited = cause
		}
		return nil, fmt.Errorf("lock the deployment: %w", s.machine.fault(context.Background(), exited, l.stderr.String()))
	}
	go l.beat(lost)
	return l, nil
}

func (l *session) start() (stdout io.Reader, err error) {
	l.cmd.Stderr = l.stderr
	if l.stdin, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if stdout, err = l.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return stdout, l.cmd.Start()
}

// firstLine reads a line of at most maxAnswer bytes. If it does not come within bound, firstLine calls late and returns "".
func firstLine(r io.Reader, bound time.Duration, late func()) string {
	timer := time.AfterFunc(bound, late)
	defer timer.Stop()
	text, _ := bufio.NewReader(io.LimitReader(r, maxAnswer)).ReadString('\n')
	return strings.TrimSuffix(text, "\n")
}

// beat sends signs of life until the session ends, and then calls lost.
func (l *session) beat(lost func()) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-l.ended:
			lost()
			return
		case <-tick.C:
			_ = l.send(orderAlive) // if it fails, the session ends too
		}
	}
}

func (l *session) send(order string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := io.WriteString(l.stdin, order); err != nil {
		return errConnection
	}
	return nil
}

// close releases the lock.
func (l *session) close() {
	_ = l.stdin.Close()
	bound := time.NewTimer(10 * time.Second)
	defer bound.Stop()
	select {
	case <-l.ended:
	case <-bound.C:
		l.kill()
		<-l.ended
	}
	l.kill()
}
