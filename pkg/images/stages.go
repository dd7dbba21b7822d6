package images

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// stages are the stages of a Dockerfile.
type stages struct {
	d      *dockerfile
	list   []stage
	byName map[string]int // indices by name in lower case; of two with the same name, the later
	seen   map[int]bool   // the stages that the target needs, as far as found
}

// stage is a stage of a Dockerfile.
type stage struct {
	from    int    // the index of the stage that it continues; -1: it continues an image
	image   string // the argument of FROM, expanded
	line    int
	sources []origin // the stages and images that it copies or mounts from, as written
}

// add adds a stage. Those that it can continue were added before.
func (s *stages) add(parsed instructions.Stage, words *shell.Lex, known variables) error {
	line := lineOf(parsed.Location)
	image, _, err := words.ProcessWord(parsed.BaseName, known)
	if err != nil {
		return at(line, err)
	}
	if image == "" {
		return at(line, fmt.Errorf("FROM %s names no image: its arguments are empty", parsed.BaseName))
	}
	next := stage{from: -1, image: image, line: line}
	if earlier, ok := s.byName[strings.ToLower(image)]; ok {
		next.from = earlier
	}
	for _, command := range parsed.Commands {
		next.sources = append(next.sources, sourcesOf(command)...)
	}
	if parsed.Name != "" {
		s.byName[strings.ToLower(parsed.Name)] = len(s.list)
	}
	s.list = append(s.list, next)
	return nil
}

// sourcesOf returns the stages and images that an instruction copies or mounts from.
func sourcesOf(command instructions.Command) (sources []origin) {
	switch c := command.(type) {
	case *instructions.CopyCommand:
		if c.From != "" {
			sources = append(sources, origin{c.From, lineOf(c.Location())})
		}
	case *instructions.RunCommand:
		for _, mount := range instructions.GetMounts(c) {
			if mount.From != "" {
				sources = append(sources, origin{mount.From, lineOf(c.Location())})
			}
		}
	}
	return sources
}

func lineOf(location []parser.Range) int {
	if len(location) == 0 {
		return 0
	}
	return location[0].Start.Line
}

// target returns the index of the stage to build.
func (s *stages) target(name string) (int, error) {
	if name == "" {
		return len(s.list) - 1, nil
	}
	if i, ok := s.stage(name); ok {
		return i, nil
	}
	return 0, at(0, fmt.Errorf("it has no stage %q", name))
}

// stage returns the index of a stage, found by its name or its number.
func (s *stages) stage(name string) (int, bool) {
	if i, ok := s.byName[strings.ToLower(name)]; ok {
		return i, true
	}
	i, err := strconv.Atoi(name)
	return i, err == nil && i >= 0 && i < len(s.list)
}

// need adds the images that a stage is built on, directly or through other stages, to the origins.
func (s *stages) need(i int) error {
	if s.seen[i] {
		return nil
	}
	s.seen[i] = true
	this := s.list[i]
	if this.from >= 0 {
		if err := s.need(this.from); err != nil {
			return err
		}
	} else if err := s.needImage(origin{this.image, this.line}); err != nil {
		return err
	}
	for _, source := range this.sources {
		var err error
		if other, ok := s.stage(source.reference); ok {
			err = s.need(other)
		} else {
			err = s.needImage(source)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// needImage adds an image to the origins.
func (s *stages) needImage(o origin) error {
	if strings.EqualFold(o.reference, scratch) {
		return nil
	}
	if _, err := strconv.Atoi(o.reference); err == nil {
		return at(o.line, fmt.Errorf("there is no stage %s", o.reference))
	}
	name, err := familiar(o.reference)
	if err != nil {
		return at(o.line, err)
	}
	o.reference = name
	if !slices.ContainsFunc(s.d.origins, func(other origin) bool { return other.reference == name }) {
		s.d.origins = append(s.d.origins, o)
	}
	return nil
}

// baseOf returns the image that a stage continues, directly or through other stages.
func (s *stages) baseOf(i int) (string, error) {
	for s.list[i].from >= 0 {
		i = s.list[i].from
	}
	if image := s.list[i].image; !strings.EqualFold(image, scratch) {
		return familiar(image)
	}
	return "", nil
}
