package diagnose

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"slices"

	"al.essio.dev/pkg/shellescape"

	"runtests/pkg/container"
	"runtests/pkg/report"
	"runtests/pkg/suite"
	"runtests/pkg/worktree"
)

// maxCommits is how many commits a verdict has at most.
const maxCommits = 100

// files tries the files that the test last passed with, on the image of today; and, where
// the old image fails, too, on that one.
func (i *inquiry) files(ctx context.Context, old oldImage, oldFails bool) (told, error) {
	if found := i.comparable(); found.finding != passes {
		return found, nil
	}
	paths := i.inTree()
	if unchanged, err := worktree.Same(ctx, i.Tree.Root, i.Passed.Commit, i.Failed.Commit, paths); err == nil && unchanged && !i.Failed.Dirty {
		return told{finding: same}, nil // the commits between are about something else
	}
	work, err := i.Lab.Work()
	if err != nil {
		return told{}, err
	}
	defer func() { _ = os.RemoveAll(work) }() // what is left is removed by the next run
	switch err := worktree.Files(ctx, i.Tree.Root, i.Passed.Commit, paths, work); {
	case err != nil && ctx.Err() != nil:
		return told{}, context.Cause(ctx)
	case err != nil:
		return told{untold, "the files that it last passed with could not be had: " + err.Error()}, nil
	}
	step, ok := i.moved(work)
	if !ok {
		return told{untold, "the commit that it last passed at does not have its directory"}, nil
	}
	found, err := i.try(ctx, "with the files of "+short(i.Passed.Commit), i.of(step, work, i.Failed.ImageID, i.Step.Container.Image))
	if err != nil || found == passes || !oldFails {
		return told{finding: found}, err
	}
	found, err = i.try(ctx, i.onOld()+" with the files of "+short(i.Passed.Commit), i.of(step, work, old.id, old.name))
	if found == passes {
		found = both
	}
	return told{finding: found}, err
}

// comparable says whether there are files to try: passes, there are.
func (i *inquiry) comparable() told {
	switch {
	case i.Tree.Commit == "":
		return told{untold, "what its files were is not known, its directory is in no git work tree"}
	case i.Passed.Commit == "":
		return told{untold, "what its files were when it last passed is not known"}
	case i.Passed.Dirty:
		return told{untold, "what its files were is not known, its directory had changes that were not committed when it last passed"}
	case i.Passed.Commit == i.Failed.Commit && !i.Failed.Dirty:
		return told{finding: same}
	case i.Remote && i.mounts():
		return told{untold, "its files are not tried, the engine is on another machine"}
	}
	return told{finding: passes}
}

// mounts says that the test has files of the work tree in place, not as a copy.
func (i *inquiry) mounts() bool {
	return slices.ContainsFunc(i.Step.Container.Mounts, func(m container.Mount) bool {
		_, inside := i.inside(m)
		return inside
	})
}

// inside is where a mount's source is in the work tree.
func (i *inquiry) inside(m container.Mount) (string, bool) {
	if !m.Bind() {
		return "", false
	}
	return worktree.Inside(i.Tree.Root, m.Source)
}

// inTree are the places in the work tree that the test sees.
func (i *inquiry) inTree() (paths []string) {
	for _, m := range i.Step.Container.Mounts {
		if p, ok := i.inside(m); ok {
			paths = append(paths, p)
		}
	}
	for _, c := range i.Step.Container.Copies {
		if p, ok := worktree.Inside(i.Tree.Root, c.Source); ok {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// moved is the step with what it sees of the work tree in the folder work. What the commit
// does not have, as a cache that git ignores, stays where it is; but the test's directory
// must be there.
func (i *inquiry) moved(work string) (step suite.Step, ok bool) {
	there := func(source string) (string, bool) {
		inside, ok := worktree.Inside(i.Tree.Root, source)
		if !ok {
			return source, false
		}
		to := filepath.Join(work, filepath.FromSlash(inside))
		info, err := os.Lstat(to)
		if err != nil || !info.IsDir() && !info.Mode().IsRegular() { // never by a link to somewhere else
			return source, false
		}
		return to, true
	}
	step = i.Step
	if step.Dir, ok = there(step.Dir); !ok {
		return step, false
	}
	step.Container.Mounts = slices.Clone(step.Container.Mounts)
	for n := range step.Container.Mounts {
		if m := &step.Container.Mounts[n]; m.Bind() {
			m.Source, _ = there(m.Source)
		}
	}
	step.Container.Copies = slices.Clone(step.Container.Copies)
	for n := range step.Container.Copies {
		c := &step.Container.Copies[n]
		c.Source, _ = there(c.Source)
	}
	return step, true
}

// of is a step with the files in work, on an image. Work is gone when a person repeats it:
// the command makes a work tree of its own.
func (i *inquiry) of(step suite.Step, work, id, name string) attempt {
	a := i.on(step, id, name)
	byHand := path.Join("/tmp", filepath.Base(i.Tree.Root)+"-"+short(i.Passed.Commit))
	shown := step
	shown.Container.Image = name
	shown.Container.Mounts = slices.Clone(step.Container.Mounts)
	shown.Container.Copies = slices.Clone(step.Container.Copies)
	for n := range shown.Container.Mounts {
		shown.Container.Mounts[n].Source = replaceRoot(shown.Container.Mounts[n].Source, work, byHand)
	}
	for n := range shown.Container.Copies {
		shown.Container.Copies[n].Source = replaceRoot(shown.Container.Copies[n].Source, work, byHand)
	}
	a.command = shellescape.QuoteCommand([]string{"git", "-C", i.Tree.Root, "worktree", "add", "--detach", byHand, i.Passed.Commit}) +
		" && " + shown.Container.CommandLine(i.CLI, "")
	a.commit = i.Passed.Commit
	return a
}

// replaceRoot is a path that is below from, below to.
func replaceRoot(file, from, to string) string {
	inside, err := filepath.Rel(from, file)
	if err != nil || !filepath.IsLocal(inside) {
		return file
	}
	return filepath.Join(to, inside)
}

// uncommitted is the reason of a verdict when not only commits are between the files.
func (i *inquiry) uncommitted() string {
	if !i.Failed.Dirty {
		return ""
	}
	return "it passes with the files that it last passed with; its directory has changes that are not committed"
}

// commits adds those between the two states of the files to the verdict.
func (i *inquiry) commits(ctx context.Context) {
	found, err := worktree.Between(ctx, i.Tree.Root, i.Passed.Commit, i.Failed.Commit, i.inTree(), maxCommits)
	if err != nil {
		return // the verdict is as good without
	}
	for _, c := range found {
		i.verdict.Commits = append(i.verdict.Commits, report.Commit{ID: c.ID, Date: c.Date, Author: c.Author, Subject: c.Subject})
	}
}

// short is the beginning of a commit's ID.
func short(commit string) string { return commit[:min(12, len(commit))] }
