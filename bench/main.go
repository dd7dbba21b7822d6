// Command bench measures runtests beside the script that it replaces, on the same
// engine in the same minutes, and prints a table: bench/run_test.sh with the docker
// client, the bare API calls (bench/bare), and bin/runtests; for images, a Makefile
// (bench/images). What is compared is run in turn, A B C A B C, so that a slow minute
// falls on all; figures are medians.
// Being slow is no failure; not being able to measure is.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

const (
	image = "runtests-busybox"
	mac   = "aa:bb:cc:dd:ee:ff" // run_test.sh's
)

func main() {
	rounds := flag.Int("rounds", 9, "how often each trivial test is run")
	size := flag.Int64("size", 1<<30, "bytes of the big log, of the big context of an image, and half of what goes to production")
	only := flag.String("only", "", "measure one part alone: trivial, suite, start-up, log, images or transfer")
	flag.Parse()
	if err := bench(*only, *rounds, *size); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(only string, rounds int, size int64) (err error) {
	b, err := newBed()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.removeImages(benchKept), os.RemoveAll(b.work)) }()

	var t table
	for _, part := range []struct {
		name    string
		measure func(*table) error
	}{
		{"trivial", func(t *table) error { return b.trivial(t, rounds) }},
		{"suite", func(t *table) error { return b.suite(t, 3, 10) }},
		{"start-up", func(t *table) error { return b.startUp(t, 20) }},
		{"log", func(t *table) error { return b.bigLog(t, size) }},
		{"images", func(t *table) error { return b.images(t, rounds, size) }},
		{"transfer", func(t *table) error { return b.transfer(t, size) }},
	} {
		if only != "" && only != part.name {
			continue
		}
		if err := part.measure(&t); err != nil {
			return err
		}
	}
	if len(t.rows) == 0 {
		return fmt.Errorf("measure %q: there is no such part", only)
	}
	fmt.Printf("\n%s, image %s\n\n", b.engine, image)
	return t.write(os.Stdout)
}

// bed is where the measured commands run.
type bed struct {
	work     string // a directory of its own: tests, logs, an empty /maple
	top      string // the repository
	engine   string // what the engine calls itself
	maple    string
	runtests string
	bare     string
}

func newBed() (*bed, error) {
	// the client of the engine's own package before a newer one, which may refuse
	// --mac-address on an older engine
	if err := os.Setenv("PATH", "/usr/bin:"+os.Getenv("PATH")); err != nil {
		return nil, fmt.Errorf("prefer the packaged docker client: %w", err)
	}
	top, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find the repository: %w", err)
	}
	work, err := os.MkdirTemp("", "runtests-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory to work in: %w", err)
	}
	b := &bed{
		work: work, top: top, maple: filepath.Join(work, "maple"),
		runtests: filepath.Join(top, "bin/runtests"), bare: filepath.Join(top, "bin/bare"),
	}
	if err := os.Mkdir(b.maple, 0o755); err != nil {
		return nil, fmt.Errorf("make a directory for Maple: %w", err)
	}
	out, err := b.command("docker", "version", "--format", "client {{.Client.Version}}, engine {{.Server.Version}}").Output()
	if err != nil {
		return nil, fmt.Errorf("ask the docker client for its version: %w", err)
	}
	b.engine = "docker " + string(out[:max(0, len(out)-1)])
	return b, nil
}

// test makes a test directory whose test.sh is script.
func (b *bed) test(name, script string) (dir string, err error) {
	dir = filepath.Join(b.work, "tests", name)
	return dir, write(filepath.Join(dir, "test.sh"), "#!/bin/sh\n"+script+"\n")
}

// write writes an executable file, in a directory that it makes.
func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o755)
}

// trivial measures a test that does nothing, one invocation each.
func (b *bed) trivial(t *table, rounds int) error {
	dir, err := b.test("trivial", "echo hello")
	if err != nil {
		return err
	}
	got, err := b.inTurn(1, rounds, []command{
		{"run_test.sh", b.script(dir)},
		{"bare", []string{b.bare, dir, image, b.maple, mac}},
		{"runtests", b.direct(dir)},
	})
	if err != nil {
		return err
	}
	t.addClients("one trivial test, wall", "CPU of the client", got, 1)
	return nil
}

