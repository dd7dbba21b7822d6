package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// benchImages begins the names of all images that are built here; they are removed
// at the end, and so are those that an earlier bench left.
const benchImages = "runtests-bench-"

// branches are the images of bench/images, parents first: two that do not need
// each other, of three each.
var branches = [][]string{
	{"debian-tools", "debian-compiler", "debian-libraries"},
	{"ubuntu-tools", "ubuntu-compiler", "ubuntu-libraries"},
}

// images measures the building of images: a chain with nothing to do beside the
// Makefile of its kind, branches side by side, and large contexts.
func (b *bed) images(t *table, rounds int, context int64) (err error) {
	if err := b.removeImages(benchImages + "*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.removeImages(benchImages+"*")) }()
	if err := b.nothingToBuild(t, rounds); err != nil {
		return err
	}
	if err := b.sideBySide(t, 2); err != nil {
		return err
	}
	if err := b.manyFiles(t, rounds, 20_000); err != nil {
		return err
	}
	return b.bigContext(t, context)
}

// nothingToBuild measures six images that are current.
func (b *bed) nothingToBuild(t *table, rounds int) error {
	build, err := b.chain("current", "on-change", 0)
	if err != nil {
		return err
	}
	got, err := b.inTurn(1, rounds, []command{
		{"make", []string{"make", "--no-print-directory", "-C", filepath.Join(b.top, "bench/images")}},
		{"runtests build", build},
	})
	if err != nil {
		return err
	}
	theirs, ours := median(got[0], wall), median(got[1], wall)
	t.add("6 images, nothing to do, wall", ms(theirs), ms(ours), ratio(ours, theirs), "≤ 0.20", ours <= 0.2*theirs)
	t.add("  its wall time", "", ms(ours), "", "≤ 300 ms", ours <= 0.3)
	return nil
}

// sideBySide measures two branches of which each image waits three seconds, as for a
// mirror, and is always built anew. (A real one waits longer, and is nearer to 0.5.)
func (b *bed) sideBySide(t *table, rounds int) error {
	build, err := b.chain("branches", "always", 3)
	if err != nil {
		return err
	}
	got, err := b.inTurn(0, rounds, []command{
		{"runtests build -j 1", append(build, "-j", "1")},
		{"runtests build -j 2", append(build, "-j", "2")},
	})
	if err != nil {
		return err
	}
	one, two := median(got[0], wall), median(got[1], wall)
	t.add("two branches of 3, -j 2 beside -j 1", ms(one), ms(two), ratio(two, one), "≤ 0.65", two <= 0.65*one)
	return nil
}

// manyFiles measures an image that is current, with files small files in its context:
// all of them are read to know it.
func (b *bed) manyFiles(t *table, rounds, files int) error {
	dir := filepath.Join(b.work, "many")
	for i := range files {
		text := fmt.Sprintf("let n = %d\n%s", i, strings.Repeat("(* a comment *)\n", 64))
		if err := write(filepath.Join(dir, fmt.Sprintf("%02d/%d.ml", i%100, i)), text); err != nil {
			return err
		}
	}
	got, err := b.measureContext(dir, "many", "on-change", 1, rounds)
	if err != nil {
		return err
	}
	ours := median(got, wall)
	t.add(fmt.Sprintf("a context of %d files, current", files), "", ms(ours), "", "≤ 1000 ms", ours <= 1)
	return nil
}

// bigContext measures the memory that a context of size bytes takes on its way.
func (b *bed) bigContext(t *table, size int64) error {
	dir := filepath.Join(b.work, "big")
	if err := b.command("sh", "-c", fmt.Sprintf("mkdir big && head -c %d /dev/urandom >big/data", size)).Run(); err != nil {
		return fmt.Errorf("make a context of %d bytes: %w", size, err)
	}
	got, err := b.measureContext(dir, "big", "always", 0, 1)
	if err != nil {
		return err
	}
	memory := median(got, peak)
	t.add(fmt.Sprintf("a context of %d MiB, peak memory", size>>20), "", fmt.Sprintf("%.1f MiB", memory), "", "≤ 64 MiB", memory <= 64)
	return os.RemoveAll(dir)
}

// measureContext builds one image whose context is dir.
func (b *bed) measureContext(dir, name, rebuild string, warmUp, rounds int) ([]cost, error) {
	dockerfile := fmt.Sprintf("FROM %s\nCOPY . /context\n", image)
	if err := write(filepath.Join(dir, "Dockerfile"), dockerfile); err != nil {
		return nil, err
	}
	entry := fmt.Sprintf("  %s%s: { build: %q, rebuild: %s, pull_policy: never }\n", benchImages, name, dir, rebuild)
	build, err := b.suiteOfImages(name, entry)
	if err != nil {
		return nil, err
	}
	got, err := b.inTurn(warmUp, rounds, []command{{"runtests build", build}})
	if err != nil {
		return nil, err
	}
	return got[0], nil
}

// chain makes a suite of the images of bench/images, each of which waits as many
// seconds when it is built, and gives the command that builds it.
func (b *bed) chain(name, rebuild string, wait int) (build []string, err error) {
	prefix := benchImages + name + "-"
	var entries strings.Builder
	for _, branch := range branches {
		for _, image := range branch {
			fmt.Fprintf(&entries, "  %s%s:\n    build: { context: %q, args: { PREFIX: %q, WAIT: \"%d\" } }\n    rebuild: %s\n    pull_policy: never\n",
				prefix, image, filepath.Join(b.top, "bench/images", image), prefix, wait, rebuild)
		}
	}
	return b.suiteOfImages(name, entries.String())
}

// suiteOfImages writes a suite that has nothing but images.
func (b *bed) suiteOfImages(name, entries string) (build []string, err error) {
	file := filepath.Join(b.work, name+".yaml")
	yaml := fmt.Sprintf("name: bench-%s\nlogs: logs-%s\nmin_free_disk: 0\nimages:\n%s", name, name, entries)
	return []string{b.runtests, "build", "-f", file}, write(file, yaml)
}

// benchKept are the names under which the suite of tests keeps the images that they passed on.
const benchKept = "runtests-passed/bench-*"

// removeImages removes the names of images that match a pattern, of this bench or an earlier one.
func (b *bed) removeImages(pattern string) error {
	return b.remove([]string{"images", "--format", "{{.Repository}}:{{.Tag}}", pattern}, "rmi")
}

// remove removes what a command of the docker client lists, by another one.
func (b *bed) remove(list []string, by ...string) error {
	out, err := b.command("docker", list...).Output()
	if err != nil {
		return fmt.Errorf("list what the bench left: docker %s: %w", list[0], err)
	}
	found := strings.Fields(string(out))
	if len(found) == 0 {
		return nil
	}
	if out, err := b.command("docker", append(by, found...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("remove what the bench left: docker %s: %w: %s", by[0], err, out)
	}
	return nil
}
