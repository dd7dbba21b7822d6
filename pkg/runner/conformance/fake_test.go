package conformance_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"runtests/pkg/runner"
	"runtests/pkg/runner/conformance"
	"runtests/pkg/runner/executortest"
)

// The executor in memory conforms, so the runner's tests may stand on it.
func TestExecutorInMemory(t *testing.T) {
	conformance.Test(t, func(*testing.T) conformance.Subject {
		e := executortest.New("image")
		e.CallTimeout, e.Latency = 20*time.Second, 5*time.Millisecond
		var programs atomic.Int64
		return conformance.Subject{
			Executor: e,
			Image:    "image",
			Command: func(p conformance.Program) []string {
				name := fmt.Sprintf("program %d", programs.Add(1))
				e.Program(name, p.Func)
				return []string{name}
			},
			Faulty: func(_ *testing.T, callTimeout time.Duration) conformance.Faulty {
				e.CallTimeout = callTimeout
				return conformance.Faulty{Executor: e, Cut: e.Cut, Vanish: e.Vanish, Return: e.Return, Freeze: e.Freeze, Thaw: e.Thaw}
			},
		}
	})
}

var _ runner.Executor = (*executortest.Executor)(nil)
