package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/deploy"
	"runtests/pkg/engine"
	"runtests/pkg/hint"
	"runtests/pkg/images"
	"runtests/pkg/pipeline"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
)

type checkCommand struct {
	SendTestMail bool `help:"Send a mail to the suite's recipients."`
}

// Run implements the command.
func (c *checkCommand) Run(ctx context.Context, w *world) error {
	s, err := w.loadSuite(suite.Overrides{})
	if err != nil {
		return err
	}
	if c.SendTestMail && s.Mail == nil {
		return errors.New("--send-test-mail needs a mail section in the suite file")
	}
	found := &findings{world: w}
	found.fact("suite", "%s: %s", s.Name, s.File)
	if s.Trusted {
		found.fact("trusted", "true: the tests may rewrite what runs them, so whoever can change a test can do what runtests can")
	}
	found.engine(ctx, s)
	found.tests(s)
	found.deployments(ctx, s)
	if s.Mail != nil {
		found.mail(ctx, s, c.SendTestMail)
	}
	if s.Ping != "" {
		found.fact("ping", "%s is notified of each run", s.PingHost())
	}
	if found.problems > 0 {
		return exitStatus(exitNothingRun)
	}
	return nil
}

// findings prints what a check finds, and counts the problems.
type findings struct {
	*world
	problems int
}

// fact prints a line, which begins with what it is about.
func (f *findings) fact(about, format string, args ...any) {
	fmt.Fprintf(f.stdout, "%-8s %s\n", about, f.mask.Lines(fmt.Sprintf(format, args...)))
}

// problem prints what is wrong and its remedy.
func (f *findings) problem(about string, err error) {
	f.problems++
	f.fact(about, "WRONG: %v", err)
	if remedy := hint.Of(err); remedy != "" {
		f.fact("", "hint: %s", remedy)
	}
}

func (f *findings) engine(ctx context.Context, s *suite.Suite) {
	e, err := engine.Connect(ctx, engine.Options{})
	if err != nil {
		f.problem("engine", err)
		f.chain(s, nil)
		return
	}
	defer e.Close()
	info := e.Info()
	apart, err := e.UserNamespace(ctx)
	users := ""
	if apart {
		users = ", containers in a user namespace: their root is not the machine's"
	}
	f.fact("engine", "%s %s at %s (API %s)%s", info.Name, info.Version, info.Host, info.API, users)
	if err == nil && !apart {
		f.rights(s)
	}
	f.settings(ctx, e, s) // reports err, too, if it matters
	for _, image := range f.chain(s, pipeline.OnEngine(ctx, e)) {
		f.built(ctx, e, image)
	}
	seen := s.Built()
	for _, step := range s.Steps {
		if !slices.Contains(seen, step.Image) {
			seen = append(seen, step.Image)
			f.image(ctx, e, step)
		}
	}
}

// rights says what mount: rw means on an engine whose root is the machine's.
func (f *findings) rights(s *suite.Suite) {
	var tests []string
	for _, step := range s.Steps {
		if step.Mount == suite.ReadWrite && step.MayBeRoot() && !slices.Contains(tests, step.Test) {
			tests = append(tests, step.Test)
		}
	}
	if len(tests) > 0 && !s.Trusted {
		f.fact("note", "tests that may run as root on the files of their directories (mount: rw): %d; for code that you do not trust write mount: copy, or user: owner", len(tests))
	}
}

// settings reports the settings of the suite's steps that the engine cannot honour.
func (f *findings) settings(ctx context.Context, e *engine.Engine, s *suite.Suite) {
	ignored, err := runner.CheckSteps(ctx, e, s.Steps)
	for _, setting := range ignored {
		f.fact("engine", "%s", setting.Note())
	}
	var refused runner.UnsupportedError
	switch {
	case errors.As(err, &refused):
		for _, u := range refused {
			f.problem("engine", u)
		}
	case err != nil:
		f.problem("engine", err)
	}
}

// chain reads the Dockerfiles, and reports all that is wrong with them.
func (f *findings) chain(s *suite.Suite, onEngine func(string) bool) []images.Image {
	chain, err := images.Plan(s.Images, s.Built(), onEngine)
	var faults images.Faults
	if errors.As(err, &faults) {
		for _, fault := range faults {
			f.problem("image", fault)
		}
		return nil
	}
	return chain
}

