package deploy

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/plain"
	"runtests/pkg/suite"
)

// placeFacts are shell functions that print facts about a place, and a real path. The end of a path need not exist. A
// line end in a path becomes \001, which no path that is used has.
const placeFacts = `
oneline() { tr '\n' '\001'; echo; }
real() {
	at=$1 rest=
	until [ -e "${at:-/}" ]; do rest=/${at##*/}$rest at=${at%/*}; done
	{ readlink -nf -- "${at:-/}"; printf %s "$rest"; } | oneline
}
place() {
	echo "place $1"
	printf 'folder '
	real "${1%/*}"
	[ ! -L "$1" ] || { printf 'link '; readlink -nf -- "$1" | oneline; }
	[ ! -d "$1" ] || echo directory
}
`

// placeFact is what the machine says of a file's place.
type placeFact struct {
	path   string // as the suite has it
	folder string // the real path of its folder
	link   string // where it leads, if it is a link
	dir    bool   // it is, or leads to, a directory
}

// ground is what the machine says of the places, and of what containers can write.
type ground struct {
	places   []placeFact
	sources  []string // the real paths of the sources of volumes, in the order of the mounts
	writable []string // the real paths of what the deployment's containers that are there can write
	deployed []string // the same of the containers of all deployments, whose code is a stranger's too
}

// note notes a fact, and reports whether it was one of these.
func (g *ground) note(kind, fact string) bool {
	last := len(g.places) - 1
	switch {
	case kind == "place":
		g.places = append(g.places, placeFact{path: fact})
	case kind == "folder" && last >= 0:
		g.places[last].folder = fact
	case kind == "link" && last >= 0:
		g.places[last].link = fact
		if fact == "" {
			g.places[last].link = "nowhere"
		}
	case kind == "directory" && last >= 0:
		g.places[last].dir = true
	case kind == "source":
		g.sources = append(g.sources, fact)
	case kind == "mount":
		g.writable = append(g.writable, fact)
	case kind == "deployed":
		g.deployed = append(g.deployed, fact)
	default:
		return false
	}
	return true
}

// usable reports whether a path of the machine can be written into a script and a message.
func usable(name string) bool {
	return path.IsAbs(name) && !strings.ContainsFunc(name, unicode.IsControl)
}

// settle returns the real paths of the places, in their order, if a container can redirect none of them.
//
// A link in a place leads where an administrator wants, unless a container of a deployment can write there: then a link, or a directory,
// is what the container made of the place, and the promotion replaces it.
func (g ground) settle(places []placeFact) (settled []string, err error) {
	for _, p := range places {
		if !usable(p.folder) || p.link != "" && !usable(p.link) {
			err = errors.Join(err, fmt.Errorf("the place %s leads to no usable path: %s", p.path, plain.Line(p.folder+" "+p.link)))
			continue
		}
		name := path.Join(p.folder, path.Base(p.path))
		if folder := path.Dir(name); !writes(g.writable, folder) && !writes(g.deployed, folder) {
			if p.dir {
				err = errors.Join(err, fmt.Errorf("%s is a directory", p.path))
			}
			if p.link != "" {
				name = path.Clean(p.link)
			}
		}
		if fault := suite.CheckPlace(name, g.writable); fault != nil {
			err = errors.Join(err, fault)
		} else if cmp.Or(suite.CheckPlace(name, g.deployed), suite.CheckPlace(p.path, g.deployed)) != nil { // it may have done so already
			err = errors.Join(err, hint.Errorf(
				"mount there only the folders that it needs, or :ro: docker ps -a --filter label="+LabelName+" lists the containers",
				"the container of another deployment can replace the folder of %s by a link", p.path))
		}
		settled = append(settled, name)
	}
	return settled, err
}

// writes reports whether a container that can write the sources can write in the folder.
func writes(sources []string, folder string) bool {
	return slices.ContainsFunc(sources, func(source string) bool { return folder == path.Clean(source) || suite.Below(folder, source) })
}

// judgePlaces sets the real paths of the places. It returns an error if a container can redirect one of them, a
// volume's source, or the state.
func (s *Site) judgePlaces() (err error) {
	d, g := s.deployment, s.ground
	mounts := d.Container.Mounts
	var binds []int
	for i, m := range mounts {
		if m.Bind() {
			binds = append(binds, i)
		}
	}
	if len(g.places) != len(s.places()) || len(g.sources) != len(binds) {
		return fmt.Errorf("%s did not answer as a machine does that runtests can deploy to", s.Host())
	}
	for n, i := range binds {
		if !usable(g.sources[n]) {
			return fmt.Errorf("on %s: the source %s of a volume leads to no usable path", s.Host(), mounts[i].Source)
		}
		m := mounts[i]
		m.Source = g.sources[n]
		g.writable = append(g.writable, suite.WritableSources([]container.Mount{m})...)
	}
	for _, source := range g.sources {
		err = errors.Join(err, suite.CheckSource(source, g.writable))
	}
	if writes(g.writable, s.state) {
		err = errors.Join(err, hint.Errorf("mount the directories that the container needs, not the user's home",
			"the container could write in %s, where deployments keep their state", s.state))
	}
	s.ground = g
	settled, fault := g.settle(g.places)
	if err = errors.Join(err, fault); err != nil {
		return hint.Wrap(fmt.Errorf("on %s: %w", s.Host(), err), hint.Of(err))
	}
	s.portsFile = ""
	if d.PortsFile != "" {
		s.portsFile = settled[len(settled)-1]
		settled = settled[:len(settled)-1]
	}
	s.settled = settled
	return nil
}

// folders returns the real paths of the folders of all places.
func (s *Site) folders() (all []string) {
	for _, place := range append(slices.Clone(s.settled), s.portsFile) {
		if place != "" {
			all = append(all, path.Dir(place))
		}
	}
	return all
}

// tagForm is the form of the tags that runtests gives: the ID of a run, and a number. (The grammar of references.)
var tagForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
