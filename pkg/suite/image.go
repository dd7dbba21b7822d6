package suite

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"go.yaml.in/yaml/v4"

	"runtests/pkg/container"
	"runtests/pkg/nearest"
)

// labelPrefix starts the labels that runtests sets on images and containers.
const labelPrefix = "runtests."

// image is an entry of `images` while it is read. It keeps the keys beside `build` that concern
// the build, because they may come first.
type image struct {
	Image
	rebuild  Rebuild
	timeout  time.Duration
	platform string
	at       map[string]*yaml.Node
}

func (i *image) mark(key string, n *yaml.Node) { i.at[key] = n }

var imageKeys = keys[image]{what: "an image", extensions: true, set: map[string]setter[image]{
	"image":       textKey(imageReference, func(i *image) *string { return &i.Reference }),
	"pull_policy": pullPolicyKey(func(i *image) *PullPolicy { return &i.PullPolicy }),
	"build":       setBuild,
	"rebuild":     valueKey(parseRebuild, func(i *image) *Rebuild { return &i.rebuild }),
	"timeout":     durationKey(time.Nanosecond, func(i *image) *time.Duration { return &i.timeout }),
	"platform":    textKey(matching(platformForm, "must be OS/ARCHITECTURE, as linux/arm64"), func(i *image) *string { return &i.platform }),
}}

// buildKeys are the keys of Compose's long form of `build`.
var buildKeys = keys[Build]{what: "build", extensions: true, set: map[string]setter[Build]{
	"context":    textKey(contextDirectory, func(b *Build) *string { return &b.Context }),
	"dockerfile": textKey(filePath, func(b *Build) *string { return &b.Dockerfile }),
	"args":       setBuildArgs,
	"target":     textKey(notEmpty, func(b *Build) *string { return &b.Target }),
	"labels":     setLabels,
}}

// Built returns the names of the images with build, in the file's order.
func (s *Suite) Built() (names []string) {
	for _, entry := range s.Images {
		if entry.Build != nil {
			names = append(names, entry.Name)
		}
	}
	return names
}

// images are the named images of a suite, in the file's order.
type images struct {
	list []Image
}

// named returns the image of that name.
func (i images) named(name string) (Image, bool) {
	at := slices.IndexFunc(i.list, func(entry Image) bool { return entry.Name == name })
	if at < 0 {
		return Image{}, false
	}
	return i.list[at], true
}

func (d *decoder) images(n *yaml.Node) images {
	var all images
	builds := map[string]string{} // by the normalised reference that is built
	for _, p := range d.pairs(n, "images") {
		if !d.checkName(p.key, "an image") {
			continue
		}
		entry := d.image(p)
		if entry.Build != nil && entry.Reference != "" { // else it was at fault itself
			full := normalised(entry.Reference)
			if other, taken := builds[full]; taken {
				d.fail(p.key, "each built image needs a name of its own (image: NAME)", "images %s and %s would both be built as %s", quoted(other), quoted(entry.Name), quoted(entry.Reference))
			}
			builds[full] = entry.Name
		}
		all.list = append(all.list, entry)
	}
	return all
}

// image reads an entry of `images`.
func (d *decoder) image(p pair) Image {
	d.key = "image"
	entry := image{Image: Image{Name: p.key.Value}, timeout: time.Hour, at: map[string]*yaml.Node{}}
	before := len(d.problems)
	if deref(p.value).Kind == yaml.ScalarNode && !isNull(p.value) {
		entry.Reference, _ = d.text(p.value, imageReference)
		return entry.Image
	}
	imageKeys.decode(d, &entry, p.value)
	switch {
	case len(d.problems) > before:
	case entry.Build != nil:
		d.finishBuild(p.key, &entry)
	case entry.Reference == "":
		d.fail(p.key, "", "image %s has neither image: REFERENCE nor build: DIRECTORY", quoted(p.key.Value))
	default:
		for _, key := range []string{"rebuild", "timeout", "platform"} {
			if at := entry.at[key]; at != nil {
				d.fail(at, "", "%s is only for an image with build", key)
			}
		}
	}
	return entry.Image
}

