// Package deploy promotes the container of a test that passed to production: to an image
// on the production machine's engine, and to the container that runs there, with its files.
//
// What is promoted replaces what runs only when it has been seen to work; otherwise what
// ran before is back, with its files. That holds also when this program is killed in the
// midst of it, or the connection breaks: the exchange is carried out by a script on the
// production machine (swap.sh), and one that was cut off there is mended by the next
// promotion. Nothing without our labels is ever touched.
package deploy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/pkg/suite"
	"runtests/pkg/transfer"
)

// The labels of images and containers in production.
const (
	LabelName      = "runtests.deploy"           // the deployment
	LabelRun       = "runtests.deploy.run"       // the ID of the run that tested it
	LabelSuite     = "runtests.deploy.suite"     // the suite
	LabelStep      = "runtests.deploy.step"      // the test that passed
	LabelImage     = "runtests.deploy.image"     // the ID of the image that it was tested on
	LabelCommit    = "runtests.deploy.commit"    // the git commit of the test's directory
	LabelMachine   = "runtests.deploy.machine"   // the machine that tested it
	LabelContainer = "runtests.deploy.container" // the ID of the container that passed
	LabelTime      = "runtests.deploy.time"      // when it was brought there, RFC 3339
	labelRelease   = "runtests.deploy.release"   // of containers: the tag of its image
	labelPorts     = "runtests.deploy.ports"     // of containers: CONTAINER/PROTOCOL=HOST, …
	labelCheck     = "runtests.deploy.check"     // of containers: the URL of its health check
	// of containers: the command of its health check, quoted for a shell
	labelCheckCommand = "runtests.deploy.check.command"
)

// Repository is that of a deployment's images.
func Repository(name string) string { return "runtests-deploy/" + name }

// KeptName is the name that the container of a step of a suite is kept by, to be promoted.
func KeptName(suite, step string) string {
	return "passed-" + strings.Map(func(c rune) rune {
		if c < 0x80 && (c == '-' || c == '_' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return c
		}
		return '_'
	}, suite+"-"+step)
}

// Release is an image in production, or on its way there.
type Release struct {
	Tag       string // of its image: the ID of the run, and .2, .3 when that was promoted again
	Run       string
	Suite     string
	Step      string
	Image     string // the ID of the image that it was tested on
	Commit    string // empty: the test's directory is not in a git repository
	Machine   string
	Container string // the ID of the container that passed
	Time      time.Time

	imageID string // there
}

func (r Release) labels(deployment string) map[string]string {
	labels := map[string]string{
		LabelName: deployment, LabelRun: r.Run, LabelSuite: r.Suite, LabelStep: r.Step, LabelImage: r.Image, LabelCommit: r.Commit,
		LabelMachine: r.Machine, LabelContainer: r.Container, LabelTime: r.Time.UTC().Format(time.RFC3339),
	}
	if r.Commit == "" {
		delete(labels, LabelCommit)
	}
	return labels
}

// releaseOf reads the labels of an image or a container.
func releaseOf(labels map[string]string, tag string) Release {
	at, _ := time.Parse(time.RFC3339, labels[LabelTime]) // zero, the oldest, when it is not ours to read
	return Release{
		Tag: tag, Run: labels[LabelRun], Suite: labels[LabelSuite], Step: labels[LabelStep], Image: labels[LabelImage],
		Commit: labels[LabelCommit], Machine: labels[LabelMachine], Container: labels[LabelContainer], Time: at,
	}
}

// String tells a person which one it is.
func (r Release) String() string {
	text := r.Step + " of run " + r.Run
	if r.Commit != "" {
		text += ", commit " + r.Commit[:min(12, len(r.Commit))]
	}
	return text
}

// newer orders releases: by the time at which their images came there, then by their tags' numbers.
func newer(a, b Release) int {
	if c := b.Time.Compare(a.Time); c != 0 {
		return c
	}
	number := func(r Release) int {
		n, _ := strconv.Atoi(strings.TrimPrefix(strings.TrimPrefix(r.Tag, r.Run), ".")) // none: 0
		return n
	}
	return number(b) - number(a)
}

// Engine is what a promotion needs of the production machine's engine.
type Engine interface {
	transfer.Target
	Info() engine.Info
	Images(ctx context.Context, labels map[string]string) ([]engine.ImageSummary, error)
	Tag(ctx context.Context, image, ref string) error
	Containers(ctx context.Context, labels map[string]string) ([]container.Summary, error)
	Create(ctx context.Context, c container.Container) (string, error)
	Remove(ctx context.Context, id string) error
	Close() error
}

// releases are the images of a deployment that are there, the newest first.
func releases(ctx context.Context, e Engine, name string) ([]Release, error) {
	images, err := e.Images(ctx, map[string]string{LabelName: name})
	if err != nil {
		return nil, err
	}
	var found []Release
	for _, image := range images {
		for _, tag := range image.Tags {
			if tag, ok := strings.CutPrefix(engine.FamiliarTag(tag), Repository(name)+":"); ok {
				r := releaseOf(image.Labels, tag)
				r.imageID = image.ID
				found = append(found, r)
			}
		}
	}
	slices.SortFunc(found, newer)
	return found, nil
}

// containers are those of a deployment, and those in the way of it, by the part of their
// names that follows the deployment's: "", -previous, -next, -outgoing.
type containers map[string]container.Summary

// suffixes are those of the names of a deployment's containers.
const (
	suffixNext     = "-next"     // created, not in its place yet
	suffixOutgoing = "-outgoing" // on its way to -previous
	suffixPrevious = "-previous" // stopped: the one before
)

// A ForeignError is a container that has a name of the deployment's, and is not ours.
type ForeignError struct{ Name, Host string }

func (e *ForeignError) Error() string {
	return fmt.Sprintf("there is a container %q at %s already, and it was not put there by runtests deploy", e.Name, e.Host)
}

// Hint is what a person can do about it.
func (e *ForeignError) Hint() string {
	return fmt.Sprintf("rename or remove it yourself (docker rename %s OTHER), or give the deployment another name", e.Name)
}

func lookAtContainers(ctx context.Context, e Engine, d suite.Deployment, host string) (containers, error) {
	all, err := e.Containers(ctx, nil)
	if err != nil {
		return nil, err
	}
	found := containers{}
	for _, c := range all {
		suffix, ok := strings.CutPrefix(c.Name, d.Name)
		if !ok || suffix != "" && suffix != suffixNext && suffix != suffixOutgoing && suffix != suffixPrevious {
			continue
		}
		if c.Labels[LabelName] != d.Name {
			return nil, &ForeignError{c.Name, host}
		}
		found[suffix] = c
	}
	return found, nil
}

// publishedPort is a port of a container, and the host's that leads to it.
type publishedPort struct {
	inside string // CONTAINER/PROTOCOL
	number int
}

// published reads a container's label of its ports.
func published(c container.Summary) (ports []publishedPort) {
	for pair := range strings.SplitSeq(c.Labels[labelPorts], ",") {
		inside, host, _ := strings.Cut(pair, "=")
		if n, err := strconv.Atoi(host); err == nil {
			ports = append(ports, publishedPort{inside, n})
		}
	}
	return ports
}
