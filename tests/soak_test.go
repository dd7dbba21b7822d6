package tests

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"runtests/pkg/history"
	"runtests/pkg/mail/smtptest"
	"runtests/pkg/report"
	"runtests/tests/needs"
)

// soakVariable says for how long TestSoak does its worst; without it the test is not
// run: make soak runs it.
const soakVariable = "SOAKTIME"

// runBound is how long a run of the soak may take, whatever happens to it: three
// steps on a frozen engine one after the other, the patience of the run, and the mail.
const runBound = 4 * time.Minute

// soakMail is what the soaked suite has beside its tests.
const soakMail = `
mail: { server: %q, from: ci@example.org, to: [team@example.org], timeout: 5s, retry_for: 2s }
`

// soak is a suite that all kinds of things happen to.
type soak struct {
	*killedRuns
	engine *privateEngine
	smtpd  *smtptest.Server
	mails  map[string]int // how often each Message-ID has come

	happened map[string]int           // events, by name
	outcomes map[report.Outcome]int   // of all steps
	statuses map[int]int              // exit statuses; -1: killed
	longest  map[string]time.Duration // run, by event
}

// TestSoak lets kills, signals, engine faults and mail faults come at random for
// SOAKTIME, looks after each run at what it left, and at the end at what all left.
func TestSoak(t *testing.T) {
	value := os.Getenv(soakVariable)
	if value == "" {
		needs.Asked(t, t.Name(), "make soak")
	}
	lasts, err := time.ParseDuration(value)
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%s, seed %d", lasts, seed)
	s := newSoak(t, rand.New(rand.NewPCG(seed, 1)))
	for end := time.Now().Add(lasts); time.Now().Before(end) && !t.Failed(); {
		s.once()
	}
	s.conclude()
	t.Logf("runs by what happened to them: %v", s.happened)
	t.Logf("exit statuses (-1: killed): %v", s.statuses)
	t.Logf("outcomes of all steps: %v", s.outcomes)
	t.Logf("the longest runs: %v", s.longest)
	t.Logf("%d runs without a folder, %d without a record, %d that left a container, %d temporary files, %d mails",
		s.noFolder, s.noRecord, s.leftContainers, s.temporary, len(s.mails))
}

func newSoak(t *testing.T, random *rand.Rand) *soak {
	t.Helper()
	s := &soak{
		killedRuns: newKilledSuite(t, random), engine: startEngine(t), mails: map[string]int{},
		happened: map[string]int{}, outcomes: map[report.Outcome]int{}, statuses: map[int]int{}, longest: map[string]time.Duration{},
	}
	s.docker = s.engine.Docker
	s.env = append(s.env, "DOCKER_HOST="+s.engine.Host(), "DOCKER_CLIENT_TIMEOUT=5")
	s.serveMail(smtptest.Options{})
	t.Cleanup(s.collect)
	started := time.Now()
	s.runWhole()
	s.lasts = time.Since(started)
	return s
}

