package deploy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// holdScript holds the lock of a deployment's state as long as it hears from us, and starts
// the swap, which inherits the lock: so it is held until both have ended, however they end.
// It makes the folders of the files. It reads byte by byte: "." every few seconds, "g" to go, "m" to mend, "c" to clear up.
const holdScript = `
umask 077
mkdir -p "$1" && cd "$1" || exit
exec 9>>lock
flock -n 9 || { sleep 1; flock -n 9; } || { echo held; exit 0; } # who only looks has it for a moment
state=$1
shift
umask 022 # a container or a proxy may read there as somebody else
for place; do
	folder=${place%/*}
	mkdir -p -- "${folder:-/}" || exit
done
umask 077
echo locked
while :; do
	case $(timeout 60 dd bs=1 count=1 2>/dev/null 9>&-) in
	.) ;;
	g) setsid sh "$state/swap/swap.sh" go </dev/null >swap/log 2>&1 & ;;
	m) setsid sh "$state/swap/swap.sh" mend </dev/null >swap/log 2>&1 & ;;
	c)
		rm -rf swap.gone
		flock -w 60 busy mv swap swap.gone # at once: a part of it would be taken for one that was cut off
		rm -rf swap.gone
		;;
	*) exit 0 ;;
	esac
done
`

// heartbeat is how often the holder of the lock hears from us.
const heartbeat = 10 * time.Second

// A HeldError says that another promotion of the deployment is going on.
type HeldError struct{ Name, Host string }

func (e *HeldError) Error() string {
	return fmt.Sprintf("another promotion of %s to %s is going on", e.Name, e.Host)
}

// Hint is what a person can do about it.
func (e *HeldError) Hint() string {
	return "wait until it has ended: runtests deploy --status " + e.Name
}

// errConnection is the cause of a promotion's context when the connection broke.
var errConnection = errors.New("the connection to production broke")

// hold is the lock of a deployment, held by a session on the production machine.
type hold struct {
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the session has ended
	stopIt context.CancelFunc

	mu    sync.Mutex // one byte at a time
	stdin io.WriteCloser
}

// lock takes the lock. It is released by close, by our death, and by a connection that is
// silent for a minute; a swap that was begun keeps it to its own end. lost is called when
// the session ends before close.
func (s *Site) lock(lost func()) (*hold, error) {
	ctx, stop := context.WithCancel(context.Background())
	h := &hold{cmd: s.machine.command(ctx, holdScript, append([]string{s.state}, s.places()...)...), ended: make(chan struct{}), stopIt: stop}
	var said bytes.Buffer
	h.cmd.Stderr = &said
	var err error
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		stop()
		return nil, err
	}
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		stop()
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		stop()
		return nil, fmt.Errorf("take the lock of the deployment: %w", err)
	}
	answer := firstLine(stdout, shellBound, stop)
	var exited error
	go func() {
		exited = h.cmd.Wait()
		close(h.ended)
	}()
	if answer != "locked" {
		h.close()
		if answer == "held" {
			return nil, &HeldError{s.deployment.Name, s.Host()}
		}
		if exited == nil {
			exited = errConnection
		}
		return nil, fmt.Errorf("take the lock of the deployment: %w", s.machine.fault(context.Background(), exited, said.String()))
	}
	go h.beat(lost)
	return h, nil
}

// firstLine reads a line; one that does not come within bound is empty, and ends the session.
func firstLine(r io.Reader, bound time.Duration, end func()) string {
	late := time.AfterFunc(bound, end)
	defer late.Stop()
	line, _ := bufio.NewReader(r).ReadString('\n')
	return strings.TrimSuffix(line, "\n")
}

// beat keeps the session alive until it ends.
func (h *hold) beat(lost func()) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-h.ended:
			lost()
			return
		case <-tick.C:
			_ = h.send(".") // a session that hears no more ends, and that is seen above
		}
	}
}

func (h *hold) send(order string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := io.WriteString(h.stdin, order); err != nil {
		return errConnection
	}
	return nil
}

// close releases the lock.
func (h *hold) close() {
	_ = h.stdin.Close()
	bound := time.NewTimer(10 * time.Second)
	defer bound.Stop()
	select {
	case <-h.ended:
	case <-bound.C:
		h.stopIt()
		<-h.ended
	}
	h.stopIt()
}
