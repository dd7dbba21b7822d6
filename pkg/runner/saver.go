package runner

import "sync"

// saver calls save on request, but never twice at a time: requests that arrive during a save are
// served together by the next. However many steps end at once, the record on disk is at most one
// save behind.
type saver struct {
	save func() error

	mu      sync.Mutex
	running bool
	next    *saving // the save that serves new requests; nil: none is due
}

// saving is a save; done is closed after it.
type saving struct {
	done chan struct{}
	err  error
}

// wait waits for the save, and returns its error.
func (s *saving) wait() error {
	<-s.done
	return s.err
}

// request requests a save of the current record, and returns it without waiting.
func (s *saver) request() *saving {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &saving{done: make(chan struct{})}
	}
	due := s.next
	if !s.running {
		s.running = true
		go s.work()
	}
	return due
}

// work saves until no save is due.
func (s *saver) work() {
	for {
		s.mu.Lock()
		due := s.next
		s.next = nil
		if due == nil {
			s.running = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		due.err = s.save()
		close(due.done)
	}
}
