package engine

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"runtests/pkg/container"
)

func TestImages(t *testing.T) {
	e := connect(t)
	ctx := t.Context()
	b := dockerfile(t, "FROM {}\nLABEL runtests.own="+label+"\nRUN echo "+label+" >/own\n")
	name := "runtests-" + strings.ToLower(label)
	b.Tags = []string{name + ":one"}
	id, err := e.Build(ctx, b, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Tag(ctx, id, name+":two"), e.Tag(ctx, name+":one", name)); err != nil {
		t.Fatal(err)
	}
	listed, err := e.Images(ctx, map[string]string{"runtests.own": label})
	if err != nil || len(listed) != 1 || listed[0].ID != id || len(listed[0].Tags) != 3 || listed[0].Size == 0 || listed[0].Created.IsZero() {
		t.Errorf("listed: %+v, %v", listed, err)
	}
	i, err := e.Image(ctx, name)
	if err != nil || i.ID != id || i.Labels["runtests.own"] != label || len(i.Layers) < 2 || len(i.Tags) != 3 {
		t.Errorf("looked at: %+v, %v", i, err)
	}
	if err := e.Tag(ctx, "no-such-image-here", name); !errors.Is(err, container.ErrNoImage) {
		t.Errorf("tag of nothing: %v", err)
	}
	c := command("true")
	c.Image = name
	exit, err := e.Run(ctx, c, io.Discard)
	if err != nil || exit.ImageID != id {
		t.Errorf("run: %+v, %v", exit, err)
	}
	if used, err := e.ImagesInUse(ctx); err != nil || !used[id] {
		t.Errorf("in use: %v, %v", used, err)
	}
	for _, tag := range []string{name + ":two", name, name + ":none"} {
		if err := e.RemoveTag(ctx, tag); err != nil {
			t.Error(err)
		}
	}
	if err := e.RemoveTag(ctx, name+":one"); !errors.Is(err, container.ErrInUse) {
		t.Errorf("removed under a container: %v", err)
	}
	if i, err := e.Image(ctx, id); err != nil || !slices.ContainsFunc(i.Tags, func(tag string) bool { return strings.HasSuffix(tag, name+":one") }) {
		t.Errorf("then: %+v, %v", i, err)
	}
	if err := errors.Join(e.Remove(ctx, exit.ID), e.RemoveTag(ctx, name+":one")); err != nil {
		t.Error(err)
	}
	if _, err := e.Image(ctx, id); !errors.Is(err, container.ErrNoImage) {
		t.Errorf("its last name is gone, and it is there: %v", err)
	}
	for _, bad := range []string{"Not A Name", "x@sha256:" + strings.Repeat("0", 64), id} {
		if err := e.RemoveTag(ctx, bad); err == nil {
			t.Errorf("%q is removed", bad)
		}
	}
	if used, err := e.ImagesInUse(ctx); err != nil || used[id] {
		t.Errorf("in use in the end: %v", err)
	}
}

func TestDisk(t *testing.T) {
	e := connect(t)
	d, ok, err := e.Disk(t.Context())
	if err != nil || ok && (d.Total <= 0 || d.Free <= 0 || d.Free > d.Total || d.Path == "") {
		t.Errorf("got %+v, %v, %v", d, ok, err)
	}
	away := *e
	away.info.Local = false
	if _, ok, err := away.Disk(t.Context()); ok || err != nil {
		t.Errorf("another machine's: %v, %v", ok, err)
	}
}
