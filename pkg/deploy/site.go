package deploy

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"runtests/pkg/engine"
	"runtests/pkg/suite"
)

// Site is the production machine of a deployment: its shell, its engine, and what is there.
type Site struct {
	deployment suite.Deployment
	machine    machine
	engine     Engine
	state      string // the folder of the deployment's state there, absolute
	taken      map[hostPort]bool
	held       bool            // another promotion is going on, our own too
	cutOff     bool            // a swap was, and is to be mended
	ran        map[string]bool // the tags of the releases that have run, and were replaced
	past       []event         // what became of each promotion and each way back, the latest last
}

// event is a line of the history that the state has.
type event struct {
	at      time.Time
	what    string // promoted, rolled-back, failed-…
	release string // its tag
}

// Options say how production is reached.
type Options struct {
	// Here is the address of the engine that tests run on, which is production too for a
	// deployment without a host.
	Here    string
	Connect func(ctx context.Context, o engine.Options) (Engine, error) // default: engine.Connect
}

// Open reaches production and sees that a promotion can take place, so that nobody learns
// after an hour that it cannot: the tools that are needed there, the places of the files,
// the names of the containers, the ports.
func Open(ctx context.Context, d suite.Deployment, o Options) (*Site, error) {
	s, err := reach(ctx, d, o)
	if err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// reach connects, and looks at the machine.
func reach(ctx context.Context, d suite.Deployment, o Options) (*Site, error) {
	host := d.Host
	if host == "" {
		host = o.Here
	}
	m, err := newMachine(host)
	if err != nil {
		return nil, err
	}
	s := &Site{deployment: d, machine: m}
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	connect := o.Connect
	if connect == nil {
		connect = func(ctx context.Context, o engine.Options) (Engine, error) { return engine.Connect(ctx, o) }
	}
	if s.engine, err = connect(ctx, engine.Options{Host: host, SSHFlags: SSHFlags}); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends the use of the production machine.
func (s *Site) Close() error { return s.engine.Close() }

// Host is what a person calls the production machine.
func (s *Site) Host() string { return s.machine.host }

// ready says what stands in the way of a promotion.
func (s *Site) ready(ctx context.Context) error {
	if s.held {
		return &HeldError{s.deployment.Name, s.Host()}
	}
	found, err := lookAtContainers(ctx, s.engine, s.deployment, s.Host())
	if err != nil {
		return err
	}
	if s.cutOff {
		return nil // its containers may have the ports; what mends it chooses again
	}
	_, err = choosePorts(s.deployment, s.taken, runningPorts(found), s.Host())
	return err
}

// runningPorts are the host's ports that the version which runs now has.
func runningPorts(found containers) []publishedPort {
	if current := found[""]; current.Running() {
		return published(current)
	}
	return nil
}

// lookScript tells what a promotion needs to know of the machine, a fact to a line. Its
// arguments are the name of the state's folder, whether there is a URL to ask, and the places
// of files.
const lookScript = `
state=$HOME/.local/state/runtests/deploy/$1
echo "state $state"
for tool in docker flock setsid timeout tar dd; do
	command -v "$tool" >/dev/null || echo "missing $tool"
done
[ -z "$2" ] || command -v curl >/dev/null || command -v wget >/dev/null || echo "missing curl"
shift 2
for place; do
	dir=${place%/*}
	until [ -e "${dir:-/}" ]; do dir=${dir%/*}; done
	if [ -d "$place" ]; then
		echo "wrong $place is a directory"
	elif [ ! -d "${dir:-/}" ] || [ ! -w "${dir:-/}" ]; then
		echo "wrong $place cannot be written by $(id -un)"
	fi
done
for kind in tcp tcp6 udp udp6; do
	[ -r /proc/net/$kind ] || continue
	while read -r _ local _ status _; do
		case $kind$status in
		tcp*0A | udp*07) printf 'port %s %d\n' "${kind%6}" "0x${local##*:}" ;;
		esac
	done </proc/net/$kind
done
for folder in "$state"/releases/*; do
	[ ! -d "$folder" ] || echo "ran ${folder##*/}"
done
[ ! -e "$state/lock" ] || flock -n "$state/lock" true || echo held
[ ! -e "$state/swap/plan" ] || { [ -s "$state/swap/result" ] && ! grep -q '^failed-files ' "$state/swap/result"; } || echo cut-off
[ ! -s "$state/history" ] || grep -v ' failed-' "$state/history" | tail -n 1000 | sed 's/^/did /'
`

// places are those of all files that a promotion writes.
func (s *Site) places() (all []string) {
	for _, f := range s.deployment.Files {
		all = append(all, f.Target)
	}
	if s.deployment.PortsFile != "" {
		all = append(all, s.deployment.PortsFile)
	}
	return all
}

// stateName is the name of the state's folder: a machine may have several engines.
func (s *Site) stateName() string {
	name := s.deployment.Name
	if socket := s.machine.socket; socket != "" && path.Clean(socket) != "/var/run/docker.sock" {
		name += "@" + strings.ReplaceAll(strings.Trim(socket, "/"), "/", "_")
	}
	return name
}

// look asks the machine.
func (s *Site) look(ctx context.Context) error {
	d := s.deployment
	asks := ""
	if d.Check.HTTP != "" {
		asks = "1"
	}
	told, err := s.machine.sh(ctx, lookScript, append([]string{s.stateName(), asks}, s.places()...)...)
	if err != nil {
		return err
	}
	s.taken, s.ran, s.held, s.cutOff, s.past = map[hostPort]bool{}, map[string]bool{}, false, false, nil
	var missing []string
	for line := range strings.Lines(told) {
		about, fact, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch about {
		case "state":
			s.state = fact
		case "missing":
			missing = append(missing, fact)
		case "wrong":
			err = errors.Join(err, fmt.Errorf("on %s: %s", s.Host(), fact))
		case "port":
			protocol, number, _ := strings.Cut(fact, " ")
			n, _ := strconv.Atoi(number)
			s.taken[hostPort{protocol, n}] = true
		case "ran":
			s.ran[fact] = true
		case "held":
			s.held = true
		case "cut-off":
			s.cutOff = true
		case "did":
			s.past = append(s.past, eventOf(fact))
		}
	}
	switch {
	case len(missing) > 0:
		return withHint(fmt.Errorf("on %s there is no %s", s.Host(), strings.Join(missing, ", no ")), "install it there")
	case err == nil && !path.IsAbs(s.state):
		return fmt.Errorf("on %s: the user has no home", s.Host())
	}
	return err
}

func eventOf(line string) event {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return event{}
	}
	at, _ := time.Parse(time.RFC3339, fields[0])
	return event{at, fields[1], fields[2]}
}

// Status is what runs in production.
type Status struct {
	Host      string
	Current   Release // zero: nothing that we put there
	State     string  // of its container: running, exited, …
	Since     time.Time
	Previous  []Release // those that can be gone back to, the newest first
	CutOff    bool      // a promotion was; the next one mends it
	Held      bool      // a promotion is going on
	Container string    // its name
}

// Look tells what runs in production. Nothing is changed there.
func Look(ctx context.Context, d suite.Deployment, o Options) (Status, error) {
	bare := d
	bare.Files, bare.PortsFile, bare.Check.HTTP = nil, "", ""
	s, err := reach(ctx, bare, o)
	if err != nil {
		return Status{}, err
	}
	defer s.Close()
	status := Status{Host: s.Host(), CutOff: s.cutOff && !s.held, Held: s.held, Container: d.Name}
	found, err := lookAtContainers(ctx, s.engine, d, s.Host())
	if err != nil {
		return status, err
	}
	all, err := releases(ctx, s.engine, d.Name)
	if err != nil {
		return status, err
	}
	current, ok := found[""]
	if !ok {
		return status, nil
	}
	status.Current, status.State, status.Since = releaseOf(current.Labels, current.Labels[labelRelease]), current.State, current.Created
	if n := len(s.past); n > 0 && s.past[n-1].release == status.Current.Tag && !s.past[n-1].at.IsZero() {
		status.Since = s.past[n-1].at
	}
	status.Previous = older(s.past, s.thatRan(all), status.Current)
	return status, nil
}

// thatRan are those of the releases that have been seen to work: not what a promotion left that
// was killed before it came so far.
func (s *Site) thatRan(all []Release) []Release {
	return slices.DeleteFunc(slices.Clone(all), func(r Release) bool { return !s.ran[r.Tag] })
}

// older are those of the releases that can be gone back to from one, the first one first: as
// they followed each other on the machine, where its history has that, otherwise by their age.
func older(past []event, all []Release, current Release) []Release {
	var below []string
	for _, e := range past {
		switch e.what {
		case outcomePromoted:
			below = append(below, e.release)
		case outcomeRolledBack:
			below = below[:lastIndex(below, e.release)+1]
		}
	}
	if n := len(below); n > 0 && below[n-1] == current.Tag {
		var found []Release
		for _, tag := range slices.Backward(below[:n-1]) {
			if i := slices.IndexFunc(all, func(r Release) bool { return r.Tag == tag }); i >= 0 {
				found = append(found, all[i])
			}
		}
		return found
	}
	return slices.DeleteFunc(slices.Clone(all), func(r Release) bool { return r.Tag == current.Tag || newer(r, current) <= 0 })
}

func lastIndex(tags []string, tag string) int {
	for i := range slices.Backward(tags) {
		if tags[i] == tag {
			return i
		}
	}
	return -1
}
