package images

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"runtests/pkg/buildcontext"
	"runtests/pkg/engine"
	"runtests/pkg/regular"
	"runtests/pkg/suite"
)

// scratch is the base that is no image.
const scratch = "scratch"

// dockerfile is what a Dockerfile says of the images that its target is built on.
type dockerfile struct {
	origins      []origin // each once, in the order in which they are needed
	base         string   // the one of origins that the target's file system begins with; empty: none
	instructions []engine.Instruction
}

// origin is an image that a Dockerfile builds on, and where it says so.
type origin struct {
	reference string // familiar, with its tag
	line      int
}

// references are those of the origins.
func (d *dockerfile) references() []string {
	var all []string
	for _, o := range d.origins {
		all = append(all, o.reference)
	}
	return all
}

// A lineError is a fault of a Dockerfile.
type lineError struct {
	file string
	line int // from 1; 0: the file as a whole
	err  error
}

func (e *lineError) Error() string {
	if e.line == 0 {
		return fmt.Sprintf("%s: %v", e.file, e.err)
	}
	return fmt.Sprintf("%s:%d: %v", e.file, e.line, e.err)
}

func (e *lineError) Unwrap() error { return e.err }

// at is err with its line. A line that the parser told already is nearer to the fault.
func at(line int, err error) error {
	var known *lineError
	if err == nil || errors.As(err, &known) {
		return err
	}
	var place *parser.LocationError
	if errors.As(err, &place) {
		err = place
		if ranges := slices.Concat(place.Locations...); len(ranges) > 0 {
			line = max(ranges[0].Start.Line, 1)
		}
	}
	return &lineError{line: line, err: err}
}

// readDockerfile reads the Dockerfile of a build. The error is a *lineError where the file
// is at fault, else one of the operating system's.
func readDockerfile(build suite.Build) (*dockerfile, error) {
	content, err := regular.Read(build.Dockerfile, buildcontext.MaxDockerfile)
	if err != nil {
		return nil, err
	}
	d, err := parseDockerfile(content, build)
	return d, inFile(build.Dockerfile, err)
}

// inFile is an error of parseDockerfile with the name of the file.
func inFile(name string, err error) error {
	var fault *lineError
	if !errors.As(err, &fault) {
		return err
	}
	return &lineError{file: name, line: fault.line, err: fault.err}
}

// parseDockerfile finds the images that the target of a build is built on, in the way of
// BuildKit: a stage that the target does not need counts for nothing.
func parseDockerfile(content []byte, build suite.Build) (*dockerfile, error) {
	tree, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return nil, at(0, err)
	}
	parsed, arguments, err := instructions.Parse(tree.AST, nil)
	if err != nil {
		return nil, at(0, suggested(err))
	}
	if len(parsed) == 0 {
		return nil, at(0, errors.New("it has no FROM"))
	}
	words := shell.NewLex(tree.EscapeToken)
	known, err := globalArguments(words, arguments, build)
	if err != nil {
		return nil, err
	}
	s := stages{d: &dockerfile{instructions: instructionsOf(tree.AST)}, byName: map[string]int{}, seen: map[int]bool{}}
	for _, stage := range parsed {
		if err := s.add(stage, words, known); err != nil {
			return nil, err
		}
	}
	target, err := s.target(build.Target)
	if err != nil {
		return nil, err
	}
	if err := s.need(target); err != nil {
		return nil, err
	}
	s.d.base, err = s.baseOf(target)
	return s.d, err
}

// instructionNames are those that a Dockerfile can have, the frequent ones first.
var instructionNames = []string{
	"RUN", "COPY", "FROM", "ENV", "ARG", "WORKDIR", "USER", "CMD", "ENTRYPOINT", "LABEL", "EXPOSE", "ADD", "VOLUME",
	"SHELL", "HEALTHCHECK", "ONBUILD", "STOPSIGNAL", "MAINTAINER",
}

// suggested gives the error for an unknown instruction the nearest known one. The parser
// suggests one too, but of several that are as near another each time.
func suggested(err error) error {
	var unknown *instructions.UnknownInstructionError
	if !errors.As(err, &unknown) {
		return err
	}
	message := unknown.Error()
	best, distance := "", 3
	for _, name := range instructionNames {
		if d := levenshtein.Distance(strings.ToUpper(unknown.Instruction), name, nil); d < distance {
			best, distance = name, d
		}
	}
	if best != "" {
		message += fmt.Sprintf(" (did you mean %s?)", best)
	}
	return &lineError{line: unknown.Line, err: errors.New(message)}
}

// instructionsOf are the instructions of a Dockerfile, for the engine to name in its errors.
func instructionsOf(tree *parser.Node) (all []engine.Instruction) {
	for _, node := range tree.Children {
		all = append(all, engine.Instruction{Line: node.StartLine, Text: node.Original})
	}
	return all
}

// variables are what a FROM can name, as the shell package asks for them.
type variables map[string]string

// Get returns the value of a variable.
func (v variables) Get(name string) (string, bool) {
	value, ok := v[name]
	return value, ok
}

