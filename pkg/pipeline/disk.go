package pipeline

import (
	"context"
	"fmt"

	"runtests/pkg/engine"
	"runtests/pkg/report"
)

// disk returns the state of the engine's disk, or the zero Disk if it is not known. It takes as long
// as a small test.
func (p *Pipeline) disk(ctx context.Context) engine.Disk {
	disk, known, err := p.engine.Disk(ctx)
	if err != nil {
		p.Log.Debug(fmt.Errorf("look at the engine's disk: %w", err))
	}
	if !known || err != nil {
		return engine.Disk{}
	}
	return disk
}

// diskFacts returns what the report says about the engine's disk, with a warning if less than
// limit bytes are free.
func diskFacts(before, after engine.Disk, limit int64) (facts report.Disk, warnings []string) {
	if before.Total == 0 {
		return report.Disk{}, nil
	}
	facts = report.Disk{Path: before.Path, Total: before.Total, FreeBefore: before.Free, FreeAfter: after.Free, Limit: limit}
	least := before.Free
	if after.Total > 0 {
		least = min(least, after.Free)
	}
	if least < limit {
		warnings = append(warnings, fmt.Sprintf("only %s of %s are free on %s, where the engine keeps images (min_free_disk: %s): `runtests clean --dry-run` shows what can go",
			report.Size(least), report.Size(before.Total), before.Path, report.Size(limit)))
	}
	return facts, warnings
}
