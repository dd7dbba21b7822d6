package engine

import (
	"fmt"
	"strconv"
	"strings"

	"runtests/pkg/hint"
)

// apiVersion is a version of Docker's API: 1.41.
type apiVersion struct{ major, minor int }

func (v apiVersion) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

func (v apiVersion) less(w apiVersion) bool {
	return v.major < w.major || v.major == w.major && v.minor < w.minor
}

func parseAPIVersion(s string) (apiVersion, error) {
	major, minor, ok := strings.Cut(s, ".")
	a, errMajor := strconv.Atoi(major)
	b, errMinor := strconv.Atoi(minor)
	if !ok || errMajor != nil || errMinor != nil || a < 0 || b < 0 {
		return apiVersion{}, fmt.Errorf("%q is not a version of Docker's API", s)
	}
	return apiVersion{a, b}, nil
}

func mustAPIVersion(s string) apiVersion {
	v, err := parseAPIVersion(s)
	if err != nil {
		panic(err) // a constant of this package
	}
	return v
}

// endpointMACSince is the version from which a MAC address is set on a container's network
// endpoint. Before, it is set on the container, and the endpoint's is silently ignored.
var endpointMACSince = mustAPIVersion("1.44")

// dialect returns how to create containers on this engine. Podman ignores a MAC address that is
// set on the container, whatever version it speaks.
func (e *Engine) dialect() dialect {
	switch {
	case e.info.Name == podman:
		return dialect{network: "podman", podman: true}
	case e.api.less(endpointMACSince):
		return dialect{}
	}
	return dialect{network: "bridge"}
}

// negotiate returns the version to speak with an engine that speaks lowest to highest: wanted
// (DOCKER_API_VERSION) if it is not empty, otherwise the highest that both know.
func negotiate(highest, lowest, wanted string) (apiVersion, error) {
	top, err := parseAPIVersion(highest)
	if err != nil {
		return apiVersion{}, fmt.Errorf("ask the engine for its version: %w", err)
	}
	bottom := mustAPIVersion(oldestAPI)
	if lowest != "" { // old versions of Podman do not send it
		if bottom, err = parseAPIVersion(lowest); err != nil {
			return apiVersion{}, fmt.Errorf("ask the engine for its version: %w", err)
		}
	}
	version, newest, oldest := top, mustAPIVersion(newestAPI), mustAPIVersion(oldestAPI)
	if newest.less(version) {
		version = newest
	}
	if wanted != "" {
		if version, err = parseAPIVersion(strings.TrimPrefix(wanted, "v")); err != nil {
			return apiVersion{}, fmt.Errorf("read DOCKER_API_VERSION: %w", err)
		}
		if newest.less(version) || version.less(oldest) {
			return apiVersion{}, hint.Wrap(fmt.Errorf("DOCKER_API_VERSION asks for API %s; this program speaks %s to %s", version, oldest, newest),
				"unset DOCKER_API_VERSION")
		}
	}
	switch {
	case top.less(oldest) || version.less(oldest):
		return apiVersion{}, hint.Wrap(fmt.Errorf("the engine speaks API %s at most; this program needs %s", top, oldest),
			"use Docker 20.10 or Podman 4, or a later one")
	case version.less(bottom):
		return apiVersion{}, hint.Wrap(fmt.Errorf("the engine speaks API %s at least; this program speaks %s", bottom, version),
			"use a newer version of this program, or an older engine")
	case top.less(version):
		return apiVersion{}, hint.Wrap(fmt.Errorf("the engine speaks API %s at most; DOCKER_API_VERSION asks for %s", top, version),
			"unset DOCKER_API_VERSION")
	}
	return version, nil
}
