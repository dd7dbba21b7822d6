package transfer

import (
	"io"
	"time"
)

// Progress is how far a transfer has come.
type Progress struct {
	Sent  int64         // bytes
	Total int64         // bytes; an estimate until the last layer is being sent
	Left  time.Duration // estimated from the rate so far; 0: not known yet
}

// progressInterval is how often Progress is reported.
const progressInterval = 200 * time.Millisecond

// meter counts what is sent, and reports it.
type meter struct {
	progress func(Progress) // may be nil
	now      func() time.Time

	sent, total int64
	start       time.Time // of the first layer
	reported    time.Time // when the progress was last
}

func newMeter(progress func(Progress), now func() time.Time, total int64) *meter {
	return &meter{progress: progress, now: now, total: max(total, 0)}
}

// begin announces that size bytes follow; if last, nothing follows them.
func (m *meter) begin(size int64, last bool) {
	if m.start.IsZero() {
		m.start = m.now()
	}
	if known := m.sent + size; last || known > m.total {
		m.total = known
	}
}

// add counts n bytes as sent.
func (m *meter) add(n int) {
	m.sent += int64(n)
	m.total = max(m.total, m.sent)
	if now := m.now(); now.Sub(m.reported) >= progressInterval {
		m.reported = now
		m.report(now)
	}
}

// end reports that everything is sent.
func (m *meter) end() {
	m.total = m.sent
	m.report(m.now())
}

func (m *meter) report(now time.Time) {
	if m.progress == nil {
		return
	}
	p := Progress{Sent: m.sent, Total: m.total}
	if took := now.Sub(m.start); !m.start.IsZero() && m.sent > 0 && took > 0 {
		p.Left = time.Duration(float64(took) * float64(m.total-m.sent) / float64(m.sent))
	}
	m.progress(p)
}

// countedWriter counts what is written through it.
type countedWriter struct {
	w     io.Writer
	meter *meter
}

func (c *countedWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.meter.add(n)
	return n, err
}