// built reports whether an image that the suite builds is there.
func (f *findings) built(ctx context.Context, e *engine.Engine, image images.Image) {
	found, err := e.Image(ctx, image.Reference)
	switch {
	case err == nil:
		f.fact("image", "%s: %s, %s, built from %s on %s", image.Name, shortID(found.ID), report.Size(found.Size),
			image.Build.Context, found.Created.Local().Format(time.DateTime))
	case errors.Is(err, container.ErrNoImage):
		f.fact("image", "%s: not built yet, the run builds it from %s", image.Name, image.Build.Context)
	default:
		f.problem("image", err)
	}
}

// image reports whether the image of a step is there. If the run would pull it, it may be missing.
func (f *findings) image(ctx context.Context, e *engine.Engine, step suite.Step) {
	ref := step.Container.Image
	image, err := e.Image(ctx, ref)
	switch {
	case err == nil:
		f.fact("image", "%s: %s, %s", ref, shortID(image.ID), report.Size(image.Size))
	case errors.Is(err, container.ErrNoImage) && step.PullPolicy != suite.PullNever:
		f.fact("image", "%s: not here, the run pulls it", ref)
	default:
		f.problem("image", err)
	}
}

// shortID returns the ID of an image as the docker command shows it.
func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

func (f *findings) tests(s *suite.Suite) {
	good, seen := 0, map[string]bool{}
	for _, step := range s.Steps {
		if seen[step.Test] {
			continue
		}
		seen[step.Test] = true
		if step.Script {
			if err := step.CheckScript(); err != nil {
				f.problem("test", fmt.Errorf("%s: %w", step.Test, err))
				continue
			}
		}
		good++
	}
	f.fact("tests", "%d of %d in order, %d steps", good, len(seen), len(s.Steps))
}

// deployments reaches production, and checks that a promotion could take place.
func (f *findings) deployments(ctx context.Context, s *suite.Suite) {
	here, err := hereFor(ctx, s.Deployments)
	if err != nil {
		return // the engine has been reported
	}
	for _, d := range s.Deployments {
		if err := d.CheckFiles(); err != nil {
			f.problem("deploy", fmt.Errorf("%s: %w", d.Name, err))
		}
		site, err := deploy.Open(ctx, d, deploy.Options{Here: here})
		if err != nil {
			f.problem("deploy", fmt.Errorf("%s: %w", d.Name, err))
			continue
		}
		f.fact("deploy", "%s: %s can be deployed to, from %s", d.Name, site.Host(), d.From)
		_ = site.Close() // nothing was written through it
	}
}

// mail talks to the mail server up to the point where a message would follow, lists the spool and,
// if send is true, sends a test mail.
func (f *findings) mail(ctx context.Context, s *suite.Suite, send bool) {
	m, err := pipeline.NewMailer(s)
	if err != nil {
		f.problem("mail", err)
		return
	}
	facts, err := m.Server.Check(ctx)
	if err != nil {
		f.problem("mail", err)
	} else {
		f.fact("mail", "%s", strings.Join(facts.Describe(time.Now()), "; "))
	}
	waiting, err := m.Spool.List()
	if err != nil {
		f.problem("spool", err)
	}
	for _, mail := range waiting {
		if mail.Err != nil {
			f.problem("spool", fmt.Errorf("read %s: %w", mail.Path, mail.Err))
			continue
		}
		f.fact("spool", "the report of %s waits: %s", mail.Date.Local().Format(time.DateTime), mail.Subject)
	}
	if send {
		f.testMail(ctx, m, s)
	}
}

func (f *findings) testMail(ctx context.Context, m *pipeline.Mailer, s *suite.Suite) {
	envelope, err := m.TestMessage(s, time.Now())
	if err != nil {
		f.problem("mail", err)
		return
	}
	delivery, err := m.Server.Send(ctx, envelope)
	if err != nil {
		f.problem("mail", err)
		return
	}
	for _, refused := range delivery.Refused {
		f.problem("mail", fmt.Errorf("test mail to %s: %w", refused.Address, refused.Err))
	}
	f.fact("mail", "the server accepted the test mail for %s", strings.Join(delivery.Accepted, ", "))
}
