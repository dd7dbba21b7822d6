package images

import (
	"testing"
	"time"

	"runtests/pkg/images/imagestest"
	"runtests/pkg/suite"
)

func TestDue(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	imagestest.Must(t, err)
	at := func(text string) time.Time {
		when, err := time.ParseInLocation("2006-01-02 15:04:05", text, paris)
		imagestest.Must(t, err)
		return when
	}
	daily, weekly := suite.Rebuild{Days: 1}, suite.Rebuild{Days: 7}
	for name, c := range map[string]struct {
		rebuild     suite.Rebuild
		fresh, now  string
		cachedSince bool // it was built with cache after that
		want        string
	}{
		"on-change":                           {suite.Rebuild{}, "2020-01-01 00:00:00", "2026-11-22 03:00:00", false, ""},
		"always":                              {suite.Rebuild{Always: true}, "2026-11-22 03:00:00", "2026-11-22 03:00:01", false, "rebuild: always"},
		"daily, the same day":                 {daily, "2026-11-22 00:00:00", "2026-11-22 23:59:59", false, ""},
		"daily, a second over midnight":       {daily, "2026-11-21 23:59:59", "2026-11-22 00:00:00", false, "built yesterday (rebuild: daily)"},
		"daily, two seconds before the day":   {daily, "2026-11-21 03:00:02", "2026-11-22 03:00:00", false, "built yesterday (rebuild: daily)"},
		"weekly, six days":                    {weekly, "2026-11-15 00:00:00", "2026-11-21 23:59:59", false, ""},
		"weekly, seven days, less by hours":   {weekly, "2026-11-15 23:00:00", "2026-11-22 03:00:00", false, "built 7 days ago (rebuild: weekly)"},
		"weekly, the clock was put back":      {weekly, "2026-10-24 03:00:00", "2026-10-31 03:00:00", false, "built 7 days ago (rebuild: weekly)"},
		"daily, the day of 23 hours":          {daily, "2026-03-28 23:30:00", "2026-03-29 00:30:00", false, "built yesterday (rebuild: daily)"},
		"built in the future":                 {daily, "2026-12-01 03:00:00", "2026-11-22 03:00:00", false, ""},
		"never without cache":                 {weekly, "", "2026-11-22 03:00:00", false, "never built without cache (rebuild: weekly)"},
		"with cache since":                    {weekly, "2026-11-14 03:00:00", "2026-11-22 03:00:00", true, "last built without cache 8 days ago (rebuild: weekly)"},
		"12h, cron was early by a second":     {suite.Rebuild{After: 12 * time.Hour}, "2026-11-22 03:00:01", "2026-11-22 15:00:00", false, "built 12h ago (rebuild: 12h)"},
		"12h, too early by more than 5m":      {suite.Rebuild{After: 12 * time.Hour}, "2026-11-22 03:00:00", "2026-11-22 14:54:59", false, ""},
		"10m, a tenth is enough":              {suite.Rebuild{After: 10 * time.Minute}, "2026-11-22 03:00:00", "2026-11-22 03:09:00", false, "built 9m ago (rebuild: 10m)"},
		"10m, a tenth is enough, but no more": {suite.Rebuild{After: 10 * time.Minute}, "2026-11-22 03:00:00", "2026-11-22 03:08:59", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			u := &Updater{Started: at(c.now)}
			var fresh time.Time
			if c.fresh != "" {
				fresh = at(c.fresh).UTC() // as a label has it, in whatever time zone
			}
			was := &record{built: fresh, fresh: fresh}
			if c.cachedSince {
				was.built = fresh.Add(time.Hour)
			}
			if got := u.due(c.rebuild, was); got != c.want {
				t.Errorf("%q, not %q", got, c.want)
			}
		})
	}
}

func TestRunTag(t *testing.T) {
	const run = "2026-11-22T03-00-04"
	for name, want := range map[string]string{
		"deps:latest":                  "deps:" + run,
		"deps":                         "deps:" + run,
		"team/deps:dev":                "team/deps:dev-" + run,
		"r.example.org:5000/deps:1.10": "r.example.org:5000/deps:1.10-" + run,
	} {
		if got, err := runTag(name, run); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "UPPER", "deps:" + string(make([]byte, 3)), "deps@sha256:abc"} {
		if got, err := runTag(name, run); err == nil {
			t.Errorf("%q: %q", name, got)
		}
	}
}

// TestRecord: labels say that an image is ours only with the tag that they name.
func TestRecord(t *testing.T) {
	made := record{
		image: "deps:latest", run: "R", suite: "ecs", digest: "d", inputs: inputs{Format: 1, Context: "c"},
		parents: map[string]string{"debian:12": "sha256:1"}, built: time.Unix(1e9, 0).UTC(), fresh: time.Unix(9e8, 0).UTC(),
	}
	labels, err := made.labels(map[string]string{"own": "label", labelDigest: "not mine"})
	imagestest.Must(t, err)
	if labels["own"] != "label" || labels[labelDigest] != "d" {
		t.Errorf("%q", labels)
	}
	for _, c := range []struct {
		tags []string
		ours bool
	}{
		{[]string{"deps:R"}, true},
		{[]string{"deps:latest", "deps:R"}, true},
		{[]string{"localhost/deps:R"}, true},         // Podman
		{[]string{"docker.io/library/deps:R"}, true}, // Podman, too
		{[]string{"deps:latest"}, false},
		{[]string{"child:R", "deps:latest"}, false},
		{nil, false},
	} {
		got, ours := recordOf(labels, c.tags)
		if ours != c.ours {
			t.Errorf("%q: %v", c.tags, ours)
		}
		if ours && (got.digest != made.digest || !got.fresh.Equal(made.fresh) || got.parents["debian:12"] != "sha256:1" || got.inputs != made.inputs) {
			t.Errorf("%+v", got)
		}
	}
	delete(labels, labelBuilt)
	if _, ours := recordOf(labels, []string{"deps:R"}); ours {
		t.Error("ours without a date")
	}
}
