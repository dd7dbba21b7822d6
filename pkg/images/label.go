package images

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// The labels of every image that we build. Its children, those that people build by hand among
// them, and its containers inherit them. So none of these is a label of our containers, and an
// image is ours only if it also has the tag that its labels say (see recordOf).
const (
	labelImage   = "runtests.image"         // what it was built as: a familiar reference with its tag
	labelRun     = "runtests.image.run"     // the ID of the run that built it
	labelSuite   = "runtests.image.suite"   // the name of the suite
	labelDigest  = "runtests.image.digest"  // SHA-256 of all its inputs
	labelInputs  = "runtests.image.inputs"  // JSON of its inputs, from which a later run says what has changed
	labelParents = "runtests.image.parents" // JSON: the IDs of the images that it was built on, by reference
	labelBuilt   = "runtests.image.built"   // the launch of the run that built it, RFC 3339
	labelFresh   = "runtests.image.fresh"   // the launch of the run that last built it without cache; empty: none did
)

// record is what the labels of an image say about its build.
type record struct {
	image, run, suite string
	tag               string // the name that the build keeps (see runTag)
	digest            string
	inputs            inputs
	parents           map[string]string
	built             time.Time
	fresh             time.Time // zero: never built without cache
}

// labels returns the labels of the record beside the image's own.
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

// recordOf returns the record of an image; ok is false if the image is not ours: it has no such
// labels, or inherited them from an image of ours that somebody else has built it on.
func recordOf(labels map[string]string, tags []string) (r record, ok bool) {
	r = record{image: labels[labelImage], run: labels[labelRun], suite: labels[labelSuite], digest: labels[labelDigest]}
	var err error
	if r.tag, err = runTag(r.image, r.run); err != nil || !hasTag(tags, r.tag) {
		return record{}, false
	}
	if r.built, err = time.Parse(time.RFC3339, labels[labelBuilt]); err != nil {
		return record{}, false
	}
	r.fresh, _ = time.Parse(time.RFC3339, labels[labelFresh]) // empty: zero
	if json.Unmarshal([]byte(labels[labelInputs]), &r.inputs) != nil || json.Unmarshal([]byte(labels[labelParents]), &r.parents) != nil {
		r.inputs, r.parents = inputs{}, nil // of another version: only the digest is compared
	}
	return r, true
}
