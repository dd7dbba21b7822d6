package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/suite"
)

// groundOf returns what this machine says of the places and the volumes' sources of a deployment.
func groundOf(t *testing.T, home string, d suite.Deployment) *Site {
	t.Helper()
	t.Setenv("HOME", home)
	bin := filepath.Join(t.TempDir(), "bin") // the files "mount" and "elsewhere" have the mounts of our containers, and of another deployment's
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	docker := "#!/bin/sh\ncase $* in ps*) echo id ;; *' id') cat " + home + "/elsewhere ;; *) cat " + home + "/mount ;; esac 2>/dev/null\n"
	if err := os.WriteFile(filepath.Join(bin, "docker"), []byte(docker), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	d.Name = "web"
	s := &Site{deployment: d, machine: machine{host: "prod"}}
	if err := s.readFacts(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestJudgePlaces judges the real paths of places and volumes: an administrator's links are followed, a container's not.
func TestJudgePlaces(t *testing.T) {
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(home, name) }
	for _, folder := range []string{"web/deep", "disk/web/conf", "other", "data\n\nstate x"} {
		if err := os.MkdirAll(in(folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"srv": in("disk"), "web/planted": in("other/victim"), "link": in("other/file"), "into": in("web/deep/file"), "odd": in("data\n\nstate x"),
		"deep": in("web/deep"),
	} {
		if err := os.Symlink(target, in(link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		volume, place, mount string
		want                 string // the settled place, or the end of an error
	}{
		{"web", "web/config", "", "web/config"},
		{"web", "web/planted", "", "web/planted"}, // the container's link is not followed
		{"", "link", "", "other/file"},            // the administrator's is
		{"srv/web", "srv/web/config", "", "disk/web/config"},
		{"web", "new/folder/config", "", "new/folder/config"},
		{"srv/new", "srv/new/config", "", "disk/new/config"},
		{"web", "web/deep", "", "web/deep"}, // the container made a directory of the place
		{"other", "web/deep", "", "web/deep is a directory"},
		{"web", "deep/config", "", "lies in its volume " + in("web")},
		{"web", "into", "", "lies in its volume " + in("web")},
		{"srv", "disk/web/config", "", "lies in its volume " + in("disk")},
		{"other", "web/deep/config", in("web"), "lies in its volume " + in("web")}, // of the container that runs
		{"", "web/planted", in("web"), "web/planted"},
		{".", "config", "", "where deployments keep their state"},
		{".local", "config", "", "where deployments keep their state"},
		{"", "odd/config", "", "leads to no usable path: " + in("data") + "state x"},
	} {
		d := suite.Deployment{Files: []suite.File{{Source: "/a", Target: in(c.place)}}}
		if c.volume != "" {
			d.Container.Mounts = []container.Mount{{Source: in(c.volume), Target: "/prod"}, {Source: "named", Target: "/data"}}
		}
		if err := os.WriteFile(in("mount"), []byte(c.mount+"\nrelative\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s := groundOf(t, home, d)
		err := s.judgePlaces()
		got := slices.Clone(s.settled)
		if err != nil {
			got = []string{err.Error()}
		}
		if len(got) != 1 || !strings.HasSuffix(got[0], c.want) || err != nil && strings.Contains(c.want, "volume") && hint.Of(err) == "" {
			t.Errorf("volume %s, place %s: %q, want %q", c.volume, c.place, got, c.want)
		}
	}
}

// TestJudgePlacesOfOthers follows no link that the container of another deployment may have made.
func TestJudgePlacesOfOthers(t *testing.T) {
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(home, name) }
	for _, err := range []error{
		os.MkdirAll(in("web/deep"), 0o700), os.Symlink(in("victim"), in("web/config")), os.WriteFile(in("elsewhere"), []byte(in("web")+"\n"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s := groundOf(t, home, suite.Deployment{Files: []suite.File{{Source: "/a", Target: in("web/config")}}})
	if err := s.judgePlaces(); err != nil || !slices.Equal(s.settled, []string{in("web/config")}) {
		t.Errorf("the link of another container: %q, %v", s.settled, err)
	}
	s = groundOf(t, home, suite.Deployment{Files: []suite.File{{Source: "/a", Target: in("web/deep/config")}}})
	if err := s.judgePlaces(); err == nil || !strings.Contains(err.Error(), "another deployment") || hint.Of(err) == "" {
		t.Errorf("the folder that another container can replace: %q, %v", s.settled, err)
	}
	for _, err := range []error{os.Remove(in("web/deep")), os.Mkdir(in("private"), 0o700), os.Symlink(in("private"), in("web/deep"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s = groundOf(t, home, suite.Deployment{Files: []suite.File{{Source: "/a", Target: in("web/deep/config")}}})
	if err := s.judgePlaces(); err == nil || !strings.Contains(err.Error(), "another deployment") {
		t.Errorf("the folder that another container has replaced by a link: %q, %v", s.settled, err)
	}
}

// TestJudgeForgedPlaces does not believe a machine that has other places than it was asked about.
func TestJudgeForgedPlaces(t *testing.T) {
	s := &Site{deployment: suite.Deployment{Files: []suite.File{{Target: "/srv/a"}}}, machine: machine{host: "prod"}}
	for _, places := range [][]placeFact{nil, {{}, {}}, {{path: "/srv/a"}}, {{path: "/srv/a", folder: "srv"}}, {{path: "/srv/a", folder: "/srv", link: "nowhere"}}} {
		s.ground = ground{places: places}
		if err := s.judgePlaces(); err == nil {
			t.Errorf("%+v was believed: %q", places, s.settled)
		}
	}
}
