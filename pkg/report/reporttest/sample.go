// Package reporttest has sample runs for the tests of packages that read or show runs.
package reporttest

import (
	"fmt"
	"time"

	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// Launch is when the sample runs were launched.
var Launch = time.Date(2026, 11, 22, 3, 0, 4, 0, time.FixedZone("CET", 3600))

// Sample returns a run with a step of each outcome.
func Sample() *report.Run {
	two, one, zero := 2, 1, 0
	folder := "/var/log/runtests/ecs/2026-11-22T03-00-04"
	log := func(step string, bytes, lines int64, tail ...string) report.Log {
		return report.Log{File: step + ".2026-11-22T03-00-04.log", Bytes: bytes, Lines: lines, Tail: plain.Tail{Lines: tail}}
	}
	command := func(test, image string) string {
		return "docker run --rm --mac-address aa:bb:cc:dd:ee:ff -v /srv/ci/tests/" + test + ":/test -v /maple:/maple:ro " + image + " /test/test.sh"
	}
	var made []string
	for i := 1; i <= 38; i++ {
		made = append(made, fmt.Sprintf("ocamlfind ocamlopt -package zarith,lwt -c src/combinatorial_structure_%02d.ml", i))
	}
	cut := log("huge@specfun-debian-deps", 1<<30+70, 3, "before", "the end of a line of 1 GB", "after")
	cut.Tail.Cut = map[int]int64{1: 1 << 30}
	return &report.Run{
		Version:  report.Version,
		ID:       "2026-11-22T03-00-04",
		Suite:    "ecs",
		File:     "/srv/ci/runtests.yaml",
		Folder:   folder,
		Host:     "ci-slave",
		Program:  "runtests 1.0.0",
		Engine:   report.Engine{Name: "Docker", Version: "28.5.2", API: "1.51", Host: "unix:///var/run/docker.sock"},
		Started:  Launch,
		Finished: Launch.Add(41*time.Minute + 12*time.Second),
		Lines:    40,
		Notes:    []string{"The run of 2026-11-21T03-00-04 was cut off during dynamow@specfun-debian-deps; 3 steps had passed."},
		Steps: []report.Result{
			{
				Name: "specfun-debian-opam", Kind: report.KindImage, Image: "specfun-debian-opam", Outcome: report.Passed,
				Command: "docker build -t specfun-debian-opam docker/debian/opam",
				Started: Launch, Duration: report.Duration(190 * time.Second), ImageID: "sha256:4f8c0d12ab3456",
				Log: log("specfun-debian-opam", 52_000, 812),
				Build: &report.Build{Built: Launch, Why: "built 7 days ago (rebuild: weekly)", Builder: "BuildKit", Size: 1_030_000_000,
					PreviousID: "sha256:aaaa", PreviousSize: 1_017_600_000, Packages: 412, Changes: []report.PackageChange{
						{Manager: "dpkg", Name: "libgmp10", From: "6.2.1", To: "6.3.0"}, {Manager: "dpkg", Name: "m4", From: "", To: "1.4.19"}, {Manager: "opam", Name: "camlp4", From: "4.02", To: ""}}},
			},
			{
				Name: "specfun-ubuntu-deps", Kind: report.KindImage, Image: "specfun-ubuntu-deps", Outcome: report.Failed,
				Reason: "exit status 1", ExitStatus: &one, Notes: []string{"line 2 of the Dockerfile: RUN apt-get install -y m4"},
				Command: "docker build -t specfun-ubuntu-deps docker/ubuntu/ocaml-4.02.3-dynamow-deps",
				Started: Launch, Duration: report.Duration(9400 * time.Millisecond),
				Build: &report.Build{Why: "the Dockerfile has changed", Builder: "classic"},
				Log:   log("specfun-ubuntu-deps", 31, 1, "E: Unable to locate package m4"),
			},
			{
				Name: "ecs@specfun-debian-deps", Kind: report.KindTest, Test: "ecs", Image: "specfun-debian-deps", ImageID: "sha256:4f8c0d",
				Outcome: report.Passed, ExitStatus: &zero, Notes: []string{"passed on attempt 2 of 3"},
				Command: command("ecs", "specfun-debian-deps"), Started: Launch,
				Duration: report.Duration(723 * time.Second), Attempts: 2, Container: "prod-ecs",
				Log: log("ecs@specfun-debian-deps", 900_000, 18_000),
			},
			{
				Name: "ecs@debian:12", Kind: report.KindTest, Test: "ecs", Image: "debian:12", ImageID: "sha256:4f8c0d",
				Outcome: report.Failed, Reason: "exit status 2", ExitStatus: &two,
				Command: command("ecs", "debian:12"), Started: Launch,
				Duration: report.Duration(723 * time.Second), Attempts: 1, Container: "prod-ecs-failed",
				Log: log("ecs@debian_12", 910_034, 18_204, append(made, "ocamlfind: Package `zarith' not found", "make: *** [ecs.native] Error 2")...),
			},
			{
				Name: "slow@specfun-debian-deps", Kind: report.KindTest, Test: "slow", Image: "specfun-debian-deps",
				Outcome: report.Timeout, Reason: "not finished after 2h, stopped", Command: command("slow", "specfun-debian-deps"),
				Started: Launch, Duration: report.Duration(2*time.Hour + 3*time.Second), Attempts: 1,
				Log: log("slow@specfun-debian-deps", 0, 0),
			},
			{
				Name: "dos@specfun-debian-deps", Kind: report.KindTest, Test: "dos", Image: "specfun-debian-deps",
				Outcome: report.Broken, Reason: "test.sh has Windows line ends (CRLF)", Hint: "convert it: sed -i 's/\\r$//' /srv/ci/tests/dos/test.sh",
				Command: command("dos", "specfun-debian-deps"),
			},
			{
				Name: "dynamow@specfun-ubuntu-deps", Kind: report.KindTest, Test: "dynamow", Image: "specfun-ubuntu-deps",
				Outcome: report.Blocked, Reason: "the image specfun-ubuntu-deps failed", BlockedBy: "specfun-ubuntu-deps", Command: command("dynamow", "specfun-ubuntu-deps"),
			},
			{
				Name: "huge@specfun-debian-deps", Kind: report.KindTest, Test: "huge", Image: "specfun-debian-deps",
				Outcome: report.Broken, Reason: "out of memory: killed by the kernel", Hint: "raise mem_limit (now 512m)",
				Notes:   []string{"2 processes were still running"},
				Command: command("huge", "specfun-debian-deps"), Started: Launch, Duration: report.Duration(30 * time.Second), Attempts: 1, Log: cut,
			},
		},
	}
}

// Running returns Sample as it is while its fourth step runs.
func Running() *report.Run {
	r := Sample()
	r.Finished, r.Running = time.Time{}, true
	for i := range r.Steps[3:] {
		step := &r.Steps[3+i]
		*step = report.Result{Name: step.Name, Kind: step.Kind, Test: step.Test, Image: step.Image, Command: step.Command}
	}
	r.Steps[3].Started = Launch.Add(30 * time.Minute)
	return r
}

// CutOff returns Running as a power cut leaves it.
func CutOff() *report.Run {
	r := Running()
	r.Running = false
	return r
}

// Interrupted returns a run that a signal ended.
func Interrupted() *report.Run {
	r := Sample()
	r.Signal, r.Notes = "SIGTERM", nil
	r.Finished = Launch.Add(3 * time.Minute)
	r.Steps = r.Steps[2:5]
	r.Steps[1].Outcome, r.Steps[1].Reason = report.Interrupted, "stopped by SIGTERM"
	r.Steps[2] = report.Result{Name: "slow@specfun-debian-deps", Kind: report.KindTest, Outcome: report.Interrupted, Reason: "not started", Command: r.Steps[2].Command}
	return r
}

// Green returns a run whose steps all passed.
func Green() *report.Run {
	r := Sample()
	r.Notes = nil
	r.Steps = []report.Result{r.Steps[0], r.Steps[2]}
	r.Steps[0].Build = &report.Build{Current: true, Built: Launch.AddDate(0, 0, -2), Size: 1_030_000_000, Packages: 412}
	r.Disk = report.Disk{Path: "/var/lib/docker", Total: 252_000_000_000, FreeBefore: 75_200_000_000, FreeAfter: 74_000_000_000, Limit: 5 << 30}
	return r
}

// Hostile returns a run whose texts all hold what must not reach a terminal, a page or a header.
func Hostile() *report.Run {
	const evil = "</pre><script>alert(1)</script>\x1b]0;title\x07\x1b[31m\r\nSubject: 9 success, 0 failures\n\x00\u202egnp.exe\u2069\x7f\u009b2J]]>\xff\"'`=#\\ &amp; {{.}} --> 😀"
	return &report.Run{
		Version: report.Version, ID: evil, Suite: evil, File: evil, Folder: "/logs/" + evil, Host: evil, Program: evil,
		Engine: report.Engine{Name: evil, Version: evil, API: evil, Host: evil}, Started: Launch, Finished: Launch.Add(time.Minute),
		Signal: evil, Lines: 40, Notes: []string{evil},
		Steps: []report.Result{{
			Name: evil, Kind: report.KindTest, Test: evil, Image: evil, ImageID: evil, Outcome: report.Failed, Reason: evil, Hint: evil, Notes: []string{evil},
			Command: "docker run '" + evil + "'", Started: Launch, Duration: report.Duration(time.Second), Container: evil,
			Log: report.Log{File: evil, Bytes: 100, Lines: 2, Tail: plain.Tail{Lines: []string{evil, "  ...", "not ok 7"}, Cut: map[int]int64{0: 1234}}},
		}, {
			Name: evil, Kind: report.KindImage, Image: evil, ImageID: evil, Outcome: report.Passed, Notes: []string{evil}, Command: evil, Container: evil,
			Build: &report.Build{Why: evil, Builder: evil, PreviousID: evil, Size: 1, Packages: 1, Changes: []report.PackageChange{{Manager: evil, Name: evil, From: evil, To: evil}}},
		}, {
			Name: "1 # skip nothing", Kind: report.KindTest, Outcome: report.Outcome(evil), Command: "true",
		}},
	}
}

// Many returns a run of n steps. Every tenth failed.
func Many(n int) *report.Run {
	sample := Sample()
	r := Sample()
	r.Steps = nil
	for i := range n {
		step := sample.Steps[2]
		if i%10 == 0 {
			step = sample.Steps[3]
		}
		step.Name = fmt.Sprintf("test-%05d@debian", i)
		r.Steps = append(r.Steps, step)
	}
	return r
}

// Changed returns a run with every kind of change and every verdict.
func Changed() *report.Run {
	r := Sample()
	r.Notes = nil
	one := 1
	step := func(name string, outcome report.Outcome, trend *report.Trend, verdict *report.Verdict) report.Result {
		s := report.Result{
			Name: name, Kind: report.KindTest, Test: name, Image: "debian", Outcome: outcome, Command: "docker run --rm debian /test/test.sh",
			Commit: "4f8c0d12ab3456789abcdef0123456789abcdef0", Started: Launch, Duration: report.Duration(12 * time.Second),
			Attempts: 1, Trend: trend, Verdict: verdict,
		}
		if outcome != report.Passed {
			s.Reason, s.ExitStatus = "exit status 1", &one
			s.Log = report.Log{File: name + ".log", Bytes: 900_000, Lines: 18_000, Page: name + ".log.html", Tail: plain.Tail{Lines: []string{"checking " + name, "error: it does not work"}}}
		}
		return s
	}
	failing := func(change report.Change, runs int) *report.Trend {
		return &report.Trend{Change: change, Previous: report.Passed, Since: Launch.AddDate(0, 0, 1-runs), Runs: runs, Announced: "<a@example.org>", LastPassed: "2026-11-21T03-00-00"}
	}
	trial := func(what string, outcome report.Outcome, log string) report.Trial {
		t := report.Trial{What: what, Outcome: outcome, Duration: report.Duration(3 * time.Second), Log: log, Command: "docker run --rm sha256:4f8c0d /test/test.sh"}
		if outcome != report.Passed {
			t.Reason = "exit status 1"
		}
		return t
	}
	again := trial("again, unchanged", report.Failed, "again.log")
	blocked := step("blocked@debian", report.Blocked, failing(report.NewlyFailing, 1), nil)
	blocked.Reason, blocked.ExitStatus, blocked.Log, blocked.BlockedBy = "its image debian failed", nil, report.Log{}, "debian"
	slower := step("slower@debian", report.Passed, &report.Trend{Previous: report.Passed, Usual: report.Duration(4 * time.Second), Pace: report.Slower}, nil)
	slower.Log = report.Log{File: "slower@debian.log", Bytes: 10, Lines: 1, Tail: plain.Tail{Lines: []string{"done"}}}
	dirty := step("environment@debian", report.Failed, failing(report.NewlyFailing, 1), &report.Verdict{Cause: report.Environment, Trials: []report.Trial{again, trial("on the image of 2026-11-21", report.Failed, "image.log")}})
	dirty.Dirty, dirty.Untrusted = true, true
	r.Gone = []string{"old@debian", "older@debian"}
	r.Message = "<b@example.org>"
	r.Steps = []report.Result{
		step("passed@debian", report.Passed, &report.Trend{Previous: report.Passed, Usual: report.Duration(11 * time.Second)}, nil),
		step("still@debian", report.Failed, failing(report.StillFailing, 3), nil),
		blocked,
		step("flaky@debian", report.Failed, failing(report.NewlyFailing, 1), &report.Verdict{Cause: report.Flaky, Trials: []report.Trial{trial("again, unchanged", report.Passed, "again.log")}}),
		step("dependencies@debian", report.Failed, failing(report.NewlyFailing, 1), &report.Verdict{
			Cause:  report.Dependencies,
			Trials: []report.Trial{again, trial("on the image of 2026-11-21", report.Passed, "image.log")},
			Packages: []report.PackageChange{
				{Manager: "dpkg", Name: "libgmp10", From: "6.2.1", To: "6.3.0"},
				{Manager: "dpkg", Name: "m4", To: "1.4.19"},
				{Manager: "opam", Name: "zarith", From: "1.12"},
			},
		}),
		step("code@debian", report.Failed, failing(report.NewlyFailing, 1), &report.Verdict{
			Cause:   report.Code,
			Trials:  []report.Trial{again, trial("with the files of 0a1b2c3d4e5f", report.Passed, "")},
			Commits: []report.Commit{{ID: "4f8c0d12ab3456789abcdef0123456789abcdef0", Date: Launch, Author: "René", Subject: "count: faster"}},
		}),
		dirty,
		step("undecided@debian", report.Timeout, failing(report.NewlyFailing, 1), &report.Verdict{Reason: "diagnose_timeout was over", Trials: []report.Trial{again}}),
		step("fixed@debian", report.Passed, &report.Trend{Change: report.Fixed, Previous: report.Failed, Since: Launch.AddDate(0, 0, -2), Runs: 2, Announced: "<a@example.org>"}, nil),
		step("new@debian", report.Passed, &report.Trend{Change: report.Added}, nil),
		step("new-bad@debian", report.Failed, &report.Trend{Change: report.Added, Since: Launch, Runs: 1}, nil),
		slower,
	}
	return r
}
