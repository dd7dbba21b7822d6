package suite

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"

	"runtests/pkg/hint"
	"runtests/pkg/nearest"
)

// labelPrefix starts the labels that runtests sets on images and containers.
const labelPrefix = "runtests."

// image is an entry of `images` while it is read. The keys beside `build` that concern the build
// may come first.
type image struct {
	Image
	build Build
}

func (i *image) keys() keys {
	return keys{what: "an image", extensions: true, set: map[string]setter{
		"image":       textVar(&i.Reference, imageReference),
		"pull_policy": pullPolicyVar(&i.PullPolicy),
		"build":       i.setBuild,
		"rebuild":     parsedVar(&i.build.Rebuild, parseRebuild),
		"timeout":     durationVar(&i.build.Timeout, time.Nanosecond),
		"platform":    textVar(&i.build.Platform, platform),
	}}
}

// keys are those of Compose's long form of `build`.
func (b *Build) keys() keys {
	return keys{what: "build", extensions: true, set: map[string]setter{
		"context":    textVar(&b.Context, contextDirectory),
		"dockerfile": textVar(&b.Dockerfile, filePath),
		"args":       func(v value) { b.Args = assign(nil, v.assignments()) },
		"target":     textVar(&b.Target, notEmpty),
		"labels":     b.setLabels,
	}}
}

// Built returns the names of the images with build, in the file's order.
func (s *Suite) Built() (names []string) {
	for _, entry := range s.Images {
		if entry.Build != nil {
			names = append(names, entry.Name)
		}
	}
	return names
}

// readImages reads the section `images`.
func readImages(v value) (all []Image) {
	builds := map[string]string{} // by the normalised reference that is built
	for _, p := range v.pairs("images") {
		if !p.named("an image", properName) {
			continue
		}
		entry := p.image()
		if entry.Build != nil && entry.Reference != "" { // else it was at fault itself
			full := normalised(entry.Reference)
			if other, taken := builds[full]; taken {
				p.key.fail("each built image needs a name of its own (image: NAME)", "images %s and %s would both be built as %s", quoted(other), quoted(entry.Name), quoted(entry.Reference))
			}
			builds[full] = entry.Name
		}
		all = append(all, entry)
	}
	return all
}

// image reads an entry of `images`.
func (p pair) image() Image {
	v := p.value.as("image")
	entry := image{Image: Image{Name: p.name}, build: Build{Timeout: time.Hour}}
	if v.isText() {
		textVar(&entry.Reference, imageReference)(v)
		return entry.Image
	}
	var read values
	if !v.d.faultless(func() { read = entry.keys().decode(v) }) {
		return entry.Image
	}
	switch {
	case entry.Build != nil:
		entry.finishBuild(p.key, read["image"])
	case entry.Reference == "":
		p.key.fail("", "image %s has neither image: REFERENCE nor build: DIRECTORY", quoted(p.name))
	default:
		for _, key := range []string{"rebuild", "timeout", "platform"} {
			if v := read[key]; v.given() {
				v.fail("", "%s is only for an image with build", key)
			}
		}
	}
	return entry.Image
}

// finishBuild completes the build: name is the image's name in `images`, reference its key `image`.
func (i *image) finishBuild(name, reference value) {
	if i.Reference == "" {
		i.Reference = i.Name
		if _, err := imageReference(i.Name); err != nil {
			name.fail(hint.Of(err), "image %s is built, so its name %v unless it has image: REFERENCE", quoted(i.Name), err)
			return
		}
	}
	if strings.Contains(i.Reference, "@") {
		reference.fail("", "an image that is built cannot be named by a digest")
	}
	b, from := i.Build, name.d.from
	b.Context = from.abs(b.Context)
	if !filepath.IsAbs(b.Dockerfile) {
		b.Dockerfile = filepath.Join(b.Context, cmp.Or(b.Dockerfile, "Dockerfile"))
	}
}

// normalised returns a reference in full, so that references to the same image are equal.
func normalised(text string) string {
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return text
	}
	return reference.TagNameOnly(named).String()
}

// setBuild reads a directory, or Compose's long form.
func (i *image) setBuild(v value) {
	i.Build, i.build.Context = &i.build, "."
	if v.isText() {
		textVar(&i.build.Context, contextDirectory)(v)
		return
	}
	if v.isNull() {
		v.fail("build: DIRECTORY, or a mapping with context: DIRECTORY", "build is empty")
	}
	i.build.keys().decode(v)
}

// contextDirectory is the rule for a directory on this machine. Compose also accepts the URL of a
// repository.
func contextDirectory(text string) (string, error) {
	if strings.Contains(text, "://") || strings.HasPrefix(text, "git@") {
		return "", hint.Errorf("clone it first, and name the directory of the clone", "must be a directory")
	}
	return filePath(text)
}

// setLabels reads a mapping, or a list of NAME=VALUE.
func (b *Build) setLabels(v value) {
	if v.isNull() {
		return
	}
	b.Labels = map[string]string{}
	for _, label := range assign(nil, v.assignments()) {
		if strings.HasPrefix(label.Name, labelPrefix) {
			v.fail("", "labels: runtests sets %s itself", quoted(label.Name))
			continue
		}
		b.Labels[label.Name] = label.Value
	}
}

// rebuilds are the words of `rebuild`, which also takes a duration.
var rebuilds = map[string]Rebuild{
	"on-change": {},
	"always":    {Always: true},
	"daily":     {Days: 1},
	"weekly":    {Days: 7},
}

func parseRebuild(text string) (Rebuild, error) {
	if rebuild, known := rebuilds[text]; known {
		return rebuild, nil
	}
	after, err := parseDuration(text)
	if err != nil || after <= 0 || after > maxDuration {
		return Rebuild{}, hint.Errorf(nearest.Hint(text, slices.Sorted(maps.Keys(rebuilds))), "must be always, daily, weekly, on-change or a duration such as 3d")
	}
	return Rebuild{After: after}, nil
}
