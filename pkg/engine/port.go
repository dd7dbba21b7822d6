package engine

import (
	"fmt"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
)

// publish adds the ports to the configuration of a container and of its host.
func publish(ports []container.Port, config *docker.Config, host *docker.HostConfig) {
	for _, p := range ports {
		inside := docker.Port(fmt.Sprintf("%d/%s", p.Container, p.Protocol))
		if config.ExposedPorts == nil {
			config.ExposedPorts, host.PortBindings = map[docker.Port]struct{}{}, map[docker.Port][]docker.PortBinding{}
		}
		config.ExposedPorts[inside] = struct{}{}
		host.PortBindings[inside] = append(host.PortBindings[inside], docker.PortBinding{HostIP: p.HostIP, HostPort: p.Range()})
	}
}