// Keys are the names of the variables, in no order.
func (v variables) Keys() []string {
	var names []string
	for name := range v {
		names = append(names, name)
	}
	return names
}

// globalArguments are the build arguments that stand before the first FROM, with the
// suite's values, else their own; and BuildKit's own ones.
func globalArguments(words *shell.Lex, arguments []instructions.ArgCommand, build suite.Build) (variables, error) {
	given := variables{}
	for _, a := range build.Args {
		given[a.Name] = a.Value
	}
	known := platformArguments(build)
	for name := range known {
		if value, ok := given[name]; ok {
			known[name] = value
		}
	}
	for _, command := range arguments {
		for _, a := range command.Args {
			value, ok := given[a.Key]
			switch {
			case ok:
			case a.Value == nil:
				continue
			default:
				var err error
				if value, _, err = words.ProcessWord(*a.Value, known); err != nil {
					return nil, at(lineOf(command.Location()), err)
				}
			}
			known[a.Key] = value
		}
	}
	return known, nil
}

// platformArguments are those that BuildKit sets by itself. The engine's platform is taken
// to be Linux on a processor like ours, as far as the suite does not say another.
func platformArguments(build suite.Build) variables {
	platform := build.Platform
	if platform == "" {
		platform = "linux/" + runtime.GOARCH
	}
	system, processor, _ := strings.Cut(platform, "/")
	processor, variant, _ := strings.Cut(processor, "/")
	stage := build.Target
	if stage == "" {
		stage = "default"
	}
	return variables{
		"TARGETPLATFORM": platform, "TARGETOS": system, "TARGETARCH": processor, "TARGETVARIANT": variant, "TARGETSTAGE": stage,
		"BUILDPLATFORM": "linux/" + runtime.GOARCH, "BUILDOS": "linux", "BUILDARCH": runtime.GOARCH, "BUILDVARIANT": "",
	}
}

// stages are those of a Dockerfile.
type stages struct {
	d      *dockerfile
	list   []stage
	byName map[string]int // by their names in lower case; of two with one name, the later
	seen   map[int]bool   // those that the target needs, as far as found
}

// stage is one of a Dockerfile.
type stage struct {
	from    int    // the stage it continues; -1: another image
	image   string // as FROM says it, expanded, when it continues no stage
	line    int
	sources []origin // what it copies or mounts from, as written
}

// add takes a stage; those it can continue have been taken before.
func (s *stages) add(parsed instructions.Stage, words *shell.Lex, known variables) error {
	line := lineOf(parsed.Location)
	image, _, err := words.ProcessWord(parsed.BaseName, known)
	if err != nil {
		return at(line, err)
	}
	if image == "" {
		return at(line, fmt.Errorf("FROM %s names no image: it is empty once its arguments are put in", parsed.BaseName))
	}
	one := stage{from: -1, image: image, line: line}
	if earlier, ok := s.byName[strings.ToLower(image)]; ok {
		one.from = earlier
	}
	for _, command := range parsed.Commands {
		one.sources = append(one.sources, sourcesOf(command)...)
	}
	if parsed.Name != "" {
		s.byName[strings.ToLower(parsed.Name)] = len(s.list)
	}
	s.list = append(s.list, one)
	return nil
}

// sourcesOf are the stages and images that an instruction copies or mounts from.
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

// target is the stage to build.
func (s *stages) target(name string) (int, error) {
	if name == "" {
		return len(s.list) - 1, nil
	}
	if i, ok := s.stage(name); ok {
		return i, nil
	}
	return 0, at(0, fmt.Errorf("it has no stage %q", name))
}

// stage finds a stage by its name, or by its number.
func (s *stages) stage(name string) (int, bool) {
	if i, ok := s.byName[strings.ToLower(name)]; ok {
		return i, true
	}
	i, err := strconv.Atoi(name)
	return i, err == nil && i >= 0 && i < len(s.list)
}

// need notes the images that a stage is built on, itself or through other stages.
func (s *stages) need(i int) error {
	if s.seen[i] {
		return nil
	}
	s.seen[i] = true
	one := s.list[i]
	if one.from >= 0 {
		if err := s.need(one.from); err != nil {
			return err
		}
	} else if err := s.needImage(origin{one.image, one.line}); err != nil {
		return err
	}
	for _, source := range one.sources {
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

// needImage notes an image that is no stage.
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

// baseOf is the image that a stage continues, through other stages or not.
func (s *stages) baseOf(i int) (string, error) {
	for s.list[i].from >= 0 {
		i = s.list[i].from
	}
	if image := s.list[i].image; !strings.EqualFold(image, scratch) {
		return familiar(image)
	}
	return "", nil
}

// familiar is a reference as people write it, with its tag: two that mean the same image
// are equal. The ID of an image stays as it is.
func familiar(text string) (string, error) {
	named, err := reference.ParseNormalizedNamed(text)
	if err == nil {
		return reference.FamiliarString(reference.TagNameOnly(named)), nil
	}
	if _, other := reference.ParseAnyReference(text); other == nil {
		return text, nil
	}
	return "", fmt.Errorf("%q is not the name of an image: %w", text, err)
}
