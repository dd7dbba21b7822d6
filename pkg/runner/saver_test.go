package runner

import (
	"errors"
	"sync/atomic"
	"testing"
)

// Requests that come while a save runs share the next one; each is answered by a
// save that began after it was made.
func TestSaver(t *testing.T) {
	var state, saves atomic.Int64
	first := make(chan struct{})
	var onDisk atomic.Int64
	s := saver{save: func() error {
		if saves.Add(1) == 1 {
			<-first
		}
		onDisk.Store(state.Load())
		return nil
	}}
	s.request()
	var waiting []*saving
	for range 100 {
		state.Add(1)
		waiting = append(waiting, s.request())
	}
	close(first)
	for _, request := range waiting {
		if err := request.wait(); err != nil {
			t.Error(err)
		}
	}
	if onDisk.Load() != 100 {
		t.Errorf("state %d is saved, want 100", onDisk.Load())
	}
	if n := saves.Load(); n > 3 {
		t.Errorf("%d saves for 101 requests", n)
	}
}

func TestSaverReturnsItsError(t *testing.T) {
	full := errors.New("no space left on device")
	s := saver{save: func() error { return full }}
	if err := s.request().wait(); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}
