package images

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
	"runtests/pkg/engine"
)

// shelf is an engine's images with their tags.
type shelf struct{ images []engine.ImageSummary }

func (s *shelf) Images(_ context.Context, labels map[string]string) ([]engine.ImageSummary, error) {
	if len(labels) > 0 {
		return nil, errors.New("all images are wanted")
	}
	return s.images, nil
}

func (s *shelf) Tag(_ context.Context, image, ref string) error {
	for i := range s.images {
		if s.images[i].ID == image {
			s.images[i].Tags = append(s.images[i].Tags, ref)
		}
	}
	return nil
}

func id(first string) string { return "sha256:" + first + strings.Repeat("0", 64-len(first)) }

var our = Keeper{Suite: "Été: ECS", Logs: "/var/log/ecs", Machine: "m"}

func TestKeeper(t *testing.T) {
	run := "2026-11-21T03-00-04"
	built := engine.ImageSummary{ID: id("b"), Tags: []string{"deps:" + run}, Labels: map[string]string{
		labelImage: "deps:latest", labelRun: run, labelSuite: our.Suite, labelBuilt: time.Now().Format(time.RFC3339),
	}}
	others := built
	others.ID, others.Labels = id("c"), maps.Clone(built.Labels)
	others.Labels[labelSuite] = "another"
	s := &shelf{[]engine.ImageSummary{
		{ID: id("a"), Tags: []string{"debian:12"}}, built, others,
		{ID: id("d"), Tags: []string{"mine"}},
		{ID: id("e"), Tags: []string{our.Repository() + ":" + strings.Repeat("f", 12)}}, // the digits of another image
		{ID: id("f"), Tags: []string{our.Repository() + ":latest"}},
		{ID: id("1"), Tags: []string{Keeper{Suite: our.Suite, Logs: "/home/u/ecs/logs", Machine: "m"}.Repository() + ":100000000000"}}, // of a suite of that name elsewhere
	}}
	needed := map[string]bool{id("a"): true, built.ID: true, others.ID: true, id("9"): true, "": true}
	kept := func() (tags []string) {
		for _, i := range s.images {
			for _, tag := range i.Tags {
				if rest, ok := strings.CutPrefix(tag, our.Repository()+":"); ok {
					tags = append(tags, rest)
				}
			}
		}
		slices.Sort(tags)
		return tags
	}
	for range 2 { // the second time there is nothing to do
		if err := our.Keep(t.Context(), s, needed); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a00000000000", "c00000000000", "ffffffffffff", "latest"}, kept()); diff != "" {
			t.Errorf("kept (-want +got):\n%s", diff)
		}
	}
	if old, err := our.Unneeded(t.Context(), s, needed); err != nil || len(old) > 0 {
		t.Errorf("all are needed: %v, %v", old, err)
	}
	delete(needed, id("a"))
	old, err := our.Unneeded(t.Context(), s, needed)
	if err != nil || len(old) != 1 || old[0].Tag != our.Repository()+":a00000000000" || old[0].ID != id("a") {
		t.Errorf("%v, %v", old, err)
	}
	name := func(i engine.ImageSummary) string {
		return our.NameOf(container.Image{ID: i.ID, Tags: i.Tags, Labels: i.Labels})
	}
	for i, want := range []string{our.Repository() + ":a00000000000", "deps:" + run} {
		if got := name(s.images[i]); got != want {
			t.Errorf("the name of %s is %s", want, got)
		}
	}
	if got := name(s.images[3]); got != "mine" {
		t.Errorf("got %s", got)
	}
	if got := name(engine.ImageSummary{ID: id("7")}); got != id("7") {
		t.Errorf("got %s", got)
	}
}

// Whatever a suite is called, an engine takes the names.
func TestKeeperRepository(t *testing.T) {
	form := regexp.MustCompile(`^runtests-passed/[a-z0-9]+(-[a-z0-9]+)*-[0-9a-f]{8}$`)
	seen := map[string]bool{}
	for _, suite := range []string{"ecs", "Été: ECS", "--", "日本", "a b", "a  b", strings.Repeat("x-", 100)} {
		repository := Keeper{Suite: suite, Logs: "/l", Machine: "m"}.Repository()
		if _, err := reference.ParseNormalizedNamed(repository + ":0123456789ab"); err != nil || !form.MatchString(repository) || seen[repository] {
			t.Errorf("%q: %s, %v", suite, repository, err)
		}
		seen[repository] = true
	}
}
