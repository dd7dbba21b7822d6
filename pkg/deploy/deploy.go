// Package deploy promotes the container of a test that passed to production: it becomes an
// image on the production machine's engine, and a container of that image replaces the one
// that runs there, together with its files.
//
// The new version replaces the old one only after it has been seen to work; otherwise the old
// version and its files are restored. This holds even if this program is killed in the middle
// or the connection breaks: a script on the production machine (swap.sh) carries out the
// exchange. If that script is cut off too, the next promotion finishes or undoes the exchange.
// Nothing without our labels is ever touched.
package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/pkg/hint"
	"runtests/pkg/plain"
	"runtests/pkg/report"
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
	LabelTime      = "runtests.deploy.time"      // when it was sent, RFC 3339
	labelRelease   = "runtests.deploy.release"   // of containers: the tag of its image
	labelPorts     = "runtests.deploy.ports"     // of containers: CONTAINER/PROTOCOL=HOST, …
	// of containers of earlier versions: the URL of its health check, and its command, quoted for a
	// shell; empty now: see saveCheck
	labelCheck        = "runtests.deploy.check"
	labelCheckCommand = "runtests.deploy.check.command"
)

// Repository returns the repository of a deployment's images.
func Repository(name string) string { return "runtests-deploy/" + name }

// KeptName returns the name under which the container of a step is kept on machine to be promoted.
// The hash tells apart what reads alike (suite x-y, step z; suite x, step y-z), and suites of one
// name with other folders of logs.
func KeptName(s *suite.Suite, machine, step string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{s.Name, step, s.Logs, machine}, "\x00")))
	return FormerKeptName(s.Name, step) + "-" + hex.EncodeToString(sum[:4])
}

// FormerKeptName returns what versions that had no hash in it called such a container.
func FormerKeptName(suite, step string) string {
	return "passed-" + container.SafeName(suite+"-"+step)
}

// Candidate is a container whose test passed.
type Candidate struct {
	Container string // its ID, on the engine that runs tests
	Run       string // the ID of the run
	Suite     string
	Step      string
	Image     string // the ID of the image that it was tested on
	Commit    string // empty: the test's directory is not in a git repository
	Machine   string // where it was tested
}

// Release is the image of a candidate in production, or on its way there.
type Release struct {
	Candidate
	Tag  string // of the image: the ID of the run, with .2, .3 when that was promoted again
	Time time.Time

	imageID string // on the production machine
}

func (r Release) labels(deployment string) map[string]string {
	return map[string]string{ // all, also empty ones, which cover what the tested image says
		LabelName: deployment, LabelRun: r.Run, LabelSuite: r.Suite, LabelStep: r.Step, LabelImage: r.Image, LabelCommit: r.Commit,
		LabelMachine: r.Machine, LabelContainer: r.Container, LabelTime: r.Time.UTC().Format(time.RFC3339),
	}
}

// releaseOf reads the labels of an image or a container.
func releaseOf(labels map[string]string, tag string) Release {
	sent, _ := time.Parse(time.RFC3339, labels[LabelTime]) // zero, which sorts last, if malformed
	return Release{Tag: tag, Time: sent, Candidate: Candidate{
		Run: labels[LabelRun], Suite: labels[LabelSuite], Step: labels[LabelStep], Image: labels[LabelImage],
		Commit: labels[LabelCommit], Machine: labels[LabelMachine], Container: labels[LabelContainer],
	}}
}

// runningRelease returns the release of a container in production.
func runningRelease(c container.Summary) Release { return releaseOf(c.Labels, c.Labels[labelRelease]) }

// String returns the step, the run and the commit of the release.
func (r Release) String() string {
	text := r.Step + " of run " + r.Run
	if r.Commit != "" {
		text += ", commit " + report.ShortCommit(r.Commit)
	}
	return plain.Line(text) // the words are those of labels, as the engine there tells them
}

// newer compares releases for sorting, the newest first: by time, then by the number in the tag.
func newer(a, b Release) int {
	if c := b.Time.Compare(a.Time); c != 0 {
		return c
	}
	number := func(r Release) int {
		n, _ := strconv.Atoi(strings.TrimPrefix(strings.TrimPrefix(r.Tag, r.Run), ".")) // no number: 0
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

// imageName returns the name of the image of a release.
func (s *Site) imageName(tag string) string { return Repository(s.deployment.Name) + ":" + tag }

// releases lists the images of the deployment on the engine, the newest first.
func (s *Site) releases(ctx context.Context) ([]Release, error) {
	images, err := s.engine.Images(ctx, map[string]string{LabelName: s.deployment.Name})
	if err != nil {
		return nil, err
	}
	var found []Release
	for _, image := range images {
		for _, tag := range image.Tags {
			if tag, ok := strings.CutPrefix(engine.FamiliarTag(tag), s.imageName("")); ok && tagForm.MatchString(tag) {
				r := releaseOf(image.Labels, tag)
				r.imageID = image.ID
				found = append(found, r)
			}
		}
	}
	slices.SortFunc(found, newer)
	return found, nil
}

// containers holds the containers of a deployment by the suffix of their names, which is
// empty for the one in production.
type containers map[string]container.Summary

// The suffixes of the names of a deployment's other containers.
const (
	suffixNext     = "-next"     // created, not in production yet
	suffixOutgoing = "-outgoing" // about to become -previous
	suffixPrevious = "-previous" // the previous version, stopped
)

// containers returns the containers of the deployment. It returns an error if a container has one
// of their names and is not ours.
func (s *Site) containers(ctx context.Context) (containers, error) {
	name := s.deployment.Name
	all, err := s.engine.Containers(ctx, nil)
	if err != nil {
		return nil, err
	}
	found := containers{}
	for _, c := range all {
		suffix, ok := strings.CutPrefix(c.Name, name)
		if !ok || suffix != "" && suffix != suffixNext && suffix != suffixOutgoing && suffix != suffixPrevious {
			continue
		}
		if !s.ours(c) {
			return nil, hint.Errorf(
				fmt.Sprintf("rename or remove it yourself (docker rename %s OTHER), or give the deployment another name", c.Name),
				"%s has a container %q already, which runtests deploy did not create", s.Host(), c.Name)
		}
		found[suffix] = c
	}
	return found, nil
}

// ours reports whether a container with one of the deployment's names is one that create made. Our
// labels are handed on by docker commit and by our images, so they must also name the image that
// the container was made of. The engine lists an image by its ID if somebody took its name away.
func (s *Site) ours(c container.Summary) bool {
	release := c.Labels[labelRelease]
	if c.Labels[LabelName] != s.deployment.Name || release == "" {
		return false
	}
	return engine.FamiliarTag(c.Image) == s.imageName(release) || imageID.MatchString(c.Image)
}

// imageID is the ID of an image, whole or its beginning.
var imageID = regexp.MustCompile(`^(sha256:)?[0-9a-f]{12,64}$`)

// publishedPort is a port of a container and the host port that leads to it.
type publishedPort struct {
	inside string // CONTAINER/PROTOCOL
	number int
}

// published reads labelPorts of a container.
func published(c container.Summary) (ports []publishedPort) {
	for pair := range strings.SplitSeq(c.Labels[labelPorts], ",") {
		inside, host, _ := strings.Cut(pair, "=")
		if n, err := strconv.Atoi(host); err == nil {
			ports = append(ports, publishedPort{inside, n})
		}
	}
	return ports
}
