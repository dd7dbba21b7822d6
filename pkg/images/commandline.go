package images

import (
	"maps"
	"path/filepath"
	"slices"

	"al.essio.dev/pkg/shellescape"
)

// CommandLine returns what a person types in a shell to build the image by hand, with the docker
// client (or Podman's) called cli. It names build arguments that are secret or inherited without
// their values, which the client takes from its environment. Paths are absolute.
func (i Image) CommandLine(cli string, noCache bool) string {
	b := i.Build
	words := []string{cli, "build", "-t", i.Reference}
	if b.Dockerfile != filepath.Join(b.Context, "Dockerfile") {
		words = append(words, "-f", b.Dockerfile)
	}
	if noCache {
		words = append(words, "--no-cache")
	}
	if b.Target != "" {
		words = append(words, "--target", b.Target)
	}
	if b.Platform != "" {
		words = append(words, "--platform", b.Platform)
	}
	for _, a := range b.Args {
		value := a.Name + "=" + a.Value
		if a.Secret || a.Inherited {
			value = a.Name
		}
		words = append(words, "--build-arg", value)
	}
	for _, name := range slices.Sorted(maps.Keys(b.Labels)) {
		words = append(words, "--label", name+"="+b.Labels[name])
	}
	return shellescape.QuoteCommand(append(words, b.Context))
}
