package engine

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// createFault returns the error of an engine that did not create c.
func createFault(c container.Container, err error) error {
	text := err.Error()
	switch {
	case errors.Is(err, container.ErrGone):
		return fmt.Errorf("create it: %w", err)
	case errors.Is(err, container.ErrNameTaken), strings.Contains(text, "already in use"):
		return hint.Wrap(fmt.Errorf("create it: %w: %q", container.ErrNameTaken, c.Name), fmt.Sprintf("`docker rm %s` frees the name", c.Name))
	case errors.Is(err, container.ErrNoImage), containsFold(text, "no such image"):
		return hint.Wrap(fmt.Errorf("%w: %q", container.ErrNoImage, c.Image), fmt.Sprintf("`docker pull %s`, or build it", c.Image))
	}
	return startFault(c, err)
}

// startFault returns the error of an engine that did not start c. A known fault is put in plain
// words with a remedy; otherwise the error has the engine's message.
func startFault(c container.Container, err error) error {
	if errors.Is(err, container.ErrGone) {
		return fmt.Errorf("start it: %w", err)
	}
	text := err.Error()
	for _, f := range startFaults {
		if match := regexp.MustCompile(f.sign).FindStringSubmatch(text); match != nil {
			reason, remedy := f.explain(c, match)
			return hint.Wrap(fmt.Errorf("%w: %s", container.ErrStart, reason), remedy)
		}
	}
	return fmt.Errorf("%w: %s", container.ErrStart, tidyRuntime(text))
}

// startFaults are the reasons of engines not to start a container, recognized by the messages
// of Docker (20.10 to 28) with runc and of Podman with crun.
var startFaults = []struct {
	sign    string // a regular expression; compiled on use, as most runs need none
	explain func(c container.Container, match []string) (reason, remedy string)
}{
	{`bind source path does not exist: (.*)|statfs (/.*): no such file or directory`, func(_ container.Container, m []string) (string, string) {
		source := m[1] + m[2]
		return fmt.Sprintf("%s does not exist on the engine's machine, so it cannot be mounted", source), "create " + source + ", or correct the volume"
	}},
	{`gathering device information while adding custom device "([^"]*)"|stat(?:ting)? (?:device )?(/dev/[^ :]*): no such file`, func(_ container.Container, m []string) (string, string) {
		return fmt.Sprintf("the engine's machine has no device %s", m[1]+m[2]), "correct the devices of the test"
	}},
	{`error mounting "([^"]*)" to rootfs at "([^"]*)".*not a directory`, func(_ container.Container, m []string) (string, string) {
		return fmt.Sprintf("%s cannot be mounted at %s: one is a directory, the other a file", m[1], m[2]), ""
	}},
	{`(?:lookup init binary: |^)exec: "([^"]*)": executable file not found`, func(_ container.Container, m []string) (string, string) {
		return fmt.Sprintf("the engine has no init program: there is no %q on its machine", m[1]), "install " + m[1] + " there, or remove init: true"
	}},
	{`executable file not found in \$PATH|executable file ` + "`[^`]*'" + ` not found`, func(c container.Container, _ []string) (string, string) {
		return fmt.Sprintf("the command %q is not in the image", commandOf(c)), "give its path, or install it in the image"
	}},
	{`exec: "([^"]*)": (?:stat [^:]*: )?no such file or directory`, func(_ container.Container, m []string) (string, string) {
		return fmt.Sprintf("the command %q is not in the container", m[1]), "make sure that the directory is mounted and contains the file"
	}},
	{`exec: "[^"]*": is a directory`, func(c container.Container, _ []string) (string, string) {
		return fmt.Sprintf("the command %q is a directory", commandOf(c)), "name the file to execute"
	}},
	{`exec: "[^"]*": permission denied|open executable: Operation not permitted|exec.*: Permission denied`, func(c container.Container, _ []string) (string, string) {
		return fmt.Sprintf("the command %q is not an executable file", commandOf(c)), fmt.Sprintf("`chmod +x` on the file that is %s in the container", commandOf(c))
	}},
	{`network (\S+) not found|unable to find network with name or ID (\S+): network not found`, func(_ container.Container, m []string) (string, string) {
		name := m[1] + m[2]
		return fmt.Sprintf("there is no network %q", name), fmt.Sprintf("`docker network create %s`", name)
	}},
	{`unable to find user ([^:]+):`, func(_ container.Container, m []string) (string, string) {
		return fmt.Sprintf("the image has no user %q", m[1]), "use a number, or create the user in the image"
	}},
	{`setting interface \S+ MAC to \S+: ([^"\\]*)|create veth pair: Netlink error: (Cannot assign requested address)`, func(c container.Container, m []string) (string, string) {
		return fmt.Sprintf("the MAC address %s cannot be used: %s", c.MacAddress, m[1]+m[2]), "the second digit of the first pair must be even"
	}},
}

// commandOf returns the program that c executes, as the caller wrote it.
func commandOf(c container.Container) string {
	if len(c.Command) == 0 {
		return "of the image"
	}
	return c.Command[0]
}

// runtimeNoise matches the words of engine and runtime about themselves before the fault.
const runtimeNoise = `^(?:(?:failed to create (?:shim )?task(?: for container)?|failed to create shim|OCI runtime create failed|runc create failed|` +
	`unable to start container process|container_linux\.go:\d+|starting container process caused|error during container init): )+`

// tidyRuntime drops the runtime's noise around a fault.
func tidyRuntime(text string) string {
	text = strings.TrimSuffix(strings.TrimSpace(text), ": unknown")
	return regexp.MustCompile(runtimeNoise).ReplaceAllString(text, "")
}

// execLine matches the whole output of a container whose command the kernel refused to execute.
// By then runc has started the container, so the refusal looks like a test that failed.
var execLine = regexp.MustCompile(`^(?:standard_init_linux\.go:\d+: exec user process caused: (.*)|exec (.*): ([a-zA-Z ]+))$`)

// execFault returns an error if line, the whole output of c, is the kernel's refusal to execute
// its command.
func execFault(c container.Container, line string) error {
	match := execLine.FindStringSubmatch(strings.TrimSpace(line))
	if match == nil {
		return nil
	}
	if match[2] != "" && len(c.Command) > 0 && match[2] != c.Command[0] {
		return nil
	}
	switch strings.ToLower(match[1] + match[3]) {
	case "no such file or directory":
		return hint.Wrap(container.ErrInterpreter,
			"install it in the image or correct the first line; a line that ends in CR LF names an interpreter that ends in CR")
	case "exec format error":
		return hint.Wrap(fmt.Errorf("%w: %s is neither a script with a #! line nor a program of this machine's architecture", container.ErrStart, commandOf(c)),
			"begin it with #!/bin/sh, or build it for this architecture")
	case "permission denied":
		return hint.Wrap(fmt.Errorf("%w: the interpreter of %s is not executable", container.ErrStart, commandOf(c)), "check its permissions in the image")
	}
	return nil
}

// containsFold reports whether s contains part, which is in lower case, in any case.
func containsFold(s, part string) bool {
	return strings.Contains(strings.ToLower(s), part)
}
