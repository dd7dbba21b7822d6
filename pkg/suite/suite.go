// Package suite reads a suite file, checks it whole, and expands it into steps.
//
// A suite file is YAML; the keys of its containers are Docker Compose's, and so
// are ${VAR} and ${VAR:-default}. All faults of a file are reported at once
// (see Errors), each with its line, its column and the nearest known key.
package suite

import (
	"net/url"
	"time"

	"runtests/pkg/container"
)

// Suite is a suite file that was read and checked. Its paths are absolute, and its defaults applied.
type Suite struct {
	Name     string // default: the name of the file's directory
	File     string // absolute; empty for a suite made of directories alone
	Dir      string // the directory that relative paths in it start from
	Logs     string // default: DIR/logs
	Lines    int    // log lines kept per step, default 40
	Jobs     int    // steps at a time, default 1
	KeepRuns int    // run folders kept, default 30
	// KeepImages is the number of superseded builds to keep of each image, default 2.
	KeepImages int
	// MinFreeDisk is the free space on the engine's disk, in bytes, below which the report
	// warns; default 5 GiB, 0: never.
	MinFreeDisk int64
	MaxLog      int64 // bytes kept of a step's log, its head and its tail; default 1 GiB
	// RunTimeout limits the time of all steps together; zero: no limit.
	RunTimeout time.Duration
	// Diagnose is whether runs of the whole suite look for the causes of new failures, default true.
	Diagnose bool
	// DiagnoseTimeout limits the time of all experiments of a run together, default 30m.
	DiagnoseTimeout time.Duration
	// Ping is the http or https URL to notify of the start and the end of a run; empty: none.
	// Its path is a secret: see PingHost.
	Ping string

	Images []Image // the named images, in the file's order
	Steps  []Step  // every test × image, in the file's order
	Mail   *Mail   // nil when the suite has no mail section

	Deployments []Deployment // in the file's order

	// Secrets are the values that no report and no message shows.
	Secrets []string

	// Warnings are sentences about what works but is not safe, such as a password file that others can read.
	Warnings []string

	// Trusted says that the tests may rewrite the suite and what it runs, as through dir: ., so that
	// whoever can change a test can do what runtests can. Default false.
	Trusted bool

	protected  []protected // what no test may write unless Trusted
	production []string    // what the containers of its deployments can write of the engine's machine

	outside outside // the settings of directories that are not in the suite
}

// PingHost returns the part of Ping that may be printed: its scheme and host.
func (s *Suite) PingHost() string {
	u, err := url.Parse(s.Ping)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Image is a named image of the suite.
type Image struct {
	Name       string // as tests and reports name it
	Reference  string // what the engine calls it
	PullPolicy PullPolicy
	Build      *Build // nil: the image comes from elsewhere
}

// Build is how an image is built from a Dockerfile.
type Build struct {
	Context    string               // the directory sent to the engine, absolute
	Dockerfile string               // absolute; default: the file Dockerfile in Context
	Args       []container.Variable // build arguments, in the file's order; the values of secret ones are not printed
	Target     string               // the stage to build; empty: the last one
	Labels     map[string]string    // of the image, besides those of runtests
	Platform   string               // OS/ARCHITECTURE[/VARIANT]; empty: the engine's
	Rebuild    Rebuild
	Timeout    time.Duration // of a build, default 1h
}

// Rebuild is when an image is built again, without cache, although nothing it is made from has
// changed. The zero value means never.
type Rebuild struct {
	Always bool          // at each run
	Days   int           // if it was built that many calendar days ago: 1 for daily, 7 for weekly
	After  time.Duration // if the run that built it started that long ago
}

// Step is one test on one image.
type Step struct {
	Name  string // TEST@IMAGE, unique in the suite
	Test  string
	Image string // as the suite names it

	Dir    string // the test's directory: absolute, on this machine
	Mount  Mount
	Script bool // the command is Dir's test.sh, which must then be executable

	Timeout    time.Duration // of each attempt, default 1h
	Retries    int           // attempts after the first one that did not pass, default 0
	PullPolicy PullPolicy

	// Container is complete except for its name, its labels and its log. Its Image is the
	// reference on the engine, and the test's directory is among its Mounts or its Copies.
	Container container.Container
}

// Mount is how a test's directory gets into its container, at /test.
type Mount string

// The ways to mount a test's directory.
const (
	ReadWrite Mount = "rw"   // in place: what the test writes stays (the default)
	ReadOnly  Mount = "ro"   // in place, not writable
	Copied    Mount = "copy" // a fresh copy inside the container
)

// PullPolicy is when an image is pulled from its registry. The names are Compose's.
type PullPolicy string

// The pull policies.
const (
	PullMissing PullPolicy = "missing" // if the engine does not have it (the default)
	PullAlways  PullPolicy = "always"
	PullNever   PullPolicy = "never"
)

// Mail is the suite's mail section.
type Mail struct {
	Server        string // smtp://, smtp+starttls:// or smtps://, HOST[:PORT]
	From          string // RFC 5322 address, checked
	To            []string
	Send          Send
	SubjectPrefix string
	User          string        // for AUTH; empty: none
	Password      string        // already read from the environment or password_file; never printed
	PasswordError error         // why there is no password; it matters only if a mail is sent
	CAFile        string        // PEM, absolute; empty: the system's authorities
	PlainAuth     bool          // the password may travel unencrypted (mail.allow_plain_auth)
	Timeout       time.Duration // of one attempt to deliver, default 1m
	RetryFor      time.Duration // how long a temporary refusal is retried in the run, default 5m
	MaxSize       int64         // bytes of the whole message, default 1 MiB
}

// Send is after which runs the report is mailed.
type Send string

// The send policies.
const (
	SendAlways  Send = "always"  // the default
	SendFailure Send = "failure" // if a step did not pass
	SendChange  Send = "change"  // if an outcome differs from the previous run
)
