package main

import (
	"context"
	"fmt"

	"github.com/docker/go-units"

	"runtests/pkg/engine"
	"runtests/pkg/report"
)

// lookAtDisk looks at the disk of the engine, which takes as long as a small test, while
// the run begins. The function it returns waits for the answer; zero: it cannot be told.
func lookAtDisk(ctx context.Context, w *world, e *engine.Engine) func() engine.Disk {
	found := make(chan engine.Disk, 1)
	go func() {
		disk, ok, err := e.Disk(ctx)
		if err != nil {
			w.log.Debugf("look at the engine's disk: %v", err)
		}
		if !ok || err != nil {
			disk = engine.Disk{}
		}
		found <- disk
	}()
	return func() engine.Disk { return <-found }
}

// diskFacts are what the report tells of the engine's disk, and what its reader must know
// when there is little left of it.
func diskFacts(before, after engine.Disk, limit int64) (facts report.Disk, notes []string) {
	if before.Total == 0 {
		return report.Disk{}, nil
	}
	facts = report.Disk{Path: before.Path, Total: before.Total, FreeBefore: before.Free, FreeAfter: after.Free, Limit: limit}
	least := before.Free
	if after.Total > 0 {
		least = min(least, after.Free)
	}
	if least < limit {
		notes = append(notes, fmt.Sprintf("only %s of %s are free on %s, where the engine keeps images (min_free_disk: %s): `runtests clean --dry-run` tells what can go",
			units.HumanSize(float64(least)), units.HumanSize(float64(before.Total)), before.Path, units.HumanSize(float64(limit))))
	}
	return facts, notes
}
