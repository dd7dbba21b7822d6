package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"

	"runtests/pkg/container"
	"runtests/pkg/deploy"
	"runtests/pkg/engine"
	"runtests/pkg/hint"
	"runtests/pkg/images"
	"runtests/pkg/pipeline"
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
	found.engine(ctx, s)
	found.tests(s)
	found.deployments(ctx, s)
	if s.Mail != nil {
		found.mail(ctx, s, c.SendTestMail)
	}
	if s.Ping != "" {
		found.fact("ping", "%s is told of each run", s.PingHost())
	}
	if found.problems > 0 {
		return exitStatus(exitNothingRun)
	}
	return nil
}

// findings prints what a check finds, as it finds it.
type findings struct {
	*world
	problems int
}

// fact prints a line that begins with what it is about.
func (f *findings) fact(about, format string, args ...any) {
	fmt.Fprintf(f.stdout, "%-8s %s\n", about, cleanLines(f.mask.String(fmt.Sprintf(format, args...))))
}

// problem prints what is wrong, with its remedy.
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
	f.fact("engine", "%s %s at %s (API %s)", info.Name, info.Version, info.Host, info.API)
	f.settings(ctx, e, s)
	for _, image := range f.chain(s, pipeline.OnEngine(ctx, e)) {
		f.built(ctx, e, image)
	}
	seen := map[string]bool{}
	for _, name := range s.Built() {
		seen[name] = true
	}
	for _, step := range s.Steps {
		if !seen[step.Image] {
			seen[step.Image] = true
			f.image(ctx, e, step)
		}
	}
}

// settings finds the settings of the suite's steps that the engine cannot honour.
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

// chain reads the Dockerfiles, and tells all that is wrong with them.
func (f *findings) chain(s *suite.Suite, onEngine func(string) bool) []images.Image {
	chain, err := images.Plan(s.Images, s.Built(), onEngine)
	var faults images.Faults
	if errors.As(err, &faults) {
		for _, fault := range faults {
			f.problem("image", fault)
		}
		return nil
	}
	return chain.Images
}

// built looks for an image that the suite builds.
func (f *findings) built(ctx context.Context, e *engine.Engine, image images.Image) {
	found, err := e.Image(ctx, image.Reference)
	switch {
	case err == nil:
		f.fact("image", "%s: %s, %s, built from %s on %s", image.Name, shortID(found.ID), units.HumanSize(float64(found.Size)),
			image.Build.Context, found.Created.Local().Format(time.DateTime))
	case errors.Is(err, container.ErrNoImage):
		f.fact("image", "%s: not built yet, the run builds it from %s", image.Name, image.Build.Context)
	default:
		f.problem("image", err)
	}
}

// image looks for an image. One that the run would pull may be missing.
func (f *findings) image(ctx context.Context, e *engine.Engine, step suite.Step) {
	ref := step.Container.Image
	image, err := e.Image(ctx, ref)
	switch {
	case err == nil:
		f.fact("image", "%s: %s, %s", ref, shortID(image.ID), units.HumanSize(float64(image.Size)))
	case errors.Is(err, container.ErrNoImage) && step.PullPolicy != suite.PullNever:
		f.fact("image", "%s: not here, the run pulls it", ref)
	default:
		f.problem("image", err)
	}
}

// shortID is an image's ID as the docker command shows it.
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
		if err := checkTest(step); err != nil {
			f.problem("test", fmt.Errorf("%s: %w", step.Test, err))
			continue
		}
		good++
	}
	f.fact("tests", "%d of %d in order, %d steps", good, len(seen), len(s.Steps))
}

// deployments reaches production, and sees that a promotion could take place.
func (f *findings) deployments(ctx context.Context, s *suite.Suite) {
	here, err := hereFor(ctx, s.Deployments)
	if err != nil {
		return // it was said of the engine
	}
	for _, one := range s.Deployments {
		if err := one.CheckFiles(); err != nil {
			f.problem("deploy", fmt.Errorf("%s: %w", one.Name, err))
		}
		site, err := deploy.Open(ctx, one, deploy.Options{Here: here})
		if err != nil {
			f.problem("deploy", fmt.Errorf("%s: %w", one.Name, err))
			continue
		}
		f.fact("deploy", "%s: %s can be deployed to, from %s", one.Name, site.Host(), one.From)
		_ = site.Close() // it was only asked
	}
}

func checkTest(step suite.Step) error {
	if !step.Script {
		return nil
	}
	return step.CheckScript()
}

// mail talks to the mail server up to where a message would follow, and on when
// one is to be sent.
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
	for _, one := range waiting {
		if one.Err != nil {
			f.problem("spool", fmt.Errorf("read %s: %w", one.Path, one.Err))
			continue
		}
		f.fact("spool", "the report of %s waits: %s", one.Date.Local().Format(time.DateTime), one.Subject)
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
	f.fact("mail", "the server took the test mail for %s", strings.Join(delivery.Accepted, ", "))
}
