package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"runtests/pkg/history"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/worktree"
)

// lock locks the suite, and waits for it as long as the plan allows. A run that does not get the
// lock is noted for the next report.
func (p *Pipeline) lock(ctx context.Context) (*history.Lock, error) {
	holder := history.Holder{PID: os.Getpid(), Since: time.Now(), Command: p.Command}
	lock, err := history.WaitSuite(ctx, p.Suite.Logs, holder, p.Wait, p.Console.Waiting)
	var held *history.HeldError
	if errors.As(err, &held) {
		if err := history.RecordSkipped(p.Suite.Logs, history.Skipped{Launched: holder.Since, Since: held.Since}); err != nil {
			p.Log.Debug(err)
		}
	}
	return lock, err
}

// readHistory returns the history of earlier runs, or nil: the report then says less.
func (p *Pipeline) readHistory() *history.History {
	earlier, err := history.ReadHistory(p.Suite.Logs, p.folder.ID)
	if err != nil {
		p.Log.Warn(err)
		return nil
	}
	for _, fault := range earlier.Errors {
		p.Log.Debug(fault)
	}
	return earlier
}

// cutOff returns a sentence for each earlier run that was cut off and not reported yet.
func (p *Pipeline) cutOff() []string {
	notes, err := history.CutOffNotes(p.Suite.Logs, p.folder.ID)
	if err != nil {
		p.Log.Warn(err)
	}
	return notes
}

// skipped adds to run a sentence for each run that was skipped because of this one or an earlier
// one. The caller calls forget once that is on disk.
func (p *Pipeline) skipped(run *report.Run) (found bool, forget func()) {
	list, size, err := history.ListSkipped(p.Suite.Logs)
	if err != nil {
		p.Log.Debug(err)
		return false, func() {}
	}
	run.Notes = append(run.Notes, history.SkippedNotes(list, run.Started)...)
	return len(list) > 0, func() {
		if err := history.ForgetSkipped(p.Suite.Logs, size); err != nil {
			p.Log.Debug(err)
		}
	}
}

// sweep removes the containers that dead runs left, and returns a sentence for each.
func (p *Pipeline) sweep(ctx context.Context) (notes []string) {
	removed, errs := runner.Sweep(ctx, p.engine, p.engine, MachineID(), Alive(p.Log))
	for _, c := range removed {
		notes = append(notes, fmt.Sprintf("removed the container %s of the run %s, which was cut off", c.Name, c.Labels[runner.LabelRun]))
	}
	for _, err := range errs {
		notes = append(notes, err.Error())
	}
	return notes
}

// Alive returns a function that reports whether the run of a folder goes on. It takes another
// user's run, which cannot be looked at, for alive: its containers are left alone.
func Alive(log Log) func(folder string) (bool, error) {
	return func(folder string) (bool, error) {
		alive, err := history.Alive(folder)
		if errors.Is(err, fs.ErrPermission) {
			log.Debug(fmt.Errorf("leave the containers of another user's run alone: %w", err))
			return true, nil
		}
		return alive, err
	}
}

// commits returns the commits of the steps' directories, as far as git knows them.
func (p *Pipeline) commits(ctx context.Context) map[string]worktree.State {
	var dirs []string
	for _, step := range p.Steps {
		dirs = append(dirs, step.Dir)
	}
	slices.Sort(dirs)
	states, err := worktree.States(ctx, slices.Compact(dirs))
	if err != nil {
		p.Log.Debug(err)
	}
	return states
}
