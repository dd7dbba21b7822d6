package deploy

import (
	"io"
	"time"
)

// Progress says how far a transfer is.
type Progress struct {
	Sent  int64         // bytes
	Total int64         // bytes; about, until the last layer is on its way
	Left  time.Duration // at the pace until now; 0 as long as there is none
}

// progressInterval is how often a transfer tells how far it is.
const progressInterval = 200 * time.Millisecond

// pace counts what is sent, and tells it.
type pace struct {
	tell func(Progress)
	now  func() time.Time

	sent, total int64
	start, told time.Time // start: of the first layer that is sent
}

func newPace(tell func(Progress), now func() time.Time, total int64) *pace {
	return &pace{tell: tell, now: now, total: max(total, 0)}
}

// begin says that so many bytes follow, for certain; last: and no more than these.
func (p *pace) begin(size int64, last bool) {
	if p.start.IsZero() {
		p.start = p.now()
	}
	if known := p.sent + size; last || known > p.total {
		p.total = known
	}
}

func (p *pace) add(n int) {
	p.sent += int64(n)
	p.total = max(p.total, p.sent)
	if now := p.now(); now.Sub(p.told) >= progressInterval {
		p.told = now
		p.report(now)
	}
}

// end tells that all is sent.
func (p *pace) end() {
	p.total = p.sent
	p.report(p.now())
}

func (p *pace) report(now time.Time) {
	if p.tell == nil {
		return
	}
	progress := Progress{Sent: p.sent, Total: p.total}
	if took := now.Sub(p.start); !p.start.IsZero() && p.sent > 0 && took > 0 {
		progress.Left = time.Duration(float64(took) * float64(p.total-p.sent) / float64(p.sent))
	}
	p.tell(progress)
}

// countedWriter counts what goes through, once it has.
type countedWriter struct {
	w    io.Writer
	pace *pace
}

func (c *countedWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.pace.add(n)
	return n, err
}
