package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// Image looks at an image by reference or ID (ErrNoImage).
func (e *Engine) Image(ctx context.Context, ref string) (container.Image, error) {
	if err := checkReference(ref); err != nil {
		return container.Image{}, err
	}
	ctx, cancel := within(ctx, e.options.CallTimeout)
	defer cancel()
	found, err := e.client(ctx).InspectImage(ref)
	if err = explain(ctx, err); errors.Is(err, container.ErrNoImage) {
		return container.Image{}, fmt.Errorf("%w: %q", container.ErrNoImage, ref)
	}
	if err != nil {
		return container.Image{}, fmt.Errorf("look at the image %q: %w", ref, err)
	}
	image := container.Image{
		ID: imageID(found.ID), Created: found.Created, Size: found.Size, OS: found.OS, Arch: found.Architecture, Tags: realTags(found.RepoTags),
	}
	if found.Config != nil {
		image.Labels = found.Config.Labels
	}
	if found.RootFS != nil {
		image.Layers = found.RootFS.Layers
	}
	return image, nil
}

// imageID is an image's ID as Docker writes it; some of Podman's answers have it without its
// algorithm.
func imageID(id string) string {
	if id == "" || strings.Contains(id, ":") {
		return id
	}
	return "sha256:" + id
}

// checkReference refuses what no image can be called; the engine would take some of it
// for another request.
func checkReference(ref string) error {
	if _, err := reference.ParseAnyReference(ref); err != nil {
		return fmt.Errorf("read the image name %q: %w", ref, err)
	}
	return nil
}

// Pull gets an image from its registry; no tag means latest. It uses the credentials that
// `docker login` left, and writes a line to progress for each thing that the engine tells
// (nil: none). It is bounded by ctx, and by the time in which nothing happens
// (Options.StallTimeout).
func (e *Engine) Pull(ctx context.Context, ref, platform string, progress io.Writer) error {
	if err := e.pull(ctx, ref, platform, progress); err != nil {
		return fmt.Errorf("pull the image %q: %w", ref, err)
	}
	return nil
}

func (e *Engine) pull(ctx context.Context, ref, platform string, progress io.Writer) error {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return err
	}
	credentials, err := e.options.credentials(ctx, reference.Domain(named))
	if err != nil {
		return err
	}
	if progress == nil {
		progress = io.Discard
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := e.options.StallTimeout
	stalled := time.AfterFunc(stall, func() { cancel(&lateError{stall}) })
	defer stalled.Stop()
	report := &pullReport{progress: progress}
	err = e.client(ctx).PullImage(docker.PullImageOptions{
		Repository: named.Name(), Tag: tagOf(named), Platform: platform,
		OutputStream: &pacer{report, stalled, stall}, RawJSONStream: true, Context: ctx,
	}, credentials)
	switch {
	case report.failure != "":
		return pullFault(named, report.failure)
	case err == nil:
		return nil
	}
	if _, message, ok := refusal(err); ok {
		return pullFault(named, message)
	}
	return explain(ctx, err)
}

// tagOf is the tag or the digest of an image; the engine would pull all tags of one
// without.
func tagOf(named reference.Named) string {
	switch r := reference.TagNameOnly(named).(type) {
	case reference.Digested:
		return r.Digest().String()
	case reference.Tagged:
		return r.Tag()
	}
	return "latest"
}

// pullFault is what a registry or an engine says when it gives no image.
func pullFault(named reference.Named, message string) error {
	err := errors.New(message)
	for _, sign := range []string{"unauthorized", "authentication required", "no basic auth credentials", "access denied", "denied:"} {
		if containsFold(message, sign) {
			return hint.Wrap(err, fmt.Sprintf("`docker login %s` as this user, and see the spelling of the name", reference.Domain(named)))
		}
	}
	for _, sign := range []string{"manifest unknown", "not found"} {
		if containsFold(message, sign) {
			return hint.Wrap(err, "see the spelling of the name and the tag")
		}
	}
	return err
}

// pullReport reads the engine's report of a pull, one JSON value after the other.
type pullReport struct {
	progress io.Writer
	rest     []byte // the beginning of a value
	failure  string
}

// maxReportLine bounds one value of the report; real ones have a few hundred bytes.
const maxReportLine = 1 << 20

func (r *pullReport) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	for {
		line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
		if !ok {
			if len(r.rest) > maxReportLine {
				return 0, errors.New("the engine's report is not in its format")
			}
			return len(p), nil
		}
		r.rest = rest
		if err := r.line(bytes.TrimSpace(line)); err != nil {
			return 0, err
		}
	}
}

func (r *pullReport) line(line []byte) error {
	if len(line) == 0 {
		return nil
	}
	var message struct {
		ID, Status, Error, Stream string
		ErrorDetail               struct{ Message string }
		ProgressDetail            struct{ Total int64 }
	}
	if err := json.Unmarshal(line, &message); err != nil {
		return fmt.Errorf("read the engine's report: %w", err)
	}
	if failure := message.ErrorDetail.Message + message.Error; failure != "" {
		r.failure = message.Error
		if message.Error == "" {
			r.failure = message.ErrorDetail.Message
		}
		return nil
	}
	text := strings.TrimSpace(message.Status + message.Stream)
	if text == "" || message.ProgressDetail.Total > 0 { // how far a layer is: many a second
		return nil
	}
	if message.ID != "" {
		text = message.ID + ": " + text
	}
	_, err := fmt.Fprintln(r.progress, text)
	return err
}

// credentials are those for a registry that the docker client's configuration has, in
// itself or in the helper it names.
func (o Options) credentials(ctx context.Context, registry string) (docker.AuthConfiguration, error) {
	none := docker.AuthConfiguration{}
	file, err := config.Load(o.configDir())
	if err != nil {
		return none, fmt.Errorf("read the configuration of the docker client: %w", err)
	}
	if registry == "docker.io" {
		registry = "https://index.docker.io/v1/" // the name under which `docker login` keeps it
	}
	ctx, cancel := within(ctx, o.CallTimeout)
	defer cancel()
	type answer struct {
		auth types.AuthConfig
		err  error
	}
	answered := make(chan answer, 1)
	go func() { // a helper is a program, which may wait for somebody to unlock something
		auth, err := file.GetAuthConfig(registry)
		answered <- answer{auth, err}
	}()
	select {
	case a := <-answered:
		if a.err != nil {
			return none, fmt.Errorf("ask for the credentials for %s: %w", registry, a.err)
		}
		return docker.AuthConfiguration{
			Username: a.auth.Username, Password: a.auth.Password, ServerAddress: a.auth.ServerAddress,
			IdentityToken: a.auth.IdentityToken, RegistryToken: a.auth.RegistryToken,
		}, nil
	case <-ctx.Done():
		return none, fmt.Errorf("ask for the credentials for %s: %w", registry, context.Cause(ctx))
	}
}
