package images

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"runtests/pkg/buildcontext"
	"runtests/pkg/buildlog"
	"runtests/pkg/nearest"
	"runtests/pkg/suite"
)

// scratch is the base of an image that begins empty.
const scratch = "scratch"

// dockerfile is what a Dockerfile says about the images that its target is built on.
type dockerfile struct {
	origins      []origin // each once, in the order in which they are needed
	base         string   // the origin whose layers the target begins with; empty: none
	instructions []buildlog.Instruction
}

// origin is an image that a Dockerfile builds on, and the line that names it.
type origin struct {
	reference string // familiar, with its tag
	line      int
}

// references returns the references of the origins.
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

// at returns err with a line. A line that err has already is nearer to the fault.
func at(line int, err error) error {
	var known *lineError
	if err == nil || errors.As(err, &known) {
		return err
	}
	var located *parser.LocationError
	if errors.As(err, &located) {
		err = located
		if ranges := slices.Concat(located.Locations...); len(ranges) > 0 {
			line = max(ranges[0].Start.Line, 1)
		}
	}
	return &lineError{line: line, err: err}
}

// readDockerfile reads the Dockerfile of a build. The error is a *lineError if the content of the
// file is at fault.
func readDockerfile(build suite.Build) (*dockerfile, error) {
	content, _, err := buildcontext.ReadFile(build.Context, build.Dockerfile)
	if err != nil {
		return nil, err
	}
	d, err := parseDockerfile(content, build)
	return d, inFile(build.Dockerfile, err)
}

// inFile returns an error of parseDockerfile with the name of the file.
func inFile(name string, err error) error {
	var fault *lineError
	if !errors.As(err, &fault) {
		return err
	}
	return &lineError{file: name, line: fault.line, err: fault.err}
}

// parseDockerfile finds the images that the target of a build is built on. As BuildKit does, it
// ignores the stages that the target does not need.
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

// instructionNames are the instructions of a Dockerfile, the frequent ones first.
var instructionNames = []string{
	"RUN", "COPY", "FROM", "ENV", "ARG", "WORKDIR", "USER", "CMD", "ENTRYPOINT", "LABEL", "EXPOSE", "ADD", "VOLUME",
	"SHELL", "HEALTHCHECK", "ONBUILD", "STOPSIGNAL", "MAINTAINER",
}

// suggested adds the nearest known instruction to the error for an unknown one. The parser's own
// suggestion varies if several are equally near.
func suggested(err error) error {
	var unknown *instructions.UnknownInstructionError
	if !errors.As(err, &unknown) {
		return err
	}
	message := unknown.Error()
	if best := nearest.Of(unknown.Instruction, instructionNames); best != "" {
		message += fmt.Sprintf(" (did you mean %s?)", best)
	}
	return &lineError{line: unknown.Line, err: errors.New(message)}
}

// instructionsOf returns the instructions of a Dockerfile, which the engine names in its errors.
func instructionsOf(tree *parser.Node) (all []buildlog.Instruction) {
	for _, node := range tree.Children {
		all = append(all, buildlog.Instruction{Line: node.StartLine, Text: node.Original})
	}
	return all
}

// variables are the variables that a FROM can name, as the shell package reads them.
type variables map[string]string

// Get returns the value of a variable.
func (v variables) Get(name string) (string, bool) {
	value, ok := v[name]
	return value, ok
}

// Keys returns the names of the variables, in no order.
func (v variables) Keys() []string {
	return slices.Collect(maps.Keys(v))
}

// globalArguments returns the build arguments before the first FROM, with the suite's values or
// else their defaults, and those that BuildKit sets.
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

// platformArguments returns the arguments that BuildKit sets. If the suite does not say otherwise,
// the engine's platform is assumed to be Linux on our processor.
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
