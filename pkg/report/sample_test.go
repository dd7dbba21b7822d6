package report

import (
	"fmt"
	"testing"
	"time"

	"runtests/pkg/plain"
)

// sampleRun is a run with a step of each outcome.
func sampleRun() *Run {
	two, one, zero := 2, 1, 0
	folder := "/var/log/runtests/ecs/2026-11-22T03-00-04"
	log := func(step string, bytes, lines int64, tail ...string) Log {
		return Log{File: step + ".2026-11-22T03-00-04.log", Bytes: bytes, Lines: lines, Tail: plain.Tail{Lines: tail}}
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
	return &Run{
		Version:  Version,
		ID:       "2026-11-22T03-00-04",
		Suite:    "ecs",
		File:     "/srv/ci/runtests.yaml",
		Folder:   folder,
		Host:     "ci-slave",
		Program:  "runtests 1.0.0",
		Engine:   Engine{Name: "Docker", Version: "28.5.2", API: "1.51", Host: "unix:///var/run/docker.sock"},
		Started:  launch,
		Finished: launch.Add(41*time.Minute + 12*time.Second),
		Lines:    40,
		Notes:    []string{"The run of 2026-11-21T03-00-04 was cut off during dynamow@specfun-debian-deps; 3 steps had passed."},
		Steps: []Result{
			{
				Name: "specfun-debian-opam", Kind: Image, Image: "specfun-debian-opam", Outcome: Passed,
				Command: "docker build -t specfun-debian-opam docker/debian/opam",
				Started: launch, Duration: Duration(190 * time.Second), ImageID: "sha256:4f8c0d12ab3456",
				Log: log("specfun-debian-opam", 52_000, 812),
				Build: &Build{Built: launch, Why: "built 7 days ago (rebuild: weekly)", Builder: "BuildKit", Size: 1_030_000_000,
					PreviousID: "sha256:aaaa", PreviousSize: 1_017_600_000, Packages: 412, Changes: []PackageChange{
						{"dpkg", "libgmp10", "6.2.1", "6.3.0"}, {"dpkg", "m4", "", "1.4.19"}, {"opam", "camlp4", "4.02", ""}}},
			},
			{
				Name: "specfun-ubuntu-deps", Kind: Image, Image: "specfun-ubuntu-deps", Outcome: Failed,
				Reason: "exit status 1", ExitStatus: &one, Notes: []string{"line 2 of the Dockerfile: RUN apt-get install -y m4"},
				Command: "docker build -t specfun-ubuntu-deps docker/ubuntu/ocaml-4.02.3-dynamow-deps",
				Started: launch, Duration: Duration(9400 * time.Millisecond),
				Build: &Build{Why: "the Dockerfile has changed", Builder: "classic"},
				Log:   log("specfun-ubuntu-deps", 31, 1, "E: Unable to locate package m4"),
			},
			{
				Name: "ecs@specfun-debian-deps", Kind: Test, Test: "ecs", Image: "specfun-debian-deps", ImageID: "sha256:4f8c0d",
				Outcome: Passed, ExitStatus: &zero, Notes: []string{"passed on attempt 2 of 3"},
				Command: command("ecs", "specfun-debian-deps"), Started: launch,
				Duration: Duration(723 * time.Second), Attempts: 2, Container: "prod-ecs",
				Log: log("ecs@specfun-debian-deps", 900_000, 18_000),
			},
			{
				Name: "ecs@debian:12", Kind: Test, Test: "ecs", Image: "debian:12", ImageID: "sha256:4f8c0d",
				Outcome: Failed, Reason: "exit status 2", ExitStatus: &two,
				Command: command("ecs", "debian:12"), Started: launch,
				Duration: Duration(723 * time.Second), Attempts: 1, Container: "prod-ecs-failed",
				Log: log("ecs@debian_12", 910_034, 18_204, append(made, "ocamlfind: Package `zarith' not found", "make: *** [ecs.native] Error 2")...),
			},
			{
				Name: "slow@specfun-debian-deps", Kind: Test, Test: "slow", Image: "specfun-debian-deps",
				Outcome: Timeout, Reason: "not finished after 2h, stopped", Command: command("slow", "specfun-debian-deps"),
				Started: launch, Duration: Duration(2*time.Hour + 3*time.Second), Attempts: 1,
				Log: log("slow@specfun-debian-deps", 0, 0),
			},
			{
				Name: "dos@specfun-debian-deps", Kind: Test, Test: "dos", Image: "specfun-debian-deps",
				Outcome: Broken, Reason: "test.sh has Windows line ends (CRLF)", Hint: "convert it: sed -i 's/\\r$//' /srv/ci/tests/dos/test.sh",
				Command: command("dos", "specfun-debian-deps"),
			},
			{
				Name: "dynamow@specfun-ubuntu-deps", Kind: Test, Test: "dynamow", Image: "specfun-ubuntu-deps",
				Outcome: Blocked, Reason: "the image specfun-ubuntu-deps failed", BlockedBy: "specfun-ubuntu-deps", Command: command("dynamow", "specfun-ubuntu-deps"),
			},
			{
				Name: "huge@specfun-debian-deps", Kind: Test, Test: "huge", Image: "specfun-debian-deps",
				Outcome: Broken, Reason: "out of memory: killed by the kernel", Hint: "raise mem_limit (now 512m)",
				Notes:   []string{"2 processes were still running"},
				Command: command("huge", "specfun-debian-deps"), Started: launch, Duration: Duration(30 * time.Second), Attempts: 1, Log: cut,
			},
		},
	}
}

// runningRun is sampleRun while its fourth step runs.
func runningRun() *Run {
	r := sampleRun()
	r.Finished, r.Running = time.Time{}, true
	for i := range r.Steps[3:] {
		step := &r.Steps[3+i]
		*step = Result{Name: step.Name, Kind: step.Kind, Test: step.Test, Image: step.Image, Command: step.Command}
	}
	r.Steps[3].Started = launch.Add(30 * time.Minute)
	return r
}

// cutOffRun is runningRun after a power cut.
func cutOffRun() *Run {
	r := runningRun()
	r.Running = false
	return r
}

// interruptedRun is a run that a signal ended.
func interruptedRun() *Run {
	r := sampleRun()
	r.Signal, r.Notes = "SIGTERM", nil
	r.Finished = launch.Add(3 * time.Minute)
	r.Steps = r.Steps[2:5]
	r.Steps[1].Outcome, r.Steps[1].Reason = Interrupted, "stopped by SIGTERM"
	r.Steps[2] = Result{Name: "slow@specfun-debian-deps", Kind: Test, Outcome: Interrupted, Reason: "not started", Command: r.Steps[2].Command}
	return r
}

// greenRun is a run of which all steps passed.
func greenRun() *Run {
	r := sampleRun()
	r.Notes = nil
	r.Steps = []Result{r.Steps[0], r.Steps[2]}
	r.Steps[0].Build = &Build{Current: true, Built: launch.AddDate(0, 0, -2), Size: 1_030_000_000, Packages: 412}
	r.Disk = Disk{Path: "/var/lib/docker", Total: 252_000_000_000, FreeBefore: 75_200_000_000, FreeAfter: 74_000_000_000, Limit: 5 << 30}
	return r
}

// hostileRun has what must not reach a terminal, a page or a header in every text.
func hostileRun() *Run {
	const evil = "</pre><script>alert(1)</script>\x1b]0;title\x07\x1b[31m\r\nSubject: 9 success, 0 failures\n\x00\u202egnp.exe\u2069\x7f\u009b2J]]>\xff\"'`=#\\ &amp; {{.}} --> 😀"
	return &Run{
		Version: Version, ID: evil, Suite: evil, File: evil, Folder: "/logs/" + evil, Host: evil, Program: evil,
		Engine: Engine{Name: evil, Version: evil, API: evil, Host: evil}, Started: launch, Finished: launch.Add(time.Minute),
		Signal: evil, Lines: 40, Notes: []string{evil},
		Steps: []Result{{
			Name: evil, Kind: Test, Test: evil, Image: evil, ImageID: evil, Outcome: Failed, Reason: evil, Hint: evil, Notes: []string{evil},
			Command: "docker run '" + evil + "'", Started: launch, Duration: Duration(time.Second), Container: evil,
			Log: Log{File: evil, Bytes: 100, Lines: 2, Tail: plain.Tail{Lines: []string{evil, "  ...", "not ok 7"}, Cut: map[int]int64{0: 1234}}},
		}, {
			Name: evil, Kind: Image, Image: evil, ImageID: evil, Outcome: Passed, Notes: []string{evil}, Command: evil, Container: evil,
			Build: &Build{Why: evil, Builder: evil, PreviousID: evil, Size: 1, Packages: 1, Changes: []PackageChange{{evil, evil, evil, evil}}},
		}, {
			Name: "1 # skip nothing", Kind: Test, Outcome: Outcome(evil), Command: "true",
		}},
	}
}

// manyRun is a run of n steps, a tenth of which failed.
func manyRun(n int) *Run {
	sample := sampleRun()
	r := sampleRun()
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

// parse reads a duration.
func parse(t testing.TB, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// changedRun is a run in which every kind of change is, and every verdict.
func changedRun() *Run {
	r := sampleRun()
	r.Notes = nil
	one := 1
	step := func(name string, outcome Outcome, trend *Trend, verdict *Verdict) Result {
		s := Result{
			Name: name, Kind: Test, Test: name, Image: "debian", Outcome: outcome, Command: "docker run --rm debian /test/test.sh",
			Commit: "4f8c0d12ab3456789abcdef0123456789abcdef0", Started: launch, Duration: Duration(12 * time.Second),
			Attempts: 1, Trend: trend, Verdict: verdict,
		}
		if outcome != Passed {
			s.Reason, s.ExitStatus = "exit status 1", &one
			s.Log = Log{File: name + ".log", Bytes: 900_000, Lines: 18_000, Page: name + ".log.html", Tail: plain.Tail{Lines: []string{"checking " + name, "error: it does not work"}}}
		}
		return s
	}
	failing := func(change Change, runs int) *Trend {
		return &Trend{Change: change, Was: Passed, Since: launch.AddDate(0, 0, 1-runs), Runs: runs, Announced: "<a@example.org>", Passed: "2026-11-21T03-00-00"}
	}
	trial := func(what string, outcome Outcome, log string) Trial {
		t := Trial{What: what, Outcome: outcome, Duration: Duration(3 * time.Second), Log: log, Command: "docker run --rm sha256:4f8c0d /test/test.sh"}
		if outcome != Passed {
			t.Reason = "exit status 1"
		}
		return t
	}
	again := trial("again, as it was", Failed, "again.log")
	blocked := step("blocked@debian", Blocked, failing(NewlyFailing, 1), nil)
	blocked.Reason, blocked.ExitStatus, blocked.Log, blocked.BlockedBy = "its image debian failed", nil, Log{}, "debian"
	slower := step("slower@debian", Passed, &Trend{Was: Passed, Usual: Duration(4 * time.Second), Pace: Slower}, nil)
	slower.Log = Log{File: "slower@debian.log", Bytes: 10, Lines: 1, Tail: plain.Tail{Lines: []string{"done"}}}
	dirty := step("environment@debian", Failed, failing(NewlyFailing, 1), &Verdict{Word: Environment, Tried: []Trial{again, trial("on the image of 2026-11-21", Failed, "image.log")}})
	dirty.Dirty = true
	r.Gone = []string{"old@debian", "older@debian"}
	r.Message = "<b@example.org>"
	r.Steps = []Result{
		step("passed@debian", Passed, &Trend{Was: Passed, Usual: Duration(11 * time.Second)}, nil),
		step("still@debian", Failed, failing(StillFailing, 3), nil),
		blocked,
		step("flaky@debian", Failed, failing(NewlyFailing, 1), &Verdict{Word: Flaky, Tried: []Trial{trial("again, as it was", Passed, "again.log")}}),
		step("dependencies@debian", Failed, failing(NewlyFailing, 1), &Verdict{
			Word:  Dependencies,
			Tried: []Trial{again, trial("on the image of 2026-11-21", Passed, "image.log")},
			Packages: []PackageChange{
				{Manager: "dpkg", Name: "libgmp10", From: "6.2.1", To: "6.3.0"},
				{Manager: "dpkg", Name: "m4", To: "1.4.19"},
				{Manager: "opam", Name: "zarith", From: "1.12"},
			},
		}),
		step("code@debian", Failed, failing(NewlyFailing, 1), &Verdict{
			Word:    Code,
			Tried:   []Trial{again, trial("with the files of 0a1b2c3d4e5f", Passed, "")},
			Commits: []Commit{{ID: "4f8c0d12ab3456789abcdef0123456789abcdef0", Date: launch, Author: "René", Subject: "count: faster"}},
		}),
		dirty,
		step("undecided@debian", Timeout, failing(NewlyFailing, 1), &Verdict{Reason: "diagnose_timeout was over", Tried: []Trial{again}}),
		step("fixed@debian", Passed, &Trend{Change: Fixed, Was: Failed, Since: launch.AddDate(0, 0, -2), Runs: 2, Announced: "<a@example.org>"}, nil),
		step("new@debian", Passed, &Trend{Change: New}, nil),
		step("new-bad@debian", Failed, &Trend{Change: New, Since: launch, Runs: 1}, nil),
		slower,
	}
	return r
}