// addClients adds the costs of run_test.sh, the bare API calls and runtests, in this
// order, per test.
func (t *table) addClients(walls, cpus string, got [][]cost, tests int) {
	per := 1 / float64(tests)
	script, bare, ours := median(got[0], wall)*per, median(got[1], wall)*per, median(got[2], wall)*per
	t.add(walls, ms(script), ms(ours), ratio(ours, script), "≤ 0.95", ours <= 0.95*script)
	t.add("  beside the bare API calls", ms(bare), ms(ours), ratio(ours, bare), "≤ 1.03", ours <= 1.03*bare)
	script, ours = median(got[0], cpu)*per, median(got[2], cpu)*per
	t.add("  "+cpus, ms(script), ms(ours), ratio(ours, script), "≤ 0.35", ours <= 0.35*script)
}

// suite measures several tests in one run, as cron has it, per test.
func (b *bed) suite(t *table, rounds, tests int) error {
	yaml := fmt.Sprintf("name: bench\ndefaults: { mac_address: %q, volumes: [%q], pull_policy: never }\ntests:\n", mac, b.maple+":/maple")
	var dir, all string
	for i := range tests {
		var err error
		if dir, err = b.test(fmt.Sprintf("t%d", i), "echo hello"); err != nil {
			return err
		}
		yaml += fmt.Sprintf("  t%d: { dir: tests/t%d, image: %s }\n", i, i, image)
		all += fmt.Sprintf("%s/bench/run_test.sh %s %s\n", b.top, dir, image)
	}
	if err := write(filepath.Join(b.work, "runtests.yaml"), yaml); err != nil {
		return err
	}
	got, err := b.inTurn(1, rounds, []command{
		{"run_test.sh", []string{"/bin/sh", "-e", "-c", all}},
		{"bare", []string{b.bare, dir, image, b.maple, mac, fmt.Sprint(tests)}},
		{"runtests", []string{b.runtests, "run", "-f", "runtests.yaml"}},
	})
	if err != nil {
		return err
	}
	t.addClients(fmt.Sprintf("a suite of %d, wall per test", tests), "CPU of the client per test", got, tests)
	return nil
}

// startUp measures the program alone.
func (b *bed) startUp(t *table, rounds int) error {
	got, err := b.inTurn(1, rounds, []command{{"runtests --help", []string{b.runtests, "--help"}}})
	if err != nil {
		return err
	}
	ours := median(got[0], wall)
	t.add("start-up of runtests --help", "", ms(ours), "", "≤ 10 ms", ours <= 0.010)
	return nil
}

// bigLog measures a test that prints size bytes: throughput against docker run with
// the engine's default log driver, and runtests' memory.
func (b *bed) bigLog(t *table, size int64) error {
	line := "a line of a log as a compiler or a test prints them, sixty-four bytes"[:63]
	dir, err := b.test("big", fmt.Sprintf("yes '%s' | head -c %d", line, size))
	if err != nil {
		return err
	}
	got, err := b.inTurn(0, 2, []command{
		{"run_test.sh", b.script(dir)},
		{"runtests", b.direct(dir)},
	})
	if err != nil {
		return err
	}
	mib := float64(size) / (1 << 20)
	script, ours := mib/median(got[0], wall), mib/median(got[1], wall)
	t.add(fmt.Sprintf("log of %.0f MiB, throughput", mib), fmt.Sprintf("%.0f MiB/s", script), fmt.Sprintf("%.0f MiB/s", ours),
		ratio(ours, script), "≥ 3", ours >= 3*script)
	memory := median(got[1], peak)
	t.add("  peak memory of the client", fmt.Sprintf("%.1f MiB", median(got[0], peak)), fmt.Sprintf("%.1f MiB", memory), "", "≤ 32 MiB", memory <= 32)
	return nil
}

func (b *bed) script(dir string) []string {
	return []string{filepath.Join(b.top, "bench/run_test.sh"), dir, image}
}

func (b *bed) direct(dir string) []string {
	return []string{b.runtests, "run", dir, "--image", image, "--volume", b.maple + ":/maple", "--mac-address", mac}
}
