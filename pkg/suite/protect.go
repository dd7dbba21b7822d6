package suite

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/plain"
	"runtests/pkg/region"
)

// protected is a file or directory that decides what is run, with which rights, or what is reported
// of it. A test that could write it would say so instead of the suite's author.
type protected struct{ what, path string }

// protect adds a file to those that no test may write.
func (d *decoder) protect(what, path string) {
	if p := (protected{what, path}); !slices.Contains(d.protected, p) {
		d.protected = append(d.protected, p)
	}
}

// protectAll adds what the suite names: the file itself first.
func (d *decoder) protectAll(s *Suite) {
	named := d.protected
	d.protected = nil
	d.protect("the suite file", s.File)
	d.protect("the folder of the logs", s.Logs)
	for _, image := range s.Images {
		if image.Build != nil {
			d.protect("the Dockerfile", image.Build.Dockerfile)
			d.protect("the build context", image.Build.Context)
		}
	}
	for _, entry := range s.Deployments {
		for _, f := range entry.Files {
			d.protect("the deployed file", f.Source)
		}
		d.protectProfiles(entry.Container)
	}
	for _, step := range s.Steps {
		d.protectProfiles(step.Container)
	}
	for _, p := range named {
		d.protect(p.what, p.path)
	}
}

func (d *decoder) protectProfiles(c container.Container) {
	for _, option := range c.SecurityOpt {
		if file, ok := strings.CutPrefix(strings.Replace(option, ":", "=", 1), "seccomp="); ok && filepath.IsAbs(file) {
			d.protect("the seccomp profile", file)
		}
	}
}

// Writable returns the directories and files of the engine's machine that the step's container can
// write.
func (s Step) Writable() []string { return WritableSources(s.Container.Mounts) }

// Regions returns what strangers can put links in, of this machine: what the containers of the suite's steps and deployments
// can write, and the directories of the tests, which a commit can change however they are mounted. It is nil if the
// tests are trusted.
func (s *Suite) Regions() *region.Set {
	if s.Trusted {
		return nil
	}
	paths := s.Writable()
	for _, step := range s.Steps {
		if step.Dir != "" {
			paths = append(paths, step.Dir)
		}
	}
	return region.New(os.Readlink, paths)
}

// Writable returns the directories and files of the engine's machine that the containers of the suite's steps and
// deployments can write.
func (s *Suite) Writable() []string { return slices.Concat(writable(s.Steps), s.production) }

func writable(steps []Step) (paths []string) {
	for _, step := range steps {
		paths = append(paths, step.Writable()...)
	}
	return paths
}

// ownFolders are the folders in a suite's logs in which nothing may be writable, although a test may
// have another place there: that of the mails that wait, the link to the last run, and what is noted of
// the containers that are ours (history.Kept).
var ownFolders = []string{"spool", "latest", "kept"}

// exposure is which protected files the tests of a suite can write or replace.
type exposure struct {
	regions *region.Set            // nil: the tests are trusted
	inside  map[string][]protected // by the root of a region
	logs    *region.Set            // ownFolders
}

// newExposure returns the exposure by tests that can write the paths.
func newExposure(s *Suite, paths []string, readlink region.Readlink) exposure {
	if s.Trusted {
		return exposure{}
	}
	x := exposure{region.New(readlink, paths), map[string][]protected{}, nil}
	for _, p := range s.protected {
		for _, root := range x.regions.Entered(p.path) {
			x.inside[root] = append(x.inside[root], p)
		}
	}
	var own []string
	for _, name := range ownFolders {
		own = append(own, filepath.Join(s.Logs, name))
	}
	x.logs = region.New(readlink, own)
	return x
}

// by returns the protected files that whoever can write a path can write.
func (x exposure) by(path string) []protected {
	if x.regions == nil {
		return nil
	}
	found := x.inside[x.regions.Root(path)]
	if own := x.logs.Entered(path); len(found) == 0 && len(own) > 0 {
		found = []protected{{"the folder of the logs", own[0]}}
	}
	return found
}

