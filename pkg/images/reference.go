package images

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

// familiar returns a reference as people write it, with its tag: two references to the same
// image are equal. The ID of an image stays as it is.
func familiar(text string) (string, error) {
	named, err := reference.ParseNormalizedNamed(text)
	if err == nil {
		return reference.FamiliarString(reference.TagNameOnly(named)), nil
	}
	if _, other := reference.ParseAnyReference(text); other == nil {
		return text, nil
	}
	return "", fmt.Errorf("%q is not the name of an image: %w", text, err)
}

// repository returns a reference without its tag, as people write it.
func repository(text string) string {
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return text
	}
	return reference.FamiliarName(named)
}

// longestRun is as long as the ID of a run can be.
const longestRun = "2006-01-02T15-04-05-1000"

// runTag returns the name that the build of an image in a run keeps: REPO:RUN, or REPO:TAG-RUN
// if the image has a tag other than latest, so that app:dev and app:prod do not take each
// other's. name is familiar.
func runTag(name, run string) (string, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", fmt.Errorf("read the image name %q: %w", name, err)
	}
	tagged, ok := reference.TagNameOnly(named).(reference.NamedTagged)
	if !ok {
		return "", fmt.Errorf("%q has no tag", name)
	}
	tag := run
	if tagged.Tag() != "latest" {
		tag = tagged.Tag() + "-" + run
	}
	full, err := reference.WithTag(reference.TrimNamed(named), tag)
	if err != nil {
		return "", fmt.Errorf("its builds cannot be tagged %q: %w", tag, err)
	}
	return reference.FamiliarString(full), nil
}

// hasTag reports whether a familiar reference is among the tags that an engine lists. Podman
// writes localhost/ before those without a registry.
func hasTag(tags []string, name string) bool {
	return slices.ContainsFunc(tags, func(tag string) bool {
		return sameTag(tag, name) || sameTag(strings.TrimPrefix(tag, "localhost/"), name)
	})
}

func sameTag(tag, name string) bool {
	full, err := familiar(tag)
	return err == nil && full == name
}
