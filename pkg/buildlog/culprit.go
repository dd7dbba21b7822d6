package buildlog

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

var (
	parseError = regexp.MustCompile(`(?i)dockerfile parse error (?:on )?line (\d+): `)
	exitStatus = regexp.MustCompile(`(?:exit code: |exit status |non-zero code: )(\d+)\s*$`)
	// the words of a builder about itself before the fault
	builderNoise = regexp.MustCompile(`^(?:failed to solve(?: with frontend [^:]*)?: |failed to create LLB definition: |rpc error: code = \w+ desc = )+`)
)

// Instruction is an instruction of a Dockerfile.
type Instruction struct {
	Line int    // the first of its lines, from 1
	Text string // on one line: RUN apt-get install -y opam
}

// Fault returns the failure as a *container.BuildError, and as ErrNoSpace too if the disk was full.
// Builders name only the instruction that failed; with the instructions of the Dockerfile, in its
// order, Fault finds its line.
func (r *Report) Fault(instructions []Instruction) error {
	failed, full := r.culprit(instructions)
	err := &container.BuildError{
		Line: failed.Line, Instruction: r.log.secrets.String(failed.Text), Code: r.code,
		Message: r.log.secrets.String(builderNoise.ReplaceAllString(r.Failure, "")),
	}
	if match := exitStatus.FindStringSubmatch(r.Failure); match != nil && err.Code == 0 && failed.is("RUN") {
		err.Code, _ = strconv.Atoi(match[1])
	}
	switch {
	case container.SaysNoSpace(r.Failure):
		return hint.Wrap(fmt.Errorf("%w: %w", container.ErrNoSpace, err), container.NoSpaceHint)
	case full:
		return hint.Wrap(err, "its output says that a disk is full: "+container.NoSpaceHint)
	}
	return err
}

// culprit returns the instruction that failed, as far as the report says; full reports whether
// its output says that a disk is full.
func (r *Report) culprit(all []Instruction) (failed Instruction, full bool) {
	if match := parseError.FindStringSubmatch(r.Failure); match != nil {
		failed.Line, _ = strconv.Atoi(match[1])
		return failed, false
	}
	if v := r.trace.failed(r.Failure); v != nil {
		return ofVertex(v.name, all), v.full
	}
	return ofStep(r.step, all), r.full
}

// is reports whether the instruction has one of these keywords.
func (i Instruction) is(keywords ...string) bool {
	first, _, _ := strings.Cut(i.Text, " ")
	return slices.ContainsFunc(keywords, func(keyword string) bool { return strings.EqualFold(first, keyword) })
}

// inStage returns the instructions of a stage, from its FROM on. BuildKit calls a stage by its
// name, or stage-1 counted from 0; Podman counts from 1. If there is only one, stage is empty.
func inStage(stage string, all []Instruction) (found []Instruction) {
	name, number := "", 0
	for _, i := range all {
		if i.is("FROM") {
			name = fmt.Sprintf("stage-%d", number)
			if words := strings.Fields(i.Text); len(words) > 3 && strings.EqualFold(words[len(words)-2], "AS") {
				name = words[len(words)-1]
			}
			number++
		}
		if number > 0 && (stage == "" || strings.EqualFold(stage, name) || stage == strconv.Itoa(number)) {
			found = append(found, i)
		}
	}
	return found
}

var (
	// "[build 2/5] RUN make", with the platform before it where there are several
	instructionVertex = regexp.MustCompile(`^\[(?:\S+/\S+ )?(?:(\S+) )?\s*(\d+)/(\d+)\] (.*)$`)
	// the resolution of a base image, or of an image to copy from
	imageVertex = regexp.MustCompile(`^(?:\[internal\] load metadata for|FROM) (\S+)`)
	// how the classic builder ("Step 2/5 : RUN make") and Podman ("[1/2] STEP 2/5: RUN make",
	// where there are several stages) begin an instruction
	step = regexp.MustCompile(`^(?:Step (\d+)/\d+ : |(?:\[(\d+)/\d+\] )?STEP (\d+)(?:/\d+)?: )(.*)$`)
)

// ofVertex returns the instruction that a vertex of BuildKit executes. The vertex has the text of
// the instruction with its variables expanded, but no line number. BuildKit numbers the
// instructions of a stage that make a layer, after those that the base image adds (ONBUILD);
// therefore ofVertex counts from the end.
func ofVertex(name string, all []Instruction) Instruction {
	if match := imageVertex.FindStringSubmatch(name); match != nil {
		return ofImage(match[1], all)
	}
	match := instructionVertex.FindStringSubmatch(name)
	if match == nil {
		return Instruction{}
	}
	number, _ := strconv.Atoi(match[2])
	total, _ := strconv.Atoi(match[3])
	counted := slices.DeleteFunc(inStage(match[1], all), func(i Instruction) bool { return !i.is("FROM", "ADD", "COPY", "RUN", "WORKDIR") })
	return sameKind(match[4], counted, max(0, len(counted)-1-(total-number)))
}

// ofStep returns the instruction of a line that matches step. The classic builder numbers all
// instructions, Podman those of each stage.
func ofStep(line string, all []Instruction) Instruction {
	match := step.FindStringSubmatch(line)
	if match == nil {
		return Instruction{}
	}
	if match[1] == "" {
		all = inStage(match[2], all)
	}
	n, _ := strconv.Atoi(match[1] + match[3]) // one of them is empty
	return sameKind(match[4], all, n-1)
}

// sameKind returns the counted instruction at that place if it has the keyword of the executed
// text. Otherwise only the text is known.
func sameKind(executed string, counted []Instruction, place int) Instruction {
	keyword, _, _ := strings.Cut(executed, " ")
	if place >= 0 && place < len(counted) && counted[place].is(keyword) {
		return counted[place]
	}
	return Instruction{Text: executed}
}

// ofImage returns the first instruction that names an image.
func ofImage(ref string, all []Instruction) Instruction {
	wanted := normalized(ref)
	for _, i := range all {
		for _, word := range strings.FieldsFunc(i.Text, func(r rune) bool { return strings.ContainsRune(" =,", r) }) {
			if i.is("FROM", "COPY", "RUN") && wanted != "" && normalized(word) == wanted {
				return i
			}
		}
	}
	return Instruction{}
}

// normalized returns the one way to write the name of an image; empty: it cannot be one.
func normalized(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ""
	}
	return reference.TagNameOnly(named).String()
}
