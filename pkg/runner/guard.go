package runner

import (
	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/suite"
)

// guard returns an error if a path that the container of a step gets leads through a link that a
// test may have made. An earlier container of the step counts, as in a retry and in the last run.
//
// The engine looks at the paths again when it mounts them. Meanwhile nobody can put a link there:
// the steps that could do not run (resourcesOf).
//
// If the engine is on another machine, guard knows only what this one shows of its paths.
func (r *Runner) guard(step suite.Step) error {
	regions := r.config.Regions.With(step.Writable()) // a trial may have another directory
	for _, source := range sources(step.Container) {
		if _, err := regions.Resolve(source); err != nil {
			return hint.Wrap(err, "name the directory that is meant in the suite; or write mount: ro or mount: copy for the test that can put links there, or trusted: true at the top of the suite")
		}
	}
	return nil
}

// sources returns the paths of the engine's machine, or for copies of this one, that a container gets.
func sources(c container.Container) (paths []string) {
	for _, m := range c.Mounts {
		if m.Bind() {
			paths = append(paths, m.Source)
		}
	}
	for _, copied := range c.Copies {
		paths = append(paths, copied.Source)
	}
	return paths
}
