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

// Image returns the image with that reference or ID (ErrNoImage).
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
		return container.Image{}, fmt.Errorf("inspect the image %q: %w", ref, err)
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

// imageID returns an image's ID in Docker's form. Some answers of Podman omit the algorithm.
func imageID(id string) string {
	if id == "" || strings.Contains(id, ":") {
		return id
	}
	return "sha256:" + id
}

// checkReference returns an error if ref cannot name an image. In the path of a request it could
// mean another request.
func checkReference(ref string) error {
	if _, err := reference.ParseAnyReference(ref); err != nil {
		return fmt.Errorf("read the image name %q: %w", ref, err)
	}
	return nil
}

// Pull pulls an image from its registry; no tag means latest. It uses the credentials of `docker
// login`, and writes the engine's messages to progress, a line each, unless it is nil. It is
// bounded by ctx, and gives up when nothing happens for Options.StallTimeout.
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

// tagOf returns the tag or the digest of an image, by default latest: without either, the engine
// would pull all tags.
func tagOf(named reference.Named) string {
	switch r := reference.TagNameOnly(named).(type) {
	case reference.Digested:
		return r.Digest().String()
	case reference.Tagged:
		return r.Tag()
	}
	return "latest"
}

// pullFault returns the error of a registry or an engine, with a remedy if there is one.
func pullFault(named reference.Named, message string) error {
	err := errors.New(message)
	for _, sign := range []string{"unauthorized", "authentication required", "no basic auth credentials", "access denied", "denied:"} {
		if containsFold(message, sign) {
			return hint.Wrap(err, fmt.Sprintf("`docker login %s` as this user, and check the spelling of the name", reference.Domain(named)))
		}
	}
	for _, sign := range []string{"manifest unknown", "not found"} {
		if containsFold(message, sign) {
			return hint.Wrap(err, "check the spelling of the name and the tag")
		}
	}
	return err
}

// pullReport reads the engine's report of a pull, a sequence of JSON values.
type pullReport struct {
	progress io.Writer
	rest     []byte // the beginning of a value, which is not complete
	failure  string
}

// maxReportLine bounds a value of the report, in bytes; real ones have a few hundred.
const maxReportLine = 1 << 20

func (r *pullReport) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	for {
		line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
		if !ok {
			if len(r.rest) > maxReportLine {
				return 0, errors.New("the engine's report is malformed")
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
	if text == "" || message.ProgressDetail.Total > 0 { // the progress of a layer: many a second
		return nil
	}
	if message.ID != "" {
		text = message.ID + ": " + text
	}
	_, err := fmt.Fprintln(r.progress, text)
	return err
}

// credentials returns the credentials for a registry from the docker client's configuration, or
// from the helper that it names.
func (o Options) credentials(ctx context.Context, registry string) (docker.AuthConfiguration, error) {
	none := docker.AuthConfiguration{}
	file, err := config.Load(o.configDir())
	if err != nil {
		return none, fmt.Errorf("read the configuration of the docker client: %w", err)
	}
	if registry == "docker.io" {
		registry = "https://index.docker.io/v1/" // the key that `docker login` uses
	}
	ctx, cancel := within(ctx, o.CallTimeout)
	defer cancel()
	type answer struct {
		auth types.AuthConfig
		err  error
	}
	answered := make(chan answer, 1)
	go func() { // a helper is a program, and may wait for a person
		auth, err := file.GetAuthConfig(registry)
		answered <- answer{auth, err}
	}()
	select {
	case a := <-answered:
		if a.err != nil {
			return none, fmt.Errorf("get the credentials for %s: %w", registry, a.err)
		}
		return docker.AuthConfiguration{
			Username: a.auth.Username, Password: a.auth.Password, ServerAddress: a.auth.ServerAddress,
			IdentityToken: a.auth.IdentityToken, RegistryToken: a.auth.RegistryToken,
		}, nil
	case <-ctx.Done():
		return none, fmt.Errorf("get the credentials for %s: %w", registry, context.Cause(ctx))
	}
}
