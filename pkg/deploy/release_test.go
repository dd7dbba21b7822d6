package deploy

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/pkg/suite"
)

func release(tag, run string, hour int) Release {
	return Release{Tag: tag, Candidate: Candidate{Run: run, Step: "ecs@debian"}, Time: time.Date(2026, 11, 22, hour, 0, 0, 0, time.UTC)}
}

// TestOlderReleases orders releases by age, also when one run was promoted several times.
func TestOlderReleases(t *testing.T) {
	a, b, b2, b10, c := release("a", "a", 1), release("b", "b", 2), release("b.2", "b", 2), release("b.10", "b", 2), release("c", "c", 3)
	all := []Release{c, b10, b2, b, a}
	for _, c := range []struct {
		current Release
		want    string
	}{{c, "b.10 b.2 b a"}, {b10, "b.2 b a"}, {b, "a"}, {a, ""}, {Release{}, ""}} {
		var tags []string
		for _, r := range older(nil, all, c.current) {
			tags = append(tags, r.Tag)
		}
		if got := strings.Join(tags, " "); got != c.want {
			t.Errorf("before %q: %q, want %q", c.current.Tag, got, c.want)
		}
	}
}

// TestOlderByHistory prefers the machine's history to the age: a version that was rolled back
// is not rolled back to.
func TestOlderByHistory(t *testing.T) {
	all := []Release{release("v2.2", "v2", 2), release("v2", "v2", 2), release("v1", "v1", 1), release("v0", "v0", 0)}
	did := func(words ...string) (past []event) {
		for _, word := range words {
			what, tag, _ := strings.Cut(word, " ")
			past = append(past, event{what: what, release: tag})
		}
		return past
	}
	for _, c := range []struct {
		past          []event
		current, want string
	}{
		{did("promoted v0", "promoted v1", "promoted v2", "rolled-back v1", "promoted v2.2"), "v2.2", "v1 v0"},
		{did("promoted v0", "promoted v1", "promoted v2", "rolled-back v1"), "v1", "v0"},
		{did("promoted v2", "promoted gone", "promoted v0"), "v0", "v2"},
		{did("promoted v0", "promoted other"), "v2", "v1 v0"}, // it does not end with what runs
		{did("rolled-back v0"), "v0", ""},
	} {
		var tags []string
		current := all[slices.IndexFunc(all, func(r Release) bool { return r.Tag == c.current })]
		for _, r := range older(c.past, all, current) {
			tags = append(tags, r.Tag)
		}
		if got := strings.Join(tags, " "); got != c.want {
			t.Errorf("%v, before %s: %q, want %q", c.past, c.current, got, c.want)
		}
	}
}

// TestReleaseLabels reads back the labels of a release.
func TestReleaseLabels(t *testing.T) {
	want := Release{
		Tag: "run", Candidate: Candidate{Run: "run", Suite: "s", Step: "t@i", Image: "sha256:0", Commit: "c0ffee", Machine: "ci", Container: "id"},
		Time: time.Date(2026, 11, 22, 3, 0, 4, 0, time.UTC),
	}
	got := releaseOf(want.labels("web"), "run")
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Release{})); diff != "" {
		t.Error(diff)
	}
	for name := range want.labels("web") { // what is not known covers a label of the tested image, too
		if _, ok := (Release{}).labels("web")[name]; !ok {
			t.Errorf("without its fact there is no label %s", name)
		}
	}
}

// imageList is an engine that has these images.
type imageList struct {
	Engine
	images []engine.ImageSummary
}

func (l imageList) Images(_ context.Context, labels map[string]string) ([]engine.ImageSummary, error) {
	return slices.DeleteFunc(slices.Clone(l.images), func(i engine.ImageSummary) bool { return i.Labels[LabelName] != labels[LabelName] }), nil
}

