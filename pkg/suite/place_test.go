package suite

import (
	"slices"
	"testing"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// TestCheckPlace refuses the places whose folder a container can replace, and no others.
func TestCheckPlace(t *testing.T) {
	for _, c := range []struct {
		place   string
		sources []string
		safe    bool
	}{
		{"/srv/web/a", []string{"/srv/web"}, true},
		{"/srv/web/a", []string{"/srv/web/a"}, true}, // the file itself is mounted
		{"/srv/web/a", []string{"/srv/we"}, true},
		{"/srv/web/a", nil, true},
		{"/srv/web/../web/a", []string{"/srv/web/"}, true},
		{"/a", []string{"/"}, true},
		{"/srv/web/b/a", []string{"/srv/web"}, false},
		{"/srv/web/b/a", []string{"/srv/web/b", "/srv/web"}, false},
		{"/srv/web/./b/a", []string{"/srv//web/"}, false},
		{"/srv/a", []string{"/"}, false},
	} {
		err := CheckPlace(c.place, c.sources)
		if (err == nil) != c.safe || err != nil && hint.Of(err) == "" {
			t.Errorf("%s with %q: %v, %q", c.place, c.sources, err, hint.Of(err))
		}
	}
}

// TestWritableSources leaves out what a container cannot write.
func TestWritableSources(t *testing.T) {
	got := WritableSources([]container.Mount{
		{Source: "/a/", Target: "/a"}, {Source: "/b", Target: "/b", ReadOnly: true}, {Source: "/c", Target: "/c", Options: []string{"ro"}},
		{Source: "name", Target: "/d"}, {Target: "/e"}, {Source: "/f", Target: "/f", Options: []string{"z"}},
	})
	if want := []string{"/a", "/f"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
