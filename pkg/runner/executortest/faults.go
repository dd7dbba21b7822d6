package executortest

// DieAfter makes every call after the next n fail with err and do nothing, as if the caller
// had died. A negative n: all calls are answered.
func (e *Executor) DieAfter(n int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls, e.dead = n, err
}

// Cut breaks the connections that there are. The executor accepts new ones at once.
func (e *Executor) Cut() { e.cut(false) }

// Vanish breaks the connections that there are, and accepts no new one until Return.
// Containers go on running.
func (e *Executor) Vanish() { e.cut(true) }

func (e *Executor) cut(away bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.link.cut)
	e.link.cut, e.link.away = make(chan struct{}), away
}

// Return ends Vanish.
func (e *Executor) Return() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.link.away = false
}

// Freeze keeps connections open, and lets nothing pass in either direction until Thaw.
func (e *Executor) Freeze() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link.melted == nil {
		e.link.melted = make(chan struct{})
		close(e.link.froze)
	}
}

// Thaw ends Freeze.
func (e *Executor) Thaw() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link.melted != nil {
		close(e.link.melted)
		e.link.melted, e.link.froze = nil, make(chan struct{})
	}
}

// current returns the connection as it is now.
func (e *Executor) current() link {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.link
}
