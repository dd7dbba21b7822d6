// Command bare runs one test with the bare calls of the engine's API and nothing
// else: create, attach, start, wait, inspect, remove. It is the floor that runtests
// is measured against. Its exit status is the test's.
//
//	bare DIR IMAGE MAPLE MAC [TIMES]
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"

	docker "github.com/fsouza/go-dockerclient"
)

func main() {
	if len(os.Args) < 5 {
		fmt.Fprintln(os.Stderr, "usage: bare DIR IMAGE MAPLE MAC [TIMES]")
		os.Exit(2)
	}
	status, err := runAll(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(2)
	}
	os.Exit(status)
}

// runAll runs the test as often as args say; the last exit status counts.
func runAll(args []string) (status int, err error) {
	times := 1
	if len(args) > 4 {
		if times, err = strconv.Atoi(args[4]); err != nil {
			return 0, fmt.Errorf("read TIMES: %w", err)
		}
	}
	client, err := docker.NewVersionedClientFromEnv("1.41")
	if err != nil {
		return 0, fmt.Errorf("reach the engine: %w", err)
	}
	for range times {
		if status, err = run(client, container(args[0], args[1], args[2], args[3])); err != nil {
			return 0, err
		}
	}
	return status, nil
}

// container is what bench/run_test.sh asks for.
func container(dir, image, maple, mac string) docker.CreateContainerOptions {
	return docker.CreateContainerOptions{
		Config: &docker.Config{Image: image, Cmd: []string{"/test/test.sh"}, MacAddress: mac},
		HostConfig: &docker.HostConfig{
			LogConfig: docker.LogConfig{Type: "none"},
			Mounts: []docker.HostMount{
				{Type: "bind", Source: dir, Target: "/test"},
				{Type: "bind", Source: maple, Target: "/maple"},
			},
		},
	}
}

func run(client *docker.Client, opts docker.CreateContainerOptions) (status int, err error) {
	created, err := client.CreateContainer(opts)
	if err != nil {
		return 0, fmt.Errorf("create container: %w", err)
	}
	defer func() {
		removed := client.RemoveContainer(docker.RemoveContainerOptions{ID: created.ID, Force: true, RemoveVolumes: true})
		if err == nil && removed != nil {
			err = fmt.Errorf("remove container: %w", removed)
		}
	}()
	attached := make(chan struct{})
	stream, err := client.AttachToContainerNonBlocking(docker.AttachToContainerOptions{
		Container: created.ID, OutputStream: os.Stdout, ErrorStream: io.Discard,
		Stream: true, Stdout: true, Stderr: true, Success: attached,
	})
	if err != nil {
		return 0, fmt.Errorf("attach to container: %w", err)
	}
	attached <- <-attached
	if err := client.StartContainer(created.ID, nil); err != nil {
		return 0, fmt.Errorf("start container: %w", err)
	}
	if _, err := client.WaitContainer(created.ID); err != nil {
		return 0, fmt.Errorf("wait for container: %w", err)
	}
	if err := stream.Wait(); err != nil {
		return 0, fmt.Errorf("read its output: %w", err)
	}
	inspected, err := client.InspectContainerWithOptions(docker.InspectContainerOptions{ID: created.ID})
	if err != nil {
		return 0, fmt.Errorf("inspect container: %w", err)
	}
	return inspected.State.ExitCode, nil
}
