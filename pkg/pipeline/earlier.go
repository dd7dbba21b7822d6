package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"time"

	"runtests/pkg/hint"
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

// commits are the commits of test directories, by directory, and sentences about those that could not be
// found.
type commits struct {
	states map[string]worktree.State
	notes  []string
}

// commits returns the commits of the steps' directories, as far as git knows them.
func (p *Pipeline) commits(ctx context.Context) (found commits) {
	var dirs []string
	for _, step := range p.Steps {
		dirs = append(dirs, step.Dir)
	}
	slices.Sort(dirs)
	var err error
	found.states, err = p.worktrees().States(ctx, slices.Compact(dirs))
	if errors.Is(err, exec.ErrNotFound) {
		p.Log.Debug(err) // git is optional
		return found
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			found.notes = append(found.notes, p.Mask.String(commitNote(err)))
		}
	}
	return found
}

// commitNote returns a sentence about a work tree whose commit is not known.
func commitNote(err error) string {
	note := "the commit is not known: " + err.Error()
	if remedy := hint.Of(err); remedy != "" {
		note += " (" + remedy + ")"
	}
	return note
}

// worktrees returns the reader of git work trees. Whatever a step of the suite mounts writable, also one
// that is not in this run, may have been written by that step. The word of a trusted suite's tests is enough.
func (p *Pipeline) worktrees() worktree.Trees {
	if p.Suite.Trusted {
		return worktree.Trees{}
	}
	writable := p.Suite.Writable()
	for _, step := range p.Steps {
		writable = append(writable, step.Writable()...)
	}
	slices.Sort(writable)
	return worktree.Trees{Writable: slices.Compact(writable)}
}
