package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// command is one of the things that are compared.
type command struct {
	name string
	args []string
}

// cost is what one execution of a command took.
type cost struct {
	wall, cpu time.Duration // cpu: user and system, of the command and what it waited for
	peak      int64         // its resident memory at its highest, bytes; 0 when it was too quick to see
}

func wall(c cost) float64 { return c.wall.Seconds() }
func cpu(c cost) float64  { return c.cpu.Seconds() }
func peak(c cost) float64 { return float64(c.peak) / (1 << 20) }

func median(costs []cost, of func(cost) float64) float64 {
	values := make([]float64, len(costs))
	for i, c := range costs {
		values[i] = of(c)
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// inTurn runs the commands one after the other, rounds times; the first warm-up
// rounds do not count. The costs come back by command.
func (b *bed) inTurn(warmUp, rounds int, commands []command) ([][]cost, error) {
	costs := make([][]cost, len(commands))
	for round := range warmUp + rounds {
		for i, c := range commands {
			got, err := b.measure(c)
			if err != nil {
				return nil, err
			}
			if round >= warmUp {
				costs[i] = append(costs[i], got)
			}
		}
	}
	return costs, nil
}

// command is a command in the bed, with its surroundings.
func (b *bed) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = b.work
	cmd.Env = append(os.Environ(), "MAPLE="+b.maple, "CID=")
	return cmd
}

// measure runs c once; its output goes to a file, as cron's scripts had it.
func (b *bed) measure(c command) (got cost, err error) {
	log, err := os.Create(filepath.Join(b.work, "output"))
	if err != nil {
		return cost{}, fmt.Errorf("make a file for the output: %w", err)
	}
	defer log.Close() //nolint:errcheck // an output that nobody reads
	var complaints bytes.Buffer
	cmd := b.command(c.args[0], c.args[1:]...)
	cmd.Stdout, cmd.Stderr = log, &complaints
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return cost{}, fmt.Errorf("start %s: %w", c.name, err)
	}
	highest := make(chan int64)
	done := make(chan struct{})
	go func() { highest <- watchMemory(cmd.Process.Pid, done) }()
	err = cmd.Wait()
	got.wall = time.Since(start)
	close(done)
	got.peak = <-highest
	if err != nil {
		return cost{}, fmt.Errorf("run %s: %w: %s", c.name, err, strings.TrimSpace(complaints.String()))
	}
	got.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return got, nil
}

// watchMemory reads the high-water mark of a process and its children every 20 ms
// until it is done. (The kernel's ru_maxrss would count this program's own memory,
// which the child has before it becomes the command.)
func watchMemory(pid int, done <-chan struct{}) (highest int64) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return highest
		case <-tick.C:
			highest = max(highest, highWater(pid))
		}
	}
}

// highWater is the highest resident memory that pid or one of its children had, in bytes.
func highWater(pid int) (highest int64) {
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // it has ended
	}
	defer status.Close() //nolint:errcheck // only read
	lines := bufio.NewScanner(status)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), "VmHWM:"); found {
			kib, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			highest = kib << 10
		}
	}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(children)) {
		if id, err := strconv.Atoi(child); err == nil {
			highest = max(highest, highWater(id))
		}
	}
	return highest
}
