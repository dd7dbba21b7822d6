package images

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/engine"
)

// A Keeper names the images on which a suite's tests last passed and which the suite did not build,
// so that they stay when their own names move to newer images. Such a name is
// runtests-passed/SUITE-HASH:HEX, where HEX is the beginning of the image's ID.
//
// Builds of the suite need no such name: they have the names of their runs (see Superseded).
type Keeper struct {
	Suite   string
	Logs    string // the suite's folder of logs, absolute: another suite of the same name has another
	Machine string // the machine that the folder is on
}

// Tagger is what a Keeper needs of a container engine.
type Tagger interface {
	Images(ctx context.Context, labels map[string]string) ([]engine.ImageSummary, error)
	Tag(ctx context.Context, image, ref string) error
}

const (
	keptPrefix = "runtests-passed/"
	keptHash   = 8  // hexadecimal digits that tell suites of one name apart
	keptDigits = 12 // of an image's ID
	maxSlug    = 60 // bytes, of a suite's name
)

// Repository returns the part of the names before the colon.
func (k Keeper) Repository() string {
	sum := sha256.Sum256([]byte(k.Suite + "\x00" + k.Logs + "\x00" + k.Machine))
	return keptPrefix + slug(k.Suite) + "-" + hex.EncodeToString(sum[:])[:keptHash]
}

var notInSlug = regexp.MustCompile(`[^a-z0-9]+`)

// slug returns a suite's name in the characters that the name of a repository can have.
func slug(name string) string {
	s := strings.Trim(notInSlug.ReplaceAllString(strings.ToLower(name), "-"), "-")
	return cmp.Or(strings.Trim(s[:min(len(s), maxSlug)], "-"), "suite")
}

// name returns the name for the image of that ID; ok is false if id is not an ID.
func (k Keeper) name(id string) (name string, ok bool) {
	digits, ok := strings.CutPrefix(id, "sha256:")
	if !ok || len(digits) < keptDigits {
		return "", false
	}
	return k.Repository() + ":" + digits[:keptDigits], true
}

// Keep gives each of the needed images, by ID, its name, unless it has that or is a build of the
// suite. It ignores images that are gone.
func (k Keeper) Keep(ctx context.Context, tagger Tagger, needed map[string]bool) error {
	if len(needed) == 0 {
		return nil
	}
	listed, err := tagger.Images(ctx, nil)
	if err != nil {
		return fmt.Errorf("keep the images that tests last passed on: %w", err)
	}
	var errs []error
	for _, i := range listed {
		name, ok := k.name(i.ID)
		if !ok || !needed[i.ID] || hasTag(i.Tags, name) || k.built(i.Labels, i.Tags) {
			continue
		}
		if err := tagger.Tag(ctx, i.ID, name); err != nil && !errors.Is(err, container.ErrNoImage) {
			errs = append(errs, fmt.Errorf("keep an image that a test last passed on: %w", err))
		}
	}
	return errors.Join(errs...)
}

// built reports whether an image is a build of the suite.
func (k Keeper) built(labels map[string]string, tags []string) bool {
	r, ours := recordOf(labels, tags)
	return ours && r.suite == k.Suite
}

// Unneeded returns the names that Keep gave and whose images are not needed any more. A name of
// that form on an image of another ID is somebody else's.
func (k Keeper) Unneeded(ctx context.Context, tagger Tagger, needed map[string]bool) ([]Removable, error) {
	listed, err := tagger.Images(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("look for images that no test needs any more: %w", err)
	}
	var old []Removable
	for _, i := range listed {
		if name, ok := k.name(i.ID); ok && !needed[i.ID] && hasTag(i.Tags, name) {
			old = append(old, Removable{Image: k.Repository(), Tag: name, ID: i.ID, Size: i.Size, Built: i.Created})
		}
	}
	return old, nil
}

// NameOf returns the name by which a person finds an image for as long as it is kept: the name of
// the run that built it, or the name that Keep gave it. Without these it returns any name of the
// image, or its ID.
func (k Keeper) NameOf(i container.Image) string {
	if r, ours := recordOf(i.Labels, i.Tags); ours {
		return r.tag
	}
	if name, ok := k.name(i.ID); ok && hasTag(i.Tags, name) {
		return name
	}
	if len(i.Tags) > 0 {
		return i.Tags[0]
	}
	return i.ID
}