// check returns an error if a container, which who names, exposes protected files by a mount.
func (x exposure) check(who string, m container.Mount) error {
	if !m.Bind() || m.ReadOnly {
		return nil
	}
	found := x.by(m.Source)
	if len(found) == 0 {
		return nil
	}
	more := ""
	if n := len(found) - 1; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	where, remedy := "directory", "write mount: ro or mount: copy, or give it a directory of its own"
	if m.Target != testDir {
		m.ReadOnly = true
		where, remedy = "volume", "write "+plain.Clean(m.Short())+", or mount a directory of its own"
	}
	return hint.Errorf(remedy+"; if the tests may rewrite what runs them, write trusted: true at the top of the suite",
		"%s can write %s %s%s through its %s %s", who, found[0].what, plain.Clean(found[0].path), more, where, plain.Clean(m.Source))
}

// entry is a test as the suite has it, for errors about what it mounts.
type entry struct {
	test, dir string
	at        value
	settings  settings
}

// mount returns the mount of the test's directory; of a copy it is nothing.
func (t entry) mount() container.Mount {
	if t.settings.mount == Copied {
		return container.Mount{}
	}
	return container.Mount{Source: t.dir, Target: testDir, ReadOnly: t.settings.mount == ReadOnly}
}

// checkExposure reports the tests and the deployments that can write what decides about them: once for the directory of
// each, and once for its volumes. It reports the tests that a deployment could lead elsewhere, too.
func (e *expander) checkExposure(s *Suite) {
	x := newExposure(s, slices.Concat(writable(e.steps), s.production), e.d.files.readlink)
	for _, t := range e.entries {
		err := cmp.Or(x.check("test "+quoted(t.test), t.mount()), s.checkBelowProduction(t.test, t.dir))
		if err != nil {
			t.settings.read.or(t.at, "dir").fail(hint.Of(err), "%v", err)
		}
		for _, v := range mergeVolumes(t.settings.volumes, e.over.volumes) {
			err := x.check("test "+quoted(t.test), v.mount)
			if v.mount.Bind() {
				err = cmp.Or(err, s.checkBelowProduction(t.test, v.mount.Source))
			}
			if err != nil {
				t.settings.read.or(t.at, "volumes").fail(hint.Of(err), "%v", err)
				break
			}
		}
	}
	for _, entry := range e.d.deployed {
		e.checkDeployed(x, entry)
	}
}

// checkDeployed reports a deployment whose container can write what decides about the tests.
func (e *expander) checkDeployed(x exposure, entry deployment) {
	if len(entry.writesHere()) == 0 {
		return
	}
	for _, m := range entry.Deployment.Container.Mounts {
		if err := x.check("deployment "+quoted(entry.Name), m); err != nil {
			entry.read["volumes"].fail(hint.Of(err), "%v", err)
			return
		}
	}
}

// checkBelowProduction returns an error if a test gets a path below one that a container in production can write. That
// container runs all the time, so that it could put a link there while the engine mounts the path.
func (s *Suite) checkBelowProduction(test, path string) error {
	for _, source := range s.production {
		if !s.Trusted && Below(path, source) {
			return hint.Errorf("name a directory outside of it, or add :ro to the volume; if the tests may rewrite what runs them, write trusted: true at the top of the suite",
				"test %s gets %s, which the container of a deployment can replace by a link, because it lies in its volume %s", quoted(test), plain.Clean(path), plain.Clean(source))
		}
	}
	return nil
}

// checkNewcomers returns an error if a step that the suite does not have exposes what the suite
// protects.
func (s *Suite) checkNewcomers(steps []Step) error {
	x := newExposure(s, slices.Concat(writable(steps), s.production), os.Readlink)
	for _, step := range steps {
		for _, m := range step.Container.Mounts {
			if err := x.check("test "+quoted(step.Test), m); err != nil {
				return err
			}
		}
	}
	return nil
}
