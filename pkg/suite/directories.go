package suite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v4"

	"runtests/pkg/hint"
)

// FromDirs returns a suite of test directories without a suite file: `runtests run DIR... --image
// IMAGE`. Each test has the name of its directory. The logs go to ./logs. A test may
// write whatever the command line names: beside that, nothing decides what runs.
func FromDirs(dirs []string, env Env, o Overrides) (*Suite, error) {
	if o.Image == "" {
		return nil, hint.Errorf("add --image IMAGE", "run without a suite file: no image is given")
	}
	if len(dirs) == 0 {
		return nil, hint.Errorf("runtests run DIR --image IMAGE", "run without a suite file: no test directory is given")
	}
	over, err := o.check(env)
	if err != nil {
		return nil, err
	}
	s := newSuite("", env.Dir)
	s.Logs = filepath.Join(env.Dir, s.Logs)
	s.outside = outside{defaults: initialSettings(), over: over, env: env}
	var faults []error
	for _, dir := range dirs {
		if err := s.addDirectory(dir, env.Dir); err != nil {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &s, nil
}

// addDirectory adds a directory as a test, unless it is one already.
func (s *Suite) addDirectory(dir, wd string) error {
	full := absolute(wd, dir)
	info, err := os.Stat(full)
	switch {
	case isNotExist(err):
		return hint.Errorf("a test is a directory with a test.sh in it", "test directory %s: there is none", quoted(dir))
	case err != nil:
		return fmt.Errorf("test directory %s: %w", quoted(dir), bare(err))
	case !info.IsDir():
		return hint.Errorf("a test is a directory with a test.sh in it", "test directory %s: not a directory", quoted(dir))
	}
	steps, err := s.outside.stepsOf(full)
	if err != nil {
		return err
	}
	for _, step := range steps {
		i := slices.IndexFunc(s.Steps, func(have Step) bool { return have.Name == step.Name })
		if i < 0 {
			s.Steps = append(s.Steps, step)
		} else if s.Steps[i].Dir != step.Dir {
			return hint.Errorf("run them one after the other", "test directories %s and %s: both are named %s", quoted(s.Steps[i].Dir), quoted(full), quoted(step.Test))
		}
	}
	return nil
}

// stepsOf returns the steps of a test directory, an absolute path.
func (o outside) stepsOf(dir string) ([]Step, error) {
	test := filepath.Base(dir)
	if _, err := properName(test); err != nil {
		return nil, hint.Errorf("rename it", "test directory %s: the name of a test %w", quoted(dir), err)
	}
	d := &decoder{env: o.env, files: disk{}}
	e := expander{d: d, outside: o, names: map[string]bool{}}
	e.directory(d.value(&yaml.Node{Kind: yaml.ScalarNode, Line: 1, Column: 1}), dir)
	if len(d.problems) > 0 {
		p := d.problems[0]
		return nil, hint.Errorf(p.Hint, "test directory %s: %s", quoted(dir), p.Message)
	}
	return e.steps, nil
}
