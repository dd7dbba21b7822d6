package images

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
)

// The labels on every image that we build. An image hands its labels down to its children,
// those that people build by hand among them, and to its containers: so none of these is a
// label of our containers, and an image is one of ours only when it also has the tag that
// they say (see recordOf).
const (
	labelImage   = "runtests.image"         // what it was built as: a familiar reference with its tag
	labelRun     = "runtests.image.run"     // the ID of the run that built it
	labelSuite   = "runtests.image.suite"   // the name of the suite
	labelDigest  = "runtests.image.digest"  // SHA-256 of all that it was made of
	labelInputs  = "runtests.image.inputs"  // JSON, see inputs: what changed can be told from it
	labelParents = "runtests.image.parents" // JSON: the IDs of the images it was built on, by reference
	labelBuilt   = "runtests.image.built"   // the launch of the run that built it, RFC 3339
	labelFresh   = "runtests.image.fresh"   // the launch of the run that last built it without cache; missing: none did
)

// record is what the labels of an image of ours say.
type record struct {
	image, run, suite string
	digest            string
	inputs            inputs
	parents           map[string]string
	built             time.Time
	fresh             time.Time // zero: never built without cache
}

// labels are those of an image, its own and ours.
func (r record) labels(own map[string]string) (map[string]string, error) {
	made, err := json.Marshal(r.inputs)
	if err != nil {
		return nil, fmt.Errorf("write the labels: %w", err)
	}
	parents, err := json.Marshal(r.parents)
	if err != nil {
		return nil, fmt.Errorf("write the labels: %w", err)
	}
	all := maps.Clone(own)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, map[string]string{
		labelImage: r.image, labelRun: r.run, labelSuite: r.suite, labelDigest: r.digest,
		labelInputs: string(made), labelParents: string(parents),
		labelBuilt: r.built.Format(time.RFC3339), labelFresh: "",
	})
	if !r.fresh.IsZero() {
		all[labelFresh] = r.fresh.Format(time.RFC3339)
	}
	return all, nil
}

// recordOf reads what an image was built from; ok is false when it is none of ours: it has
// no such labels, or has them from the image that it was built on by somebody else.
func recordOf(labels map[string]string, tags []string) (r record, ok bool) {
	r = record{image: labels[labelImage], run: labels[labelRun], suite: labels[labelSuite], digest: labels[labelDigest]}
	tag, err := runTag(r.image, r.run)
	if err != nil || !hasTag(tags, tag) {
		return record{}, false
	}
	if r.built, err = time.Parse(time.RFC3339, labels[labelBuilt]); err != nil {
		return record{}, false
	}
	r.fresh, _ = time.Parse(time.RFC3339, labels[labelFresh]) // empty: zero
	if json.Unmarshal([]byte(labels[labelInputs]), &r.inputs) != nil || json.Unmarshal([]byte(labels[labelParents]), &r.parents) != nil {
		r.inputs, r.parents = inputs{}, nil // of another version: the digest tells, nobody can say why
	}
	return r, true
}

// longestRun is as long as the ID of a run can be.
const longestRun = "2006-01-02T15-04-05-1000"

// runTag is the name that the build of an image in a run keeps: REPO:RUN, or REPO:TAG-RUN
// where the image's tag is another than latest, so that app:dev and app:prod do not take
// each other's. name is familiar.
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

// hasTag says that a familiar reference is among the tags that an engine tells. Podman
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
