package engine

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"runtests/pkg/buildlog"
	"runtests/pkg/container"
	"runtests/pkg/plain"
)

// Build is an image to build.
type Build struct {
	Context    io.Reader // a tar archive; after Build has returned it is no longer read, unless a Read hangs
	Dockerfile string    // its path in Context; empty: Dockerfile
	// Instructions are those of the Dockerfile, in its order; optional. Builders name only the
	// instruction that failed; with these its line is found.
	Instructions []buildlog.Instruction

	Tags     []string             // as REPO:TAG; given to the complete image, and to none if the build fails
	Args     []container.Variable // the values of secret ones are not written to the log
	Target   string               // the stage to build; empty: the last one
	Labels   map[string]string
	Platform string // OS/ARCHITECTURE[/VARIANT]; empty: the engine's
	NoCache  bool
}

// The builders, as Engine.Builder names them.
const (
	BuildKit       = "BuildKit"
	ClassicBuilder = "classic"
	PodmanBuilder  = "Podman"
)

// builderVariable is the environment variable that chooses the builder, as for the docker command.
const builderVariable = "DOCKER_BUILDKIT"

// Builder returns what builds images on this engine: Podman on Podman, otherwise BuildKit
// unless DOCKER_BUILDKIT=0 asks for the classic builder.
func (e *Engine) Builder() string {
	wanted, err := strconv.ParseBool(e.options.Getenv(builderVariable))
	switch {
	case e.info.Name == podman:
		return PodmanBuilder
	case e.info.OS == "windows", err == nil && !wanted:
		return ClassicBuilder
	}
	return BuildKit
}

