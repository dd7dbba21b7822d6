package runner

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
	"runtests/pkg/runner/executortest"
	"runtests/pkg/suite"
)

func TestCheckSteps(t *testing.T) {
	e := executortest.New("image")
	e.Unsupported = func(c container.Container) (found []container.Unsupported) {
		if c.Memory > 0 {
			found = append(found, container.Unsupported{Setting: "mem_limit", Reason: "the kernel has no memory limits", Remedy: "mount the memory cgroup", Ignored: true})
		}
		for _, m := range c.Mounts {
			found = append(found, container.Unsupported{Setting: "volumes", Reason: m.Source + " has a comma in it", Remedy: "rename it"})
		}
		return found
	}
	step := func(name string, memory int64, sources ...string) suite.Step {
		s := suite.Step{Name: name, Container: container.Container{Memory: memory}}
		for _, source := range sources {
			s.Container.Mounts = append(s.Container.Mounts, container.Mount{Source: source})
		}
		return s
	}
	fine := step("fine", 0)
	if ignored, err := CheckSteps(t.Context(), e, []suite.Step{fine}); len(ignored) > 0 || err != nil {
		t.Errorf("%v, %v", ignored, err)
	}
	ignored, err := CheckSteps(t.Context(), e, []suite.Step{fine, step("a", 1), step("b", 2)})
	if err != nil || len(ignored) != 1 || ignored[0].Error() != "mem_limit of a, b: the kernel has no memory limits" {
		t.Errorf("%v, %v", ignored, err)
	}
	ignored, err = CheckSteps(t.Context(), e, []suite.Step{
		step("a", 1, "/a,b"), fine, step("b", 0, "/a,b", "/c,d"), step("c", 0, "/a,b"), step("d", 0, "/a,b"), step("e", 0, "/a,b"),
	})
	var refused UnsupportedError
	if !errors.As(err, &refused) || len(ignored) != 1 {
		t.Fatalf("%v, %v", ignored, err)
	}
	want := `volumes of a, b, c and 2 more: /a,b has a comma in it
  rename it
volumes of b: /c,d has a comma in it
  rename it`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

// An executor that does not answer is no reason to believe that it honours everything.
func TestCheckStepsWithoutAnAnswer(t *testing.T) {
	e := executortest.New("image")
	e.Vanish()
	if _, err := CheckSteps(t.Context(), e, []suite.Step{{Name: "a"}}); !errors.Is(err, container.ErrGone) {
		t.Errorf("got %v", err)
	}
	var _ Executor = e
	var _ Keeper = e
	var _ ImageStore = e
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e.Return()
	e.Freeze()
	if _, err := CheckSteps(ctx, e, []suite.Step{{Name: "a"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
