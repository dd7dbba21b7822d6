package runner

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/docker/go-units"

	"runtests/pkg/container"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// cleanUpBound is how long removing a container may take once it has ended, in
// addition to the engine's own bounds.
const cleanUpBound = time.Minute

// errTimeout is the cause of a step's context when its time is over.
var errTimeout = errors.New("the step's time was over")

// step runs one step, again as often as its retries allow, and returns its result.
func (r *Runner) step(ctx context.Context, index int, step suite.Step) report.Result {
	result := r.planned(step)
	if !r.standing(ctx, index, step, &result) {
		return result
	}
	if err := r.await(ctx); err != nil {
		broken(ctx, &result, err)
		return result
	}
	result.Started = r.Now()
	r.record(index, result) // on disk soon: nothing waits for it
	if err := r.prepare(ctx, step); err != nil {
		broken(ctx, &result, err)
	} else {
		r.attempts(ctx, index, step, &result)
	}
	result.Duration = report.Duration(r.Now().Sub(result.Started))
	return result
}

// prepare is ready, again when the engine went away meanwhile: nothing was run yet.
func (r *Runner) prepare(ctx context.Context, step suite.Step) error {
	err := r.ready(ctx, step)
	if !errors.Is(err, container.ErrGone) {
		return err
	}
	r.notice(step.Name, err)
	if err := r.await(ctx); err != nil {
		return err
	}
	return r.ready(ctx, step)
}

// attempts runs the step until it passes, or its retries are used up.
func (r *Runner) attempts(ctx context.Context, index int, step suite.Step, result *report.Result) {
	for {
		result.Attempts++
		r.attempt(ctx, index, step, result)
		if result.Outcome == report.Passed || ctx.Err() != nil || result.Attempts > step.Retries || r.await(ctx) != nil {
			break
		}
	}
	noteAttempts(result, step.Retries)
}

// ready says what stands in the way of running the step at all.
func (r *Runner) ready(ctx context.Context, step suite.Step) error {
	if step.Script && !r.elsewhere(step) {
		if err := step.CheckScript(); err != nil {
			return err
		}
	}
	if r.Images == nil {
		return nil
	}
	return r.images.ensure(ctx, r.Images, step)
}

// elsewhere says that the step's directory is one of the engine's machine, which
// is not this one: what is wrong with it only the engine can tell.
func (r *Runner) elsewhere(step suite.Step) bool {
	return r.Remote && step.Mount != suite.Copied
}

// attempt runs the step's container once and sets what result says of it.
func (r *Runner) attempt(ctx context.Context, index int, step suite.Step, result *report.Result) {
	result.Outcome, result.Reason, result.Hint, result.ExitStatus = "", "", "", nil
	log, err := r.createLog(step.Name, result.Attempts)
	if err != nil {
		broken(ctx, result, err)
		return
	}
	defer log.close()
	r.Observer.Started(index, *result, log)

	c := r.container(step)
	r.outages.begin(c.Name)
	defer r.outages.end(c.Name)
	stepCtx, cancel := context.WithTimeoutCause(ctx, step.Timeout, errTimeout)
	exit, err := r.Executor.Run(stepCtx, c, log)
	judge(stepCtx, step, exit, err, result)
	cancel()
	if err := log.end(); err != nil {
		result.Notes = append(result.Notes, err.Error())
	}
	result.ImageID = exit.ImageID
	describe(log, r.run.Lines, result)
	if errors.Is(err, container.ErrNoImage) {
		r.images.forget(step) // somebody removed it: the next step looks again
	}
	r.notice(step.Name, err)
	r.dispose(ctx, exit.ID, step, result)
}

// createLog makes the log of an attempt. It has the step's own name: the log of
// the attempt before it, if any, steps aside.
func (r *Runner) createLog(step string, attempt int) (*Log, error) {
	if attempt > 1 {
		if err := r.Folder.PutAside(step, attempt-1); err != nil {
			return nil, err
		}
	}
	return newLog(r.Folder, r.Folder.LogFile(step), r.MaxLog)
}

// container is the step's container with a name of its own and our labels, to be kept if
// the run is to keep one.
func (r *Runner) container(step suite.Step) container.Container {
	c := r.labelled(step)
	if name := r.keepAs(step); name != "" {
		c.Labels[LabelKeep] = name
		c.KeepLog = true
		if tree := r.Commits[step.Dir]; tree.Dirty {
			c.Labels[LabelCommit] = tree.Commit + "-dirty"
		} else if tree.Commit != "" {
			c.Labels[LabelCommit] = tree.Commit
		}
	}
	return c
}

// labelled is the step's container with a name of its own and our labels.
func (r *Runner) labelled(step suite.Step) container.Container {
	c := step.Container
	c.Name = "runtests-" + container.SafeName(step.Test) + "-" + random()
	c.Labels = map[string]string{
		LabelRun:     r.Folder.Path,
		LabelMachine: r.Machine,
		LabelSuite:   r.run.Suite,
		LabelStep:    step.Name,
	}
	return c
}

// dispose removes the container of an attempt, or puts it under the name to keep it by.
// It waits for an engine that went away, as long as the run is willing to.
func (r *Runner) dispose(ctx context.Context, id string, step suite.Step, result *report.Result) {
	if id == "" {
		return
	}
	if err := r.await(ctx); err != nil {
		result.Notes = append(result.Notes, "its container is still there, the next run removes it")
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpBound)
	defer cancel()
	if name := r.keepAs(step); name != "" && result.Outcome != report.Interrupted && (r.Keep != "" || result.Outcome == report.Passed) {
		r.keep(ctx, id, name, result)
		return
	}
	if err := r.Executor.Remove(ctx, id); err != nil {
		r.notice(result.Name, err)
		result.Notes = append(result.Notes, fmt.Sprintf("its container was still there at its end, it is removed by the next run at the latest: %v", err))
	}
}

// describe adds to result what there is to say of its log.
func describe(log *Log, lines int, result *report.Result) {
	size, count, leftOut := log.Size()
	result.Log = report.Log{File: filepath.Base(log.Path()), Bytes: size, Lines: count, LeftOut: leftOut}
	if leftOut > 0 {
		result.Notes = append(result.Notes, fmt.Sprintf("it printed %s, and its log on disk lacks %s of that, from the middle (max_log)",
			units.BytesSize(float64(size)), units.BytesSize(float64(leftOut))))
	}
	tail, err := log.tail(lines)
	if err != nil {
		result.Notes = append(result.Notes, fmt.Sprintf("the end of its log could not be read: %v", err))
	}
	result.Log.Tail = tail
}

func noteAttempts(result *report.Result, retries int) {
	if result.Attempts < 2 {
		return
	}
	verb := "passed on"
	if result.Outcome != report.Passed {
		verb = "ended with"
	}
	result.Notes = append(result.Notes, fmt.Sprintf("%s attempt %d of %d", verb, result.Attempts, retries+1))
}

func random() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails: crypto/rand, since Go 1.24
	return hex.EncodeToString(b)
}