// serveMail replaces the mail server by one with these faults, and writes the suite
// that names it.
func (s *soak) serveMail(o smtptest.Options) {
	s.t.Helper()
	s.collect()
	var err error
	if s.smtpd, err = smtptest.Serve(o); err != nil {
		s.t.Fatal(err)
	}
	text := killedSuite + fmt.Sprintf(soakMail, s.smtpd.URL())
	if err := os.WriteFile(filepath.Join(s.dir, "runtests.yaml"), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// collect counts the mails that the server has taken, and ends it.
func (s *soak) collect() {
	if s.smtpd == nil {
		return
	}
	for _, m := range s.smtpd.Messages() {
		for line := range strings.Lines(string(m.Data)) {
			if id, ok := strings.CutPrefix(line, "Message-ID: "); ok || strings.HasPrefix(line, "Message-Id: ") {
				s.mails[strings.TrimSpace(strings.TrimPrefix(id, "Message-Id: "))]++
				break
			}
		}
	}
	s.smtpd.Close()
	s.smtpd = nil
}

// event is something that happens to a run at a random moment.
type event struct {
	name   string
	killed bool // it ends the run itself
	mail   smtptest.Options
	do     func(s *soak, process *os.Process) error
}

func send(signal syscall.Signal) func(*soak, *os.Process) error {
	return func(_ *soak, p *os.Process) error {
		if err := p.Signal(signal); !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		return nil
	}
}

var events = []event{
	{name: "nothing"},
	{name: "KILL", killed: true, do: send(syscall.SIGKILL)},
	{name: "INT", do: send(syscall.SIGINT)},
	{name: "TERM", do: send(syscall.SIGTERM)},
	{name: "HUP", do: send(syscall.SIGHUP)},
	{name: "engine killed", do: func(s *soak, _ *os.Process) error { return errors.Join(s.engine.Kill(), s.engine.Start()) }},
	{name: "engine stopped", do: func(s *soak, _ *os.Process) error { return errors.Join(s.engine.Stop(), s.engine.Start()) }},
	{name: "engine frozen", do: func(s *soak, _ *os.Process) error {
		err := s.engine.Freeze()
		<-time.After(time.Duration(s.random.Int64N(int64(30 * time.Second))))
		return errors.Join(err, s.engine.Thaw())
	}},
	{name: "engine killed and KILL", killed: true, do: func(s *soak, p *os.Process) error {
		return errors.Join(s.engine.Kill(), send(syscall.SIGKILL)(s, p), s.engine.Start())
	}},
	{name: "mail: closes in data", mail: smtptest.Options{CloseInData: true}},
	{name: "mail: silent", mail: smtptest.Options{Silent: true}},
	{name: "mail: greylisting", mail: smtptest.Options{Greylist: 1}},
	{name: "mail: busy", mail: smtptest.Options{RefuseData: &smtptest.Reply{Code: 451, Message: "come back later"}}},
}

// once lets one run meet with one event.
func (s *soak) once() {
	e := events[s.random.IntN(len(events))]
	s.happened[e.name]++
	s.serveMail(e.mail)
	s.before = s.runs()
	// The lines that say what has finished are on stderr also with --mail.
	cmd, stderr := s.command("--mail", "--verbose")
	start := time.Now()
	ended := started(s.t, cmd)
	if e.do != nil {
		select {
		case <-time.After(time.Duration(s.random.Int64N(int64(s.lasts)))):
		case <-ended:
		}
		if err := e.do(s, cmd.Process); err != nil {
			s.t.Errorf("%s: %v", e.name, err)
		}
	}
	select {
	case <-ended:
	case <-time.After(runBound):
		s.t.Errorf("%s: the run goes on after %s", e.name, runBound)
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		<-ended // at its own limit, if not now
	}
	s.longest[e.name] = max(s.longest[e.name], time.Since(start).Round(time.Second/10))
	s.statuses[cmd.ProcessState.ExitCode()]++
	s.look(s.finished(stderr))
	s.lookAtOutcomes(e, stderr)
}

// soakOutcomes are the outcomes of the suite's steps when nothing happens to them, and
// the bytes they print.
var soakOutcomes = map[string]struct {
	outcome report.Outcome
	bytes   int64
}{
	"one": {report.Passed, 292}, "two": {report.Failed, 4}, "three": {report.Passed, 3893}, "four": {report.Passed, 292}, "five": {report.Passed, 292},
}

// lookAtOutcomes checks that nothing passed that did not, and that nothing is blamed
// on a test that was not its fault.
func (s *soak) lookAtOutcomes(e event, stderr string) {
	run, err := history.Open(filepath.Join(s.dir, "logs"), "")
	if err != nil {
		return // look has told
	}
	for _, step := range run.Steps {
		want := soakOutcomes[step.Test]
		s.outcomes[step.Outcome]++
		switch {
		case step.Outcome == want.outcome:
			if step.Log.Bytes != want.bytes {
				s.t.Errorf("%s: %s %s with %d bytes of output, want %d", e.name, step.Name, step.Outcome, step.Log.Bytes, want.bytes)
			}
		case step.Outcome == report.Passed, step.Outcome == report.Failed, step.Outcome == report.Timeout,
			e.do == nil && !strings.Contains(step.Reason, "no answer within"): // a busy machine makes an engine slow

			said, _ := os.ReadFile(stderr)
			s.t.Errorf("%s: %s %s: %s\n%s", e.name, step.Name, step.Outcome, step.Reason, said)
		}
	}
	if !e.killed && run.Finished.IsZero() && len(s.runs()) > len(s.before) {
		s.t.Errorf("%s: the run %s has no end", e.name, run.ID)
	}
}

// conclude lets a last run find all in order, and looks at what is left.
func (s *soak) conclude() {
	s.serveMail(smtptest.Options{})
	cmd, stderr := s.command("--mail", "--verbose")
	_ = cmd.Run() // one of its steps fails
	if said, err := os.ReadFile(stderr); err != nil || cmd.ProcessState.ExitCode() != 1 {
		s.t.Errorf("the last run: exit status %d, %v\n%s", cmd.ProcessState.ExitCode(), err, said)
	}
	s.runWhole()
	s.collect()
	for id, n := range s.mails {
		if n > 1 {
			s.t.Errorf("the mail %s came %d times", id, n)
		}
	}
	waiting, err := filepath.Glob(filepath.Join(s.dir, "logs", "spool", "*.mail"))
	if err != nil || len(waiting) > 0 {
		s.t.Errorf("still in the spool: %v %v", waiting, err)
	}
}
