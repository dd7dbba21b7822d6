package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"runtests/tests/dockerd"
)

// The containers and the images of the transfers.
const (
	benchFirst  = benchImages + "first"
	benchSecond = benchImages + "second"
	benchDeps   = benchImages + "deps"
	benchTag    = "runtests-deploy/bench:"
)

// applicationSize is that of examples/ecs, compiled: what changes from one promotion to the next.
const applicationSize = 8 << 20

// transfer measures the way of a container to production beside the origin's, which
// exports it to a file and imports that: an application on an image of twice size bytes,
// and then another version of it. Production is a daemon of its own, on this machine.
func (b *bed) transfer(t *table, size int64) (err error) {
	production, err := dockerd.New()
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, production.Close(), b.removeTransfers(), b.removeImages(benchImages+"*"))
	}()
	if err := errors.Join(production.Start(), b.removeTransfers()); err != nil {
		return err
	}
	if err := b.applications(2 * size); err != nil {
		return err
	}
	first, _, err := b.send(production.Host(), benchFirst)
	if err != nil {
		return err
	}
	second, bytes, err := b.send(production.Host(), benchSecond)
	if err != nil {
		return err
	}
	origin, exported, err := b.exportImport(production.Host())
	if err != nil {
		return err
	}
	t.add(fmt.Sprintf("a container of %d MiB to production, memory", 2*size>>20), "", fmt.Sprintf("%.1f MiB", peak(first)), "", "≤ 48 MiB", peak(first) <= 48)
	share := float64(bytes) / float64(exported)
	t.add("  another version of it, bytes", fmt.Sprintf("%d", exported), fmt.Sprintf("%d", bytes), fmt.Sprintf("%.4f", share), "≤ 0.05", share <= 0.05)
	t.add("  wall, beside export and import", ms(wall(origin)), ms(wall(second)), ratio(wall(second), wall(origin)), "", true)
	return nil
}

// applications makes two containers of one image of that size.
func (b *bed) applications(size int64) error {
	fill := func(name string, size int64, from string) []string {
		return []string{"docker", "run", "--name", name, from, "sh", "-c", fmt.Sprintf("head -c %d /dev/urandom >/%s", size, name)}
	}
	for _, c := range []command{
		{"make what the application needs", fill(benchDeps, size, image)},
		{"make an image of it", []string{"docker", "commit", benchDeps, benchDeps}},
		{"make the application", fill(benchFirst, applicationSize, benchDeps)},
		{"make its next version", fill(benchSecond, applicationSize, benchDeps)},
	} {
		if _, err := b.measure(c); err != nil {
			return err
		}
	}
	return nil
}

// send brings a container to production, and returns how many bytes went there.
func (b *bed) send(host, container string) (cost, int64, error) {
	got, err := b.measure(command{"send", []string{filepath.Join(b.top, "bin/send"), host, container, benchTag + strings.TrimPrefix(container, benchImages)}})
	if err != nil {
		return got, 0, err
	}
	output, err := os.ReadFile(filepath.Join(b.work, "output"))
	if err != nil {
		return got, 0, err
	}
	bytes, err := strconv.ParseInt(strings.TrimSpace(string(output)), 10, 64)
	return got, bytes, err
}

// exportImport does as the origin's script, and returns the size of the file that it makes.
func (b *bed) exportImport(host string) (cost, int64, error) {
	file := filepath.Join(b.work, "prod-ecs.tar")
	const script = `docker export --output="$1" "$3" && cat "$1" | docker --host "$2" import - prod-ecs.tmp`
	got, err := b.measure(command{"export and import", []string{"sh", "-c", script, "sh", file, host, benchSecond}})
	if err != nil {
		return got, 0, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return got, 0, err
	}
	return got, info.Size(), os.Remove(file)
}

// removeTransfers removes the containers of the transfers, also those of an earlier bench.
func (b *bed) removeTransfers() error {
	return b.remove([]string{"ps", "--all", "--quiet", "--filter", "name=^" + benchImages}, "rm", "--force", "--volumes")
}
