package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/distribution/reference"
	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
)

// ImageSummary is an entry of the engine's list of images.
type ImageSummary struct {
	ID      string
	Tags    []string // as REPO:TAG; Podman writes localhost/REPO:TAG
	Created time.Time
	Size    int64 // bytes, including the layers that it shares with other images
	Labels  map[string]string
}

// Images lists the images that have all these labels, with or without a tag, but not the
// intermediate images of the classic builder. An empty value matches any value.
func (e *Engine) Images(ctx context.Context, labels map[string]string) ([]ImageSummary, error) {
	ctx, cancel := within(ctx, e.options.CallTimeout)
	defer cancel()
	listed, err := e.client(ctx).ListImages(docker.ListImagesOptions{Filters: labelFilters(labels), Context: ctx})
	if err != nil {
		return nil, fmt.Errorf("list the images: %w", explain(ctx, err))
	}
	var images []ImageSummary
	for _, i := range listed {
		images = append(images, ImageSummary{
			ID: imageID(i.ID), Tags: realTags(i.RepoTags), Created: time.Unix(i.Created, 0), Size: i.Size, Labels: i.Labels,
		})
	}
	return images, nil
}

// realTags drops the placeholder that the engine writes if there is no tag.
func realTags(tags []string) []string {
	return slices.DeleteFunc(tags, func(tag string) bool { return tag == "<none>:<none>" })
}

// FamiliarTag returns a tag of an image as people write it, without the registry that Podman adds
// to a name that has none.
func FamiliarTag(tag string) string {
	return strings.TrimPrefix(strings.TrimPrefix(tag, "localhost/"), "docker.io/")
}

// Tag gives an image, named by reference or ID, the additional name ref; no tag means latest. An
// image that had the name loses it (ErrNoImage).
func (e *Engine) Tag(ctx context.Context, image, ref string) error {
	if err := checkReference(image); err != nil {
		return err
	}
	repository, tag, err := splitTag(ref)
	if err != nil {
		return err
	}
	ctx, cancel := within(ctx, e.options.CallTimeout)
	defer cancel()
	err = explain(ctx, e.client(ctx).TagImage(image, docker.TagImageOptions{Repo: repository, Tag: tag, Context: ctx}))
	if err == nil {
		return nil
	}
	if refusedWith(err, http.StatusNotFound) {
		err = container.ErrNoImage
	}
	return fmt.Errorf("tag the image %q as %q: %w", image, ref, err)
}

// RemoveTag removes a name of an image; no tag means latest. With its last name the image is
// removed too, and so are the images without a name that only this image was built on. ErrInUse
// means that a container, running or not, uses the image. RemoveTag returns nil if no image has
// the name.
func (e *Engine) RemoveTag(ctx context.Context, ref string) error {
	repository, tag, err := splitTag(ref)
	if err != nil {
		return err
	}
	ctx, cancel := e.slow(ctx)
	defer cancel()
	err = explain(ctx, e.client(ctx).RemoveImageExtended(repository+":"+tag, docker.RemoveImageOptions{Context: ctx})) // without the tag it could be taken for an ID
	if err == nil || errors.Is(err, container.ErrNoImage) {
		return nil
	}
	if refusedWith(err, http.StatusConflict) {
		err = fmt.Errorf("%w: %w", container.ErrInUse, err)
	}
	return fmt.Errorf("remove the image %q: %w", ref, err)
}

// splitTag returns the familiar name of an image and its tag.
func splitTag(ref string) (repository, tag string, err error) {
	if parsed, err := reference.ParseAnyReference(ref); err == nil {
		if _, ok := parsed.(reference.Named); !ok {
			return "", "", fmt.Errorf("read the image name %q: it is an ID", ref)
		}
	}
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", "", fmt.Errorf("read the image name %q: %w", ref, err)
	}
	tagged, ok := reference.TagNameOnly(named).(reference.Tagged)
	if _, digested := named.(reference.Digested); digested || !ok {
		return "", "", fmt.Errorf("read the image name %q: it has a digest instead of a tag", ref)
	}
	return reference.FamiliarName(named), tagged.Tag(), nil
}

// ImagesInUse returns the IDs of the images of all containers, running or not.
func (e *Engine) ImagesInUse(ctx context.Context) (map[string]bool, error) {
	var containers []struct{ ImageID string } // the library's list lacks it
	if err := e.get(ctx, "/containers/json?all=1", &containers); err != nil {
		return nil, fmt.Errorf("list the images of the containers: %w", err)
	}
	used := map[string]bool{}
	for _, c := range containers {
		used[imageID(c.ImageID)] = true
	}
	return used, nil
}

// Disk is the file system of the engine's images and containers.
type Disk struct {
	Path  string // the engine's directory on it
	Total int64  // bytes
	Free  int64  // bytes that the engine can still use
}

// Disk returns the engine's disk; ok is false if it cannot be seen from here, because the engine
// is on another machine or has another root.
func (e *Engine) Disk(ctx context.Context) (d Disk, ok bool, err error) {
	if !e.info.Local {
		return Disk{}, false, nil
	}
	if d.Path, err = e.RootDir(ctx); err != nil || d.Path == "" {
		return Disk{}, false, err
	}
	var stat syscall.Statfs_t
	switch err := syscall.Statfs(d.Path, &stat); {
	case errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EACCES):
		return Disk{}, false, nil
	case err != nil:
		return Disk{}, false, fmt.Errorf("read the size of the disk of %s: %w", d.Path, err)
	}
	unit := int64(stat.Bsize)
	d.Total, d.Free = int64(stat.Blocks)*unit, int64(stat.Bavail)*unit
	return d, true, nil
}
