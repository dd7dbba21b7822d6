package runner

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/region"
	"runtests/pkg/report"
	"runtests/pkg/suite"
	"runtests/pkg/worktree"
)

// Config is what a run needs: where its steps run, what it reports to, and how it treats the steps.
type Config struct {
	// Executor runs the containers. Required.
	Executor Executor
	// Keeper renames the containers that are kept; nil: none can be kept.
	Keeper Keeper
	// Images holds the executor's images; nil: the executor finds its images itself.
	Images ImageStore
	// Machine identifies this machine among those that share the engine. Required.
	Machine string
	// Remote says that the engine is on another machine, and that test directories may exist only
	// there.
	Remote bool
	// Regions are what the containers of the suite's steps can write; nil: they are trusted. Where
	// one of them may have made a link, nothing is mounted or copied.
	Regions *region.Set
	// Patience is how long to wait for an engine that went away. After that, no more steps are
	// started. Default: 2 minutes.
	Patience time.Duration

	// Run is the record of the run, to which the steps are added. Required.
	Run *report.Run
	// Folder takes the record and the logs. Required.
	Folder *history.Folder
	// Observer follows the run. Required.
	Observer Observer
	// History holds the earlier runs, with which results are compared; nil: there are none.
	History *history.History
	// MaxLog limits the size of a log on disk, in bytes: at least 64 KiB; 0: no limit.
	MaxLog int64
	// Now returns the time. Default: time.Now.
	Now func() time.Time

	// Jobs is how many steps run at a time. Default: 1.
	Jobs int
	// UseStale runs the tests of an image whose build failed on its previous image.
	UseStale bool
	// Keep keeps the container of the only step under this name; empty: remove it.
	Keep string
	// KeepPassed returns the name under which to keep the container of a step if it passes;
	// empty: remove it. nil removes all. Keep overrides it.
	KeepPassed func(step suite.Step) string
	// FormerName returns the name that earlier versions gave to what KeepPassed names; empty: none.
	// What a run of the same suite kept under that name is removed when its successor is kept.
	FormerName func(suite, step string) string

	// CLI is the command a person would type: docker, podman.
	CLI string
	// Mask removes the suite's secrets from the results.
	Mask plain.Mask
	// Commits holds those test directories that are in a git work tree.
	Commits map[string]worktree.State
}

// withDefaults returns c with its defaults. It panics if a required field is missing, which is a
// mistake in the program.
func (c Config) withDefaults() Config {
	if c.Executor == nil || c.Machine == "" || c.Run == nil || c.Folder == nil || c.Observer == nil {
		panic("runner: a Config needs Executor, Machine, Run, Folder and Observer")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Patience = cmp.Or(c.Patience, defaultPatience)
	c.Jobs = cmp.Or(c.Jobs, 1)
	return c
}

// Plan returns the results of builds and steps as they are before they run. It uses CLI, Mask,
// Commits, Keep and KeepPassed, and no other field.
func (c *Config) Plan(builds []Build, steps []suite.Step) []report.Result {
	results := make([]report.Result, 0, len(builds)+len(steps))
	for _, build := range builds {
		results = append(results, c.plannedBuild(build))
	}
	for _, step := range steps {
		results = append(results, c.planned(step))
	}
	return results
}

func (c *Config) plannedBuild(build Build) report.Result {
	return report.Result{
		Name:    build.Name,
		Kind:    report.KindImage,
		Image:   build.Name,
		Command: c.Mask.String(build.Command),
	}
}

func (c *Config) planned(step suite.Step) report.Result {
	tree := c.Commits[step.Dir]
	step, notes := c.withOwner(step)
	return report.Result{
		Notes:     notes,
		Commit:    tree.Commit,
		Dirty:     tree.Dirty,
		Untrusted: tree.Untrusted,
		Name:      step.Name,
		Kind:      report.KindTest,
		Test:      step.Test,
		Image:     step.Image,
		Command:   c.Mask.String(step.Container.CommandLine(c.CLI, c.keepAs(step))),
	}
}

// withOwner returns the step with the user that it runs as, and a note if that is root. If the user
// cannot be found, the step will break with the reason.
func (c *Config) withOwner(step suite.Step) (suite.Step, []string) {
	owned, err := step.WithOwner(c.Regions)
	if err != nil {
		return step, nil
	}
	if owned.Container.HostUser && strings.HasPrefix(owned.Container.User, "0:") {
		return owned, []string{fmt.Sprintf("user: owner changes nothing: its directory belongs to root (chown it: %s)", step.Dir)}
	}
	return owned, nil
}

// keepAs returns the name under which to keep the container of a step, or "".
func (c *Config) keepAs(step suite.Step) string {
	if c.Keep == "" && c.KeepPassed != nil {
		return c.KeepPassed(step)
	}
	return c.Keep
}
