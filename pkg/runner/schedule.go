package runner

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"

	"runtests/pkg/region"
	"runtests/pkg/suite"
)

// resource is something that a step uses while it runs: a directory, a volume, an address on a
// network. Two steps conflict if they use the same resource and one of them needs it exclusively.
type resource struct {
	kind      string // directory, copied directory, volume, address
	name      string
	exclusive bool
}

// conflicts reports whether the users of a and b must not run at the same time. If one directory
// is inside the other, they are the same resource: a change in the inner one is seen in the outer.
//
// A directory that is copied may be one that is mounted, whose changes the copy may miss or have. It
// is only not to be replaced by a link meanwhile, which takes a change of what is above it.
func (a resource) conflicts(b resource) bool {
	if a.kind == "copied directory" {
		return b.kind == "directory" && b.exclusive && inside(a.name, b.name)
	}
	if b.kind == "copied directory" {
		return b.conflicts(a)
	}
	if a.kind != b.kind || !a.exclusive && !b.exclusive {
		return false
	}
	if a.name == b.name {
		return true
	}
	return a.kind == "directory" && (inside(a.name, b.name) || inside(b.name, a.name))
}

// inside reports whether path is below the directory dir.
func inside(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// conflict reports whether a resource of a conflicts with a resource of b.
func conflict(a, b []resource) bool {
	return slices.ContainsFunc(a, func(r resource) bool { return slices.ContainsFunc(b, r.conflicts) })
}

// resourcesOf returns the resources of each step. A directory or a volume that is mounted writable
// is exclusive, and so is a MAC address on its network. A directory in a region has the name that it
// was asked for by: no container can make it another resource.
func resourcesOf(steps []suite.Step, regions *region.Set) [][]resource {
	used := make([][]resource, len(steps))
	for i, step := range steps {
		for _, mount := range step.Container.Mounts {
			switch {
			case mount.Bind() && hasFiles(mount.Source, regions):
				used[i] = append(used[i], resource{"directory", regions.Place(mount.Source), !mount.ReadOnly})
			case !mount.Bind() && mount.Source != "":
				used[i] = append(used[i], resource{"volume", mount.Source, !mount.ReadOnly})
			}
		}
		for _, copied := range step.Container.Copies {
			if regions != nil {
				used[i] = append(used[i], resource{"copied directory", regions.Place(copied.Source), false})
			}
		}
		if address, ok := macOnNetwork(step); ok {
			used[i] = append(used[i], resource{"address", address, true})
		}
	}
	return used
}

// hasFiles reports whether path is a directory or a regular file, in contrast to what is made to be
// shared, as a socket or a device. If it cannot be read, or a container can replace it, hasFiles
// assumes so.
func hasFiles(path string, regions *region.Set) bool {
	place := regions.Place(path)
	if slices.ContainsFunc(regions.Entered(path), func(root string) bool { return root != place }) {
		return true
	}
	info, err := os.Stat(place)
	return err != nil || info.IsDir() || info.Mode().IsRegular()
}

// macOnNetwork returns the step's MAC address and the network on which it must be unique.
func macOnNetwork(step suite.Step) (string, bool) {
	c := step.Container
	address, err := net.ParseMAC(c.MacAddress)
	if err != nil {
		return "", false
	}
	network := c.NetworkMode
	if network == "" || network == "default" {
		network = "bridge"
	}
	return address.String() + " on " + network, true
}

// schedule calls run(i) once for each i in used, in this order as far as possible: at most jobs at a
// time, never two whose resources conflict, and none before the calls in needs[i] have returned. It
// returns when all calls have returned. After the end of ctx it starts no more.
func schedule(ctx context.Context, jobs int, used [][]resource, needs [][]int, run func(i int)) {
	running, ended := map[int]bool{}, map[int]bool{}
	done := make(chan int)
	waiting := make([]int, len(used))
	for i := range waiting {
		waiting[i] = i
	}
	ready := func(i int) bool {
		return !slices.ContainsFunc(needs[i], func(need int) bool { return !ended[need] })
	}
	fits := func(i int) bool {
		for other := range running {
			if conflict(used[i], used[other]) {
				return false
			}
		}
		return true
	}
	next := func() (int, bool) {
		if len(running) >= max(jobs, 1) || ctx.Err() != nil {
			return 0, false
		}
		for at, i := range waiting {
			if ready(i) && fits(i) {
				waiting = slices.Delete(waiting, at, at+1)
				return i, true
			}
		}
		return 0, false
	}
	for {
		for i, ok := next(); ok; i, ok = next() {
			running[i] = true
			go func() {
				run(i)
				done <- i
			}()
		}
		if len(running) == 0 {
			return
		}
		i := <-done
		delete(running, i)
		ended[i] = true
	}
}