// finishBuild completes the build of an image from the keys beside it.
func (d *decoder) finishBuild(n *yaml.Node, entry *image) {
	if entry.Reference == "" {
		entry.Reference = entry.Name
		if wrong, remedy := imageReference(entry.Name); wrong != "" {
			d.fail(n, remedy, "image %s is built, so its name %s unless it has image: REFERENCE", quoted(entry.Name), wrong)
			return
		}
	}
	if strings.Contains(entry.Reference, "@") {
		d.fail(entry.at["image"], "", "an image that is built cannot be named by a digest")
	}
	b := entry.Build
	b.Rebuild, b.Timeout, b.Platform = entry.rebuild, entry.timeout, entry.platform
	b.Context = d.from.abs(b.Context)
	switch {
	case b.Dockerfile == "":
		b.Dockerfile = filepath.Join(b.Context, "Dockerfile")
	case !filepath.IsAbs(b.Dockerfile):
		b.Dockerfile = filepath.Join(b.Context, b.Dockerfile)
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
func setBuild(d *decoder, i *image, n *yaml.Node) {
	b := &Build{Context: "."}
	if deref(n).Kind == yaml.ScalarNode && !isNull(n) {
		b.Context, _ = d.text(n, contextDirectory)
	} else {
		if isNull(n) {
			d.fail(n, "build: DIRECTORY, or a mapping with context: DIRECTORY", "build is empty")
		}
		buildKeys.decode(d, b, n)
	}
	i.Build = b
}

// contextDirectory is the rule for a directory on this machine. Compose also accepts the URL of a
// repository.
func contextDirectory(text string) (string, string) {
	if strings.Contains(text, "://") || strings.HasPrefix(text, "git@") {
		return "must be a directory", "clone it first, and name the directory of the clone"
	}
	return filePath(text)
}

// setBuildArgs reads build arguments in the forms of `environment`.
func setBuildArgs(d *decoder, b *Build, n *yaml.Node) {
	if isNull(n) {
		return
	}
	b.Args = assign(nil, d.environment(n))
}

// setLabels reads a mapping, or a list of NAME=VALUE.
func setLabels(d *decoder, b *Build, n *yaml.Node) {
	if isNull(n) {
		return
	}
	b.Labels = map[string]string{}
	for _, v := range assign(nil, d.environment(n)) {
		if strings.HasPrefix(v.Name, labelPrefix) {
			d.fail(n, "", "labels: runtests sets %s itself", quoted(v.Name))
			continue
		}
		b.Labels[v.Name] = v.Value
	}
}

// rebuilds are the words of `rebuild`, which also takes a duration.
var rebuilds = map[string]Rebuild{
	"on-change": {},
	"always":    {Always: true},
	"daily":     {Days: 1},
	"weekly":    {Days: 7},
}

func parseRebuild(text string) (Rebuild, string, string) {
	rebuild, known := rebuilds[text]
	if known {
		return rebuild, "", ""
	}
	after, err := parseDuration(text)
	if err != nil || after <= 0 || after > maxDuration {
		return Rebuild{}, "must be always, daily, weekly, on-change or a duration such as 3d", nearest.Hint(text, slices.Sorted(maps.Keys(rebuilds)))
	}
	return Rebuild{After: after}, "", ""
}

// buildSecrets returns the values of secret build arguments.
func buildSecrets(images []Image) (secrets []string) {
	for _, entry := range images {
		if entry.Build == nil {
			continue
		}
		secrets = append(secrets, secretValues(entry.Build.Args)...)
	}
	return secrets
}

func secretValues(variables []container.Variable) (values []string) {
	for _, v := range variables {
		if v.Secret {
			values = append(values, v.Value)
		}
	}
	return values
}
