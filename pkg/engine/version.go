package engine

import (
	"fmt"
	"strings"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/hint"
)

// The versions of the API that this package was tested with. Docker 20.10 speaks 1.41, and so
// does Podman from 4 on; Docker 28.5 speaks 1.51, which is also used with newer engines.
var (
	oldestAPI = docker.APIVersion{1, 41}
	newestAPI = docker.APIVersion{1, 51}
)

// endpointMACSince is the version from which a MAC address is set on a container's network
// endpoint. Before, it is set on the container, and the endpoint's is silently ignored.
var endpointMACSince = docker.APIVersion{1, 44}

func parseAPIVersion(s string) (docker.APIVersion, error) {
	v, err := docker.NewAPIVersion(s)
	if err != nil || len(v) != 2 {
		return nil, fmt.Errorf("%q is not a version of Docker's API", s)
	}
	return v, nil
}

// dialect returns how to create containers on this engine. Podman ignores a MAC address that is
// set on the container, whatever version it speaks.
func (e *Engine) dialect() dialect {
	switch {
	case e.info.Name == podman:
		return dialect{network: "podman", podman: true}
	case e.api.LessThan(endpointMACSince):
		return dialect{}
	}
	return dialect{network: "bridge"}
}

// negotiate returns the version to speak with an engine that speaks lowest to highest: wanted
// (DOCKER_API_VERSION) if it is not empty, otherwise the highest that both know.
func negotiate(highest, lowest, wanted string) (docker.APIVersion, error) {
	top, err := parseAPIVersion(highest)
	if err != nil {
		return nil, fmt.Errorf("ask the engine for its version: %w", err)
	}
	bottom := oldestAPI
	if lowest != "" { // old versions of Podman do not send it
		if bottom, err = parseAPIVersion(lowest); err != nil {
			return nil, fmt.Errorf("ask the engine for its version: %w", err)
		}
	}
	version := top
	if newestAPI.LessThan(version) {
		version = newestAPI
	}
	if wanted != "" {
		if version, err = parseAPIVersion(strings.TrimPrefix(wanted, "v")); err != nil {
			return nil, fmt.Errorf("read DOCKER_API_VERSION: %w", err)
		}
		if newestAPI.LessThan(version) || version.LessThan(oldestAPI) {
			return nil, hint.Wrap(fmt.Errorf("DOCKER_API_VERSION asks for API %s; this program speaks %s to %s", version, oldestAPI, newestAPI),
				"unset DOCKER_API_VERSION")
		}
	}
	switch {
	case top.LessThan(oldestAPI):
		return nil, hint.Wrap(fmt.Errorf("the engine speaks API %s at most; this program needs %s", top, oldestAPI),
			"use Docker 20.10 or Podman 4, or a later one")
	case version.LessThan(bottom):
		return nil, hint.Wrap(fmt.Errorf("the engine speaks API %s at least; this program speaks %s", bottom, version),
			"use a newer version of this program, or an older engine")
	case top.LessThan(version):
		return nil, hint.Wrap(fmt.Errorf("the engine speaks API %s at most; DOCKER_API_VERSION asks for %s", top, version),
			"unset DOCKER_API_VERSION")
	}
	return version, nil
}
