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

// tryFiles tries the last files the test passed with on the present image and, if oldFails says that
// the old image fails with the present files, on the old image.
func (i *inquiry) tryFiles(ctx context.Context, old oldImage, oldFails bool) (answer, error) {
	if obstacle := i.obstacle(); obstacle != nil {
		return *obstacle, nil
	}
	paths := i.inTree()
	if unchanged, err := i.Trees.Same(ctx, i.Tree.Root, i.Passed.Commit, i.Failed.Commit, paths); err == nil && unchanged && !i.Failed.Dirty {
		return answer{finding: same}, nil // the commits between change other files
	}
	work, err := i.Lab.Work()
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = os.RemoveAll(work) }() // the next run removes what is left
	switch err := i.Trees.Files(ctx, i.Tree.Root, i.Passed.Commit, paths, work); {
	case err != nil && ctx.Err() != nil:
		return answer{}, context.Cause(ctx)
	case err != nil:
		return answer{unknown, "could not get the last files it passed with: " + err.Error()}, nil
	}
	step, ok := i.relocated(work)
	if !ok {
		return answer{unknown, "the commit it last passed at does not have its directory"}, nil
	}
	found, err := i.try(ctx, "with the files of "+short(i.Passed.Commit), i.onFiles(step, work, i.Failed.ImageID, i.Step.Container.Image))
	if err != nil || found == passes || !oldFails {
		return answer{finding: found}, err
	}
	found, err = i.try(ctx, i.onOld()+" with the files of "+short(i.Passed.Commit), i.onFiles(step, work, old.id, old.name))
	if found == passes {
		found = both
	}
	return answer{finding: found}, err
}

// untrusted is the reason for not using a repository that tests can write: it could name the files of
// another repository, which would then be mounted into the container.
const untrusted = "its files cannot be compared, a test can write the .git of its directory (with mount: ro or mount: copy it cannot)"

// obstacle returns the answer if there are no old files to try; otherwise it returns nil.
func (i *inquiry) obstacle() *answer {
	switch {
	case i.Tree.Commit == "":
		return &answer{unknown, "its files cannot be compared, its directory is in no git work tree"}
	case i.Tree.Untrusted:
		return &answer{unknown, untrusted}
	case i.Passed.Commit == "" || i.Passed.Untrusted:
		return &answer{unknown, "the last files it passed with are not known"}
	case i.Passed.Dirty:
		return &answer{unknown, "its files cannot be compared, its directory had uncommitted changes when it last passed"}
	case i.Passed.Commit == i.Failed.Commit && !i.Failed.Dirty:
		return &answer{finding: same}
	case i.Step.Container.HostUser:
		return &answer{unknown, "the last files it passed with were not tried, it runs as the owner of its own (user: owner)"}
	case i.Remote && i.mounts():
		return &answer{unknown, "the last files it passed with were not tried, the engine is on another machine"}
	}
	return nil
}

// mounts reports whether the test mounts files of the work tree.
func (i *inquiry) mounts() bool {
	return slices.ContainsFunc(i.Step.Container.Mounts, func(m container.Mount) bool {
		_, inside := i.inside(m)
		return inside
	})
}

// inside returns the source of a mount relative to the root of the work tree.
func (i *inquiry) inside(m container.Mount) (string, bool) {
	if !m.Bind() {
		return "", false
	}
	return worktree.Inside(i.Tree.Root, m.Source)
}

// inTree returns the paths in the work tree that the test sees, relative to its root.
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

// relocated returns the step with the folder work in place of the work tree. Paths that the commit does
// not have, as a cache that git ignores, stay as they are; ok is false if the test's directory is
// one of them.
func (i *inquiry) relocated(work string) (step suite.Step, ok bool) {
	moved := func(source string) (string, bool) {
		inside, ok := worktree.Inside(i.Tree.Root, source)
		if !ok {
			return source, false
		}
		to := filepath.Join(work, filepath.FromSlash(inside))
		info, err := os.Lstat(to)
		if err != nil || !info.IsDir() && !info.Mode().IsRegular() { // a link could lead elsewhere
			return source, false
		}
		return to, true
	}
	step = withSources(i.Step, func(source string) string {
		source, _ = moved(source)
		return source
	})
	step.Dir, ok = moved(step.Dir)
	return step, ok
}

// withSources returns a step with other sources of what it mounts and copies from this machine.
func withSources(step suite.Step, other func(source string) string) suite.Step {
	step.Container.Mounts = slices.Clone(step.Container.Mounts)
	for n := range step.Container.Mounts {
		if m := &step.Container.Mounts[n]; m.Bind() {
			m.Source = other(m.Source)
		}
	}
	step.Container.Copies = slices.Clone(step.Container.Copies)
	for n := range step.Container.Copies {
		c := &step.Container.Copies[n]
		c.Source = other(c.Source)
	}
	return step
}

// onFiles returns a step with the files in work, on an image. As work is temporary, the command for a
// person makes a work tree of its own.
func (i *inquiry) onFiles(step suite.Step, work, id, name string) attempt {
	a := i.onImage(step, id, name)
	byHand := path.Join("/tmp", filepath.Base(i.Tree.Root)+"-"+short(i.Passed.Commit))
	shown := withSources(step, func(source string) string { return replaceRoot(source, work, byHand) })
	shown.Container.Image = name
	a.command = shellescape.QuoteCommand([]string{"git", "-C", i.Tree.Root, "worktree", "add", "--detach", byHand, i.Passed.Commit}) +
		" && " + shown.Container.CommandLine(i.CLI, "")
	a.commit = i.Passed.Commit
	return a
}

// replaceRoot returns a path below from as one below to. It returns other paths unchanged.
func replaceRoot(file, from, to string) string {
	inside, err := filepath.Rel(from, file)
	if err != nil || !filepath.IsLocal(inside) {
		return file
	}
	return filepath.Join(to, inside)
}

// uncommitted returns the reason of a verdict if the files differ in more than commits.
func (i *inquiry) uncommitted() string {
	if !i.Failed.Dirty {
		return ""
	}
	return "it passes with the last files it passed with; its directory has uncommitted changes"
}

// addCommits adds the commits between the two states of the files to the verdict.
func (i *inquiry) addCommits(ctx context.Context) {
	found, err := i.Trees.Between(ctx, i.Tree.Root, i.Passed.Commit, i.Failed.Commit, i.inTree(), maxCommits)
	if err != nil {
		return // the verdict holds without them
	}
	for _, c := range found {
		i.verdict.Commits = append(i.verdict.Commits, report.Commit{ID: c.ID, Date: c.Date, Author: c.Author, Subject: c.Subject})
	}
}

// short returns the beginning of a commit's ID.
func short(commit string) string { return commit[:min(12, len(commit))] }
