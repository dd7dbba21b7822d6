package runner

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"runtests/pkg/suite"
)

// claim is something that a step needs while it runs: a directory, a volume, an
// address on a network. Two steps disturb each other when they claim the same
// thing and one of them must have it alone.
type claim struct {
	kind  string // directory, volume, address
	thing string
	alone bool
}

// clashes says that the holders of c and d must not run at the same time. One
// directory inside the other is the same thing: what is written below is seen above.
func (c claim) clashes(d claim) bool {
	if c.kind != d.kind || !c.alone && !d.alone {
		return false
	}
	if c.thing == d.thing {
		return true
	}
	return c.kind == "directory" && (inside(c.thing, d.thing) || inside(d.thing, c.thing))
}

// inside says that path is below the directory dir.
func inside(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// claims are those of one step.
type claims []claim

func (c claims) clash(d claims) bool {
	for _, mine := range c {
		for _, theirs := range d {
			if mine.clashes(theirs) {
				return true
			}
		}
	}
	return false
}

// claimsOf returns the claims of each step: a directory or a volume that is
// mounted writable is wanted alone, and so is a MAC address on its network.
func claimsOf(steps []suite.Step) []claims {
	all := make([]claims, len(steps))
	for i, step := range steps {
		for _, mount := range step.Container.Mounts {
			switch {
			case mount.Bind() && holdsFiles(mount.Source):
				all[i] = append(all[i], claim{"directory", resolved(mount.Source), !mount.ReadOnly})
			case !mount.Bind() && mount.Source != "":
				all[i] = append(all[i], claim{"volume", mount.Source, !mount.ReadOnly})
			}
		}
		if address, ok := macOnNetwork(step); ok {
			all[i] = append(all[i], claim{"address", address, true})
		}
	}
	return all
}

// holdsFiles is false for what is made to be shared, as a socket or a device.
func holdsFiles(path string) bool {
	info, err := os.Stat(path)
	return err != nil || info.IsDir() || info.Mode().IsRegular()
}

// resolved is path without symbolic links, or path itself where it cannot be told.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return filepath.Clean(path)
}

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

// schedule calls run(i) once for each i in claims, at most jobs at a time, the
// first ones first, never two that clash, and none before all those in needs[i] have
// returned. It returns when all calls have returned; once ctx has ended it starts no
// more.
func schedule(ctx context.Context, jobs int, claims []claims, needs [][]int, run func(i int)) {
	running, over := map[int]bool{}, map[int]bool{}
	done := make(chan int)
	waiting := make([]int, len(claims))
	for i := range waiting {
		waiting[i] = i
	}
	ready := func(i int) bool {
		return !slices.ContainsFunc(needs[i], func(need int) bool { return !over[need] })
	}
	next := func() (int, bool) {
		if len(running) >= max(jobs, 1) || ctx.Err() != nil {
			return 0, false
		}
		for at, i := range waiting {
			if ready(i) && !clashesWithAny(claims, i, running) {
				waiting = append(waiting[:at], waiting[at+1:]...)
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
		ended := <-done
		delete(running, ended)
		over[ended] = true
	}
}

func clashesWithAny(claims []claims, i int, running map[int]bool) bool {
	for other := range running {
		if claims[i].clash(claims[other]) {
			return true
		}
	}
	return false
}
