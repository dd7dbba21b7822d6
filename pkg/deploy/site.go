package deploy

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"runtests/pkg/engine"
	"runtests/pkg/hint"
	"runtests/pkg/plain"
	"runtests/pkg/suite"
)

// Site is the production machine of a deployment: its shell, its engine, and what is there.
type Site struct {
	deployment suite.Deployment
	machine    machine
	engine     Engine
	state      string // the folder of the deployment's state there, absolute
	sources    Sources
	ground     ground
	settled    []string // the real paths of the files' places
	portsFile  string   // the real path of the ports_file; empty: none
	taken      map[hostPort]bool
	held       bool            // a promotion is going on, possibly our own
	cutOff     bool            // a swap was cut off, and has to be recovered
	ran        map[string]bool // the tags of the releases that have run and were replaced
	past       []event         // the promotions and rollbacks, the latest last
}

// Options say how to reach production.
type Options struct {
	// Here is the address of the engine that tests run on. It is production for a deployment
	// without a host.
	Here    string
	Connect func(ctx context.Context, o engine.Options) (Engine, error) // default: engine.Connect
	// Sources is what the deployment's files held before the tests ran; nil: what they hold now.
	Sources Sources
	// Generated says that tests may write the deployment's files, so that these may change.
	Generated bool
}

// Open connects to production and checks that a promotion can take place: the tools, the places
// of the files, the names of the containers, the ports. It is called before the test is run, so
// that nobody learns only after an hour that the promotion cannot be done (HeldError).
func Open(ctx context.Context, d suite.Deployment, o Options) (*Site, error) {
	s, err := reach(ctx, d, o)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Generated:
	case o.Sources != nil:
		s.sources = o.Sources
	default:
		s.sources = ReadSources(d)
	}
	if err := s.checkReady(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// reach looks at the machine and connects to its engine.
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
	if err := s.readFacts(ctx); err != nil {
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

// Close closes the connection to the engine.
func (s *Site) Close() error { return s.engine.Close() }

// Host returns the name of the production machine for messages.
func (s *Site) Host() string { return s.machine.host }

// checkReady returns an error if a promotion cannot take place.
func (s *Site) checkReady(ctx context.Context) error {
	if s.held {
		return &HeldError{s.deployment.Name, s.Host()}
	}
	if err := s.judgePlaces(); err != nil {
		return err
	}
	found, err := s.containers(ctx)
	if err != nil {
		return err
	}
	if s.cutOff {
		return nil // its containers may have the ports; they are assigned again when it is recovered
	}
	_, err = assignPorts(s.deployment, s.taken, runningPorts(found), s.Host())
	return err
}

// runningPorts returns the host ports of the version that runs now.
func runningPorts(found containers) []publishedPort {
	if current := found[""]; current.Running() {
		return published(current)
	}
	return nil
}

// factsScript prints the facts about the machine that a promotion needs, one a line. Its
// arguments are the name of the state's folder, "1" if a URL will be checked, the name of the
// container, the number of places, the places of the files, and the sources of the volumes.
const factsScript = placeFacts + `
state=$HOME/.local/state/runtests/deploy/$1
echo "state $state"
for tool in docker flock setsid timeout tar dd readlink; do
	command -v "$tool" >/dev/null || echo "missing $tool"
done
mv --help 2>&1 | grep -q -e -T || echo "missing mv -T"
[ -d /proc/self/fd ] || echo "missing /proc/self/fd"
[ -z "$2" ] || command -v curl >/dev/null || command -v wget >/dev/null || echo "missing curl"
for name in "$3" "$3-previous"; do
	timeout -k 1 30 docker inspect --type container -f '{{range .Mounts}}{{if .RW}}{{println .Source}}{{end}}{{end}}' "$name" 2>/dev/null
done | head -n 200 | while IFS= read -r source; do
	case $source in /*) printf 'mount ' && real "$source" ;; esac
done
timeout -k 1 30 docker ps -aq --filter label=` + LabelName + ` 2>/dev/null | head -n 200 | while IFS= read -r id; do
	timeout -k 1 30 docker inspect --type container -f '{{range .Mounts}}{{if .RW}}{{println .Source}}{{end}}{{end}}' "$id" 2>/dev/null </dev/null
done | sort -u | head -n 1000 | while IFS= read -r source; do
	case $source in /*) printf 'deployed ' && real "$source" ;; esac
done
places=$4
shift 4
for place; do
	if [ "$places" = 0 ]; then
		printf 'source ' && real "$place"
		continue
	fi
	places=$((places - 1))
	place "$place"
	dir=${place%/*}
	until [ -e "${dir:-/}" ]; do dir=${dir%/*}; done
	if [ ! -d "${dir:-/}" ] || [ ! -w "${dir:-/}" ]; then
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

// statePath is where the states of deployments are in a user's home.
const statePath = "/.local/state/runtests/deploy/"

// places returns the paths of all files that a promotion writes.
func (s *Site) places() (all []string) {
	for _, f := range s.deployment.Files {
		all = append(all, f.Target)
	}
	if s.deployment.PortsFile != "" {
		all = append(all, s.deployment.PortsFile)
	}
	return all
}

// stateName returns the name of the state's folder. It depends on the engine, because a machine
// may have several.
func (s *Site) stateName() string {
	name := s.deployment.Name
	if socket := s.machine.socket; socket != "" && path.Clean(socket) != "/var/run/docker.sock" {
		name += "@" + strings.ReplaceAll(strings.Trim(socket, "/"), "/", "_")
	}
	return name
}

// readFacts reads the facts about the machine.
func (s *Site) readFacts(ctx context.Context) error {
	url := ""
	if s.deployment.Check.HTTP != "" {
		url = "1"
	}
	places := s.places()
	args := append([]string{s.stateName(), url, s.deployment.Name, strconv.Itoa(len(places))}, places...)
	for _, m := range s.deployment.Container.Mounts {
		if m.Bind() {
			args = append(args, m.Source)
		}
	}
	output, err := s.machine.sh(ctx, factsScript, args...)
	if err != nil {
		return err
	}
	s.state, s.ground = "", ground{}
	s.taken, s.ran, s.held, s.cutOff, s.past = map[hostPort]bool{}, map[string]bool{}, false, false, nil
	var missing []string
	for text := range strings.Lines(output) {
		kind, fact, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
		switch kind {
		case "state":
			s.state = fact
		case "missing":
			missing = append(missing, plain.Line(fact))
		case "wrong":
			err = errors.Join(err, fmt.Errorf("on %s: %s", s.Host(), plain.Line(fact)))
		case "port":
			protocol, number, _ := strings.Cut(fact, " ")
			n, _ := strconv.Atoi(number)
			s.taken[hostPort{protocol, n}] = true
		case "ran":
			s.ran[fact] = tagForm.MatchString(fact)
		case "held":
			s.held = true
		case "cut-off":
			s.cutOff = true
		case "did":
			s.past = append(s.past, eventOf(fact))
		default:
			s.ground.note(kind, fact)
		}
	}
	switch {
	case len(missing) > 0:
		return hint.Errorf("install it there", "%s lacks %s", s.Host(), strings.Join(missing, ", "))
	case err == nil && !path.IsAbs(s.state):
		return fmt.Errorf("on %s: the user has no home directory", s.Host())
	case err == nil && (!usable(s.state) || !strings.HasSuffix(s.state, statePath+s.stateName())):
		return fmt.Errorf("on %s: the folder of the state cannot be used: %s", s.Host(), plain.Line(s.state))
	}
	return err
}