// TestReleases finds the images of a deployment, the newest first, under the names that Docker
// and Podman give them.
func TestReleases(t *testing.T) {
	image := func(id, deployment string, hour int, tags ...string) engine.ImageSummary {
		return engine.ImageSummary{ID: id, Tags: tags, Labels: release("", id, hour).labels(deployment)}
	}
	site := &Site{deployment: suite.Deployment{Name: "web"}, engine: imageList{images: []engine.ImageSummary{
		image("a", "web", 1, "runtests-deploy/web:a", "mine:a"),
		image("b", "web", 2, "localhost/runtests-deploy/web:b.2", "docker.io/runtests-deploy/web:b"),
		image("c", "other", 3, "runtests-deploy/web:c"),
		image("d", "web", 4, "runtests-deploy/website:d"),
	}}}
	found, err := site.releases(t.Context())
	var got []string
	for _, r := range found {
		got = append(got, r.Tag+" "+r.imageID)
	}
	if want := []string{"b.2 b", "b b", "a a"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("found %q, %v, want %q", got, err, want)
	}
}

// TestFollow logs each line of a swap once, even over two connections.
func TestFollow(t *testing.T) {
	var log []string
	logged := 0
	first := follower{logged: &logged, log: func(text string) { log = append(log, text) }}
	for _, line := range []string{". one", ". two"} {
		first.line(line)
	}
	second := follower{logged: &logged, log: first.log}
	for _, line := range []string{". one", ". two", ". three", "result failed-back 123 it ended with exit status 3 ", "| a log", "| ", "|  line"} {
		second.line(line)
	}
	want := swapResult{outcome: "failed-back", outage: 1230 * time.Millisecond, why: "it ended with exit status 3", log: []string{"a log", "", " line"}}
	if diff := cmp.Diff(want, second.result, cmp.AllowUnexported(swapResult{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"one", "two", "three"}, log); diff != "" {
		t.Error(diff)
	}
}

// TestByHand prints a promotion with a handover, to a machine reached by ssh.
func TestByHand(t *testing.T) {
	d := suite.Deployment{
		Name: "web", Host: "ssh://me@prod:2222/run/x.sock", PortsFile: "/srv/ports", Drain: 2 * time.Second, Check: suite.HealthCheck{HTTP: "http://127.0.0.1:81/"},
		Files: []suite.File{{Source: "/ci/a b", Target: "/srv/c"}},
		Container: container.Container{
			Ports: []container.Port{{First: 80, Last: 81, Container: 9080, Protocol: "tcp"}}, StopGrace: 5 * time.Second, Restart: "always",
			Env: []container.Variable{{Name: "TOKEN", Value: "s3cret", Secret: true}},
		},
	}
	text, err := Commands(d, "unix:///var/run/docker.sock", "passed-x")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "s3cret") {
		t.Error("a secret is printed")
	}
	const there = "ssh -l me -p 2222 prod 'DOCKER_HOST=unix:///run/x.sock "
	want := []string{
		"docker commit passed-x runtests-deploy/web:RUN",
		"docker save runtests-deploy/web:RUN | " + there + "docker load'",
		"cat '/ci/a b' | " + there + "cat >.c.web-next'",
		there + "docker create --label runtests.deploy=web --label runtests.deploy.release=RUN --name web-next -p 80:9080 -e TOKEN runtests-deploy/web:RUN'",
		there + "mv -T /srv/c /srv/c.previous'", there + "mv -T .c.web-next /srv/c'",
		there + "docker start web-next'", there + "curl -fsS -o /dev/null http://127.0.0.1:80/'",
		there + `printf %s '"'"'9080 80` + "\n" + `'"'"' >/srv/ports'`,
		there + "sleep 2'", there + "docker stop -t 5 web'",
		there + "docker rm -v web-previous'", there + "docker rename web web-previous'", there + "docker update --restart no web-previous'",
		there + "docker rename web-next web'", there + "docker update --restart always web'",
	}
	var got []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "# ") {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); diff != "" {
		t.Error(diff)
	}
}

// TestStatusForgesNoLine: the engine of the production machine says what it likes about its containers.
func TestStatusForgesNoLine(t *testing.T) {
	r := Release{Tag: "a", Candidate: Candidate{Run: "x\npassed   deploy web", Step: "y\r\nwarning: no", Commit: "z\nq"}}
	text := Status{Container: "web", Host: "prod", State: "running\nrunning again", Current: r, Previous: []Release{r}}.String()
	if lines := strings.Split(text, "\n"); len(lines) != 2 || !strings.HasPrefix(lines[1], "  previous: ") {
		t.Errorf("%q", text)
	}
}
