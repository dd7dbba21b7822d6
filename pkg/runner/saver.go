package runner

import "sync"

// saver runs save as often as it is asked to, but never twice at a time: requests
// that come while it runs are served together by the next one. So the record on
// disk is at most one save behind, whatever the number of steps that end at once.
type saver struct {
	save func() error

	mu      sync.Mutex
	running bool
	next    *saved // the save that a request made now will be part of; nil: none is due
	last    *saved // the save that was started last
}

// saved is one save; done is closed after it.
type saved struct {
	done chan struct{}
	err  error
}

// wait returns when the save has been made.
func (s *saved) wait() error {
	<-s.done
	return s.err
}

// request asks for a save of what is true now, and returns it without waiting.
func (s *saver) request() *saved {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &saved{done: make(chan struct{})}
	}
	due := s.next
	if !s.running {
		s.running = true
		go s.work()
	}
	return due
}

// work saves until nothing more is due.
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
		s.last = due
		s.mu.Unlock()
		due.err = s.save()
		close(due.done)
	}
}

// flush returns, with its error, when the last save that was asked for has been made.
func (s *saver) flush() error {
	s.mu.Lock()
	last := s.last
	if s.next != nil {
		last = s.next
	}
	s.mu.Unlock()
	if last == nil {
		return nil
	}
	return last.wait()
}
