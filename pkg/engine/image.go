package engine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/jsonmessage"
	"runtests/pkg/plain"
)

// Image returns the image with that reference or ID (ErrNoImage).
func (e *Engine) Image(ctx context.Context, ref string) (container.Image, error) {
	if err := checkReference(ref); err != nil {
		return container.Image{}, err
	}
	i, err := e.inspectImage(ctx, ref)
	if errors.Is(err, container.ErrNoImage) {
		return container.Image{}, fmt.Errorf("%w: %q", container.ErrNoImage, ref)
	}
	var defaults struct{ Labels map[string]string }
	if err == nil && len(i.Config) > 0 {
		err = json.Unmarshal(i.Config, &defaults)
	}
	if err != nil {
		return container.Image{}, fmt.Errorf("inspect the image %q: %w", ref, err)
	}
	return container.Image{
		ID: imageID(i.ID), Created: i.Created, Size: i.Size, OS: i.Os, Arch: i.Architecture, Tags: realTags(i.RepoTags),
		Labels: defaults.Labels, Layers: i.RootFS.Layers,
	}, nil
}

// inspected is an image as the engine describes it. The library's type lacks some of the fields.
type inspected struct {
	ID                        string `json:"Id"`
	RepoTags                  []string
	Created                   time.Time
	Os, Architecture, Variant string
	Size                      int64
	Config                    json.RawMessage
	RootFS                    struct{ Layers []string }
}

// inspectImage returns the image with that reference or ID, which checkReference accepts (ErrNoImage).
func (e *Engine) inspectImage(ctx context.Context, ref string) (found inspected, err error) {
	if err = e.get(ctx, "/images/"+ref+"/json", &found); refusedWith(err, http.StatusNotFound) {
		err = container.ErrNoImage
	}
	return found, err
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
	ctx, progressed, end := e.untilStalled(ctx)
	defer end()
	query := url.Values{"fromImage": {named.Name()}, "tag": {tagOf(named)}}
	if platform != "" {
		query.Set("platform", platform)
	}
	request, err := e.newRequest(ctx, http.MethodPost, "/images/create?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	if credentials != "" {
		request.Header.Set("X-Registry-Auth", credentials)
	}
	response, err := e.send(request)
	if message := refusalOf(err); message != "" {
		return pullFault(named, message)
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	failure, err := copyProgress(progress, &tap{response.Body, progressed})
	if failure != "" {
		return pullFault(named, failure)
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
	err := errors.New(plain.Message(message))
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

// copyProgress writes the messages of a pull to progress, a line each, unless it is nil. failure is
// why the pull failed.
func copyProgress(progress io.Writer, stream io.Reader) (failure string, err error) {
	for m, err := range jsonmessage.All(stream) {
		if err != nil || m.Failure() != "" {
			return m.Failure(), err
		}
		text := strings.TrimSpace(m.Status + m.Stream)
		if text == "" || m.ProgressDetail.Total > 0 || progress == nil { // the progress of a layer: many a second
			continue
		}
		if m.ID != "" {
			text = m.ID + ": " + text
		}
		if _, err := fmt.Fprintln(progress, text); err != nil {
			return "", err
		}
	}
	return "", nil
}

// credentials returns the credentials for a registry in the form of the API, from the docker client's
// configuration or from the helper that it names; empty: there are none.
func (o Options) credentials(ctx context.Context, registry string) (string, error) {
	file, err := config.Load(o.configDir())
	if err != nil {
		return "", fmt.Errorf("read the configuration of the docker client: %w", err)
	}
	if registry == "docker.io" {
		registry = "https://index.docker.io/v1/" // the key that `docker login` uses
	}
	ctx, cancel := within(ctx, o.CallTimeout)
	defer cancel()
	var auth types.AuthConfig
	answered := make(chan error, 1)
	go func() { // a helper is a program, and may wait for a person
		var err error
		auth, err = file.GetAuthConfig(registry)
		answered <- err
	}()
	select {
	case err = <-answered:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("get the credentials for %s: %w", registry, err)
	}
	if auth == (types.AuthConfig{}) {
		return "", nil
	}
	text, err := json.Marshal(auth)
	return base64.URLEncoding.EncodeToString(text), err
}
