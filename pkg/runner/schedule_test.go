package runner

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"runtests/pkg/container"
	"runtests/pkg/suite"
)

func TestConflict(t *testing.T) {
	dir := t.TempDir()
	inner, link := filepath.Join(dir, "a", "b"), filepath.Join(dir, "link")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "a"), link); err != nil {
		t.Fatal(err)
	}
	a := filepath.Join(dir, "a")
	mount := func(source string, readOnly bool) container.Container {
		return container.Container{Mounts: []container.Mount{{Source: source, Target: "/test", ReadOnly: readOnly}}}
	}
	mac := func(address, network string) container.Container {
		return container.Container{MacAddress: address, NetworkMode: network}
	}
	for _, test := range []struct {
		name string
		c, d container.Container
		want bool
	}{
		{"nothing in common", container.Container{}, container.Container{}, false},
		{"one directory, both writable", mount(a, false), mount(a, false), true},
		{"one directory, one writable", mount(a, false), mount(a, true), true},
		{"one directory, both read-only", mount(a, true), mount(a, true), false},
		{"one inside the other", mount(a, false), mount(inner, true), true},
		{"the other inside the one", mount(inner, false), mount(a, true), true},
		{"by a link", mount(link, false), mount(a, false), true},
		{"through a link", mount(filepath.Join(link, "b"), false), mount(inner, false), true},
		{"a longer name is not inside", mount(a, false), mount(a+"b", false), false},
		{"below the root", mount("/", true), mount(a, false), true},
		{"one volume", mount("cache", false), mount("cache", false), true},
		{"one volume, read-only", mount("cache", true), mount("cache", true), false},
		{"a volume named as a directory", mount("a", false), mount(a, false), false},
		{"volumes without a name", mount("", false), mount("", false), false},
		{"a device is made to be shared", mount("/dev/null", false), mount("/dev/null", false), false},
		{"one MAC address on one network", mac("aa:bb:cc:dd:ee:ff", ""), mac("AA-BB-CC-DD-EE-FF", "bridge"), true},
		{"one MAC address on two networks", mac("aa:bb:cc:dd:ee:ff", "one"), mac("aa:bb:cc:dd:ee:ff", "two"), false},
		{"two MAC addresses", mac("aa:bb:cc:dd:ee:ff", ""), mac("aa:bb:cc:dd:ee:fe", ""), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			used := resourcesOf([]suite.Step{{Container: test.c}, {Container: test.d}}, nil)
			if got := conflict(used[0], used[1]); got != test.want {
				t.Errorf("%v and %v: %v, want %v", used[0], used[1], got, test.want)
			}
			if conflict(used[0], used[1]) != conflict(used[1], used[0]) {
				t.Error("one disturbs the other, but not the other way round")
			}
		})
	}
}

// A link that a container may have made does not make a step use something else, nor does a device.
func TestConflictInARegion(t *testing.T) {
	dir := t.TempDir()
	test, cache, device, alias := filepath.Join(dir, "t"), filepath.Join(dir, "t", "cache"), filepath.Join(dir, "t", "device"), filepath.Join(dir, "alias")
	if err := os.Mkdir(test, 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{cache: "/etc", device: "/dev/null", alias: dir} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	mount := func(source string, readOnly bool) container.Container {
		return container.Container{Mounts: []container.Mount{{Source: source, Target: "/x", ReadOnly: readOnly}}}
	}
	copied := func(source string) container.Container {
		return container.Container{Copies: []container.Copy{{Source: source, Target: "/test"}}}
	}
	for _, test := range []struct {
		name string
		c, d container.Container
		want bool
	}{
		{"what was a directory", mount(test, false), mount(cache, true), true},
		{"by the administrator's link", mount(test, false), mount(filepath.Join(alias, "t", "cache", "deep"), true), true},
		{"what was no device", mount(test, false), mount(device, true), true},
		{"a copy of what is below", mount(test, false), copied(cache), true},
		{"a copy of the same directory", mount(test, false), copied(test), false},
		{"a copy of what is above", mount(filepath.Join(test, "deep"), false), copied(test), false},
		{"a copy below what is read", mount(filepath.Join(dir, "x"), true), copied(filepath.Join(dir, "x", "deep")), false},
		{"two copies", copied(cache), copied(cache), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			steps := []suite.Step{{Container: test.c}, {Container: test.d}}
			used := resourcesOf(steps, regionsOf(steps))
			if conflict(used[0], used[1]) != test.want || conflict(used[1], used[0]) != test.want {
				t.Errorf("%v and %v: not %v", used[0], used[1], test.want)
			}
		})
	}
}

// Whatever the resources, every step runs once, no two that conflict run at a time, no
// more than jobs, and none before what it needs.
func TestSchedule(t *testing.T) {
	for round := range 200 {
		jobs, steps := 1+rand.IntN(5), make([][]resource, rand.IntN(20))
		needs := make([][]int, len(steps))
		for i := range steps {
			for range min(i, rand.IntN(3)) {
				needs[i] = append(needs[i], rand.IntN(i))
			}
			for range rand.IntN(3) {
				directory := fmt.Sprintf("/%d", rand.IntN(4)) + strings.Repeat("/deep", rand.IntN(3))
				steps[i] = append(steps[i], resource{"directory", directory, rand.IntN(2) == 0})
				if rand.IntN(3) == 0 {
					steps[i] = append(steps[i], resource{"copied directory", directory, false})
				}
			}
		}
		var mu sync.Mutex
		running, ran := map[int]bool{}, map[int]int{}
		schedule(t.Context(), jobs, steps, needs, func(i int) {
			mu.Lock()
			for _, need := range needs[i] {
				if ran[need] == 0 || running[need] {
					t.Errorf("round %d: %d started before %d, which it needs, had ended", round, i, need)
				}
			}
			for other := range running {
				if conflict(steps[i], steps[other]) {
					t.Errorf("round %d: %d and %d run at a time", round, i, other)
				}
			}
			running[i] = true
			ran[i]++
			if len(running) > jobs {
				t.Errorf("round %d: %d steps run at a time, not %d", round, len(running), jobs)
			}
			mu.Unlock()
			mu.Lock()
			delete(running, i)
			mu.Unlock()
		})
		for i := range steps {
			if ran[i] != 1 {
				t.Errorf("round %d: step %d ran %d times", round, i, ran[i])
			}
		}
	}
}

func TestScheduleStartsTheFirstFirst(t *testing.T) {
	var order []int
	schedule(t.Context(), 1, make([][]resource, 10), make([][]int, 10), func(i int) { order = append(order, i) })
	if !slices.IsSorted(order) || len(order) != 10 {
		t.Errorf("got %v", order)
	}
}

// A step that must wait does not hold up those behind it.
func TestScheduleGoesAround(t *testing.T) {
	exclusive := []resource{{"directory", "/a", true}}
	third := make(chan struct{})
	schedule(t.Context(), 2, [][]resource{exclusive, exclusive, nil}, make([][]int, 3), func(i int) {
		switch i {
		case 0:
			<-third // hangs, and the test with it, unless the third step starts
		case 2:
			close(third)
		}
	})
}

func TestScheduleEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ran := 0
	schedule(ctx, 1, make([][]resource, 10), make([][]int, 10), func(int) {
		if ran++; ran == 3 {
			cancel()
		}
	})
	if ran != 3 {
		t.Errorf("%d steps ran, want 3", ran)
	}
}