// Build builds an image and returns its ID. It writes the builder's report to log as it comes,
// a line at a time, in the form of `docker build --progress plain`.
//
// If the Dockerfile fails, the error is a *container.BuildError, and ErrNoSpace too if the disk was full.
// If ctx ends first, the build is stopped on the engine and the error wraps the context's cause;
// Podman still completes the instruction that it executes, after Build has returned. Other
// errors: that of reading Context, ErrGone (the engine), ErrOutput (log). A build may be silent
// for as long as the engine is alive.
//
// No credentials are sent to the builder. Base images that need them have to be pulled first
// (Pull).
func (e *Engine) Build(ctx context.Context, b Build, log io.Writer) (id string, err error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	query, err := b.query()
	if err != nil {
		return "", err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	w := &building{
		engine: e, build: b, builder: e.Builder(), query: query, number: rand.Text(),
		life: life, end: end, source: newSource(b.Context), report: buildlog.New(log, b.secrets()),
	}
	return w.run(ctx)
}

// query returns b as the parameters of the engine's API.
func (b Build) query() (url.Values, error) {
	q := url.Values{"rm": {"1"}, "forcerm": {"1"}} // leave no container of a step
	for _, ref := range b.Tags {
		repository, tag, err := splitTag(ref)
		if err != nil {
			return nil, err
		}
		q.Add("t", repository+":"+tag)
	}
	args := map[string]string{}
	for _, a := range b.Args {
		args[a.Name] = a.Value
	}
	for name, pairs := range map[string]map[string]string{"buildargs": args, "labels": b.Labels} {
		text, err := json.Marshal(pairs)
		if err != nil {
			return nil, fmt.Errorf("encode the %s: %w", name, err)
		}
		if len(pairs) > 0 {
			q.Set(name, string(text))
		}
	}
	for name, value := range map[string]string{"dockerfile": b.Dockerfile, "target": b.Target, "platform": b.Platform} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if b.NoCache {
		q.Set("nocache", "1")
	}
	return q, nil
}

// secrets returns a mask for the values of the secret arguments.
func (b Build) secrets() plain.Mask {
	var secrets []string
	for _, a := range b.Args {
		if a.Secret {
			secrets = append(secrets, a.Value)
		}
	}
	return plain.NewMask(secrets)
}

// building is one call of Build.
type building struct {
	engine  *Engine
	build   Build
	builder string
	query   url.Values
	number  string // the build's ID on the engine, to cancel it

	life   context.Context // ends when Build returns, not when its caller's context does
	end    context.CancelFunc
	source *source
	report *buildlog.Report
	read   atomic.Int64 // bytes of the report
}

func (w *building) run(ctx context.Context) (string, error) {
	ended := make(chan error, 1)
	go func() { ended <- w.transmit() }()
	watching, stopWatching := context.WithCancel(w.life)
	defer stopWatching()
	select {
	case err := <-ended:
		return w.conclude(err)
	case silence := <-w.engine.watch(watching, "the image was being built", w.read.Load):
		w.hangUp()
		<-ended //nolint:errcheck // silence is the cause
		_ = w.source.end()
		return "", silence
	case <-ctx.Done():
		err := w.stop(ended)
		_ = w.source.end()
		return "", errors.Join(context.Cause(ctx), err)
	}
}

// transmit sends the build to the engine, and reads the report to its end.
func (w *building) transmit() error {
	if w.builder == BuildKit {
		w.query.Set("version", "2")
		w.query.Set("buildid", w.number)
	}
	response, err := w.engine.call(w.life, http.MethodPost, "/build?"+w.query.Encode(), w.source)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return explain(w.life, w.report.Read(&tap{response.Body, func(n int) { w.read.Add(int64(n)) }}))
}

// stop ends the build on the engine, and waits for its end.
func (w *building) stop(ended chan error) error {
	err := w.cancel(ended)
	w.hangUp() // this is what stops the classic builder and Podman
	<-ended    //nolint:errcheck // it was stopped
	return errors.Join(err, w.awaitStep())
}

// hangUp closes the connection. It closes the build context first, because the client's
// transport does not return while it reads from that.
func (w *building) hangUp() {
	w.source.CloseWithError(errNotWanted)
	w.end()
}

// cancel asks BuildKit to cancel the build, and waits for the end of its report, with which the
// build has ended. A build whose context was not sent completely has not begun.
func (w *building) cancel(ended chan error) error {
	if w.builder != BuildKit || !w.source.sent() {
		return nil
	}
	bound := w.engine.options.CallTimeout
	ctx, cancel := within(w.life, bound)
	defer cancel()
	response, err := w.engine.call(ctx, http.MethodPost, "/build/cancel?id="+w.number, nil)
	if err != nil {
		return fmt.Errorf("stop the build: %w", err)
	}
	response.Body.Close()
	select {
	case err := <-ended:
		ended <- err
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the build: %w", context.Cause(ctx))
	}
}

// awaitStep waits for the end of the container in which the classic builder executed an
// instruction of a stopped build. The builder ends that container itself. We must not remove
// it, because a build can print any container's ID.
func (w *building) awaitStep() error {
	if w.report.Running == "" || w.builder != ClassicBuilder {
		return nil
	}
	life := context.WithoutCancel(w.life)
	stopped, err := w.engine.ended(life, w.report.Running, w.engine.options.CallTimeout)
	switch {
	case err != nil:
		return fmt.Errorf("stop the build: %w", err)
	case !stopped:
		return fmt.Errorf("stop the build: %w: its container %s", container.ErrStillThere, w.report.Running)
	}
	return nil
}

// conclude returns the result of a build whose transmission ended with err.
func (w *building) conclude(err error) (string, error) {
	report := w.report
	if message := refusalOf(err); message != "" {
		report.Failure, err = message, nil
	}
	errLog := report.End()
	if report.ImageID != "" && report.Failure == "" {
		w.source.finish()
	}
	w.hangUp()
	errSource := w.source.end()
	switch {
	case errSource != nil:
		return "", fmt.Errorf("send the build context: %w", errSource)
	case report.Canceled():
		return "", fmt.Errorf("%w: it canceled the build", container.ErrGone) // we did not
	case report.Failure != "":
		return "", w.fault()
	case err != nil:
		return "", err
	case report.ImageID == "":
		return "", fmt.Errorf("%w: its report of the build ends early", container.ErrGone)
	case errLog != nil:
		return imageID(report.ImageID), fmt.Errorf("%w: %w", container.ErrOutput, errLog)
	}
	return imageID(report.ImageID), nil
}

// fault returns the failure that the engine reported. When an engine is shut down it kills the
// instruction of the classic builder and reports that as its failure; then fault returns ErrGone.
func (w *building) fault() error {
	err := w.report.Fault(w.build.Instructions)
	var failed *container.BuildError
	if errors.As(err, &failed) && failed.Code > signalled {
		if gone := w.engine.Ping(context.WithoutCancel(w.life)); gone != nil {
			return gone
		}
	}
	return err
}

// signalled is added by a shell to the number of the signal that ended a command.
const signalled = 128

// source feeds a reader to the engine. A goroutine of its own reads it, so that a Read that
// hangs does not delay the end of a build.
type source struct {
	*io.PipeReader
	done chan struct{} // closed when the reader is no longer read
	err  error         // of reading it; set when done is closed
}

func newSource(r io.Reader) *source {
	reader, writer := io.Pipe()
	s := &source{PipeReader: reader, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		from := &recorder{r: r}
		_, err := io.Copy(writer, from)
		s.err = from.err
		writer.CloseWithError(err)
	}()
	return s
}

// recorder records the error of a reader.
type recorder struct {
	r   io.Reader
	err error
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// lastRead is how long the end of a source waits for a Read in progress.
const lastRead = 5 * time.Second

// sent reports whether nothing is left to be read.
func (s *source) sent() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// finish waits until the reader of a successful build is at its end. The engine may not read
// all of the zeros after the last file.
func (s *source) finish() {
	select {
	case <-s.done:
	case <-time.After(lastRead):
	}
}

// end stops the reading, and returns its error.
func (s *source) end() error {
	s.CloseWithError(errNotWanted)
	select {
	case <-s.done:
		return s.err
	case <-time.After(lastRead):
		return nil
	}
}
