package engine

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/distribution/reference"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// BuildError is a build that the builder gave up, mostly for an instruction of its Dockerfile.
type BuildError struct {
	Line        int    // the first of the instruction's; 0: not known
	Instruction string // on one line; empty: not known
	Code        int    // the exit status of a RUN; 0: it is something else that failed
	Message     string // the builder's words, without the values of secret arguments
}

// Error says which instruction failed and how.
func (e *BuildError) Error() string {
	told := e.Message
	if e.Code != 0 {
		told = fmt.Sprintf("exit status %d", e.Code)
	}
	if e.Instruction != "" {
		told = shortened(e.Instruction) + ": " + told
	}
	if e.Line > 0 {
		told = fmt.Sprintf("line %d of the Dockerfile: %s", e.Line, told)
	}
	return told
}

// maxInstruction is how much of an instruction an error shows, in characters.
const maxInstruction = 120

func shortened(instruction string) string {
	if runes := []rune(instruction); len(runes) > maxInstruction {
		return strings.TrimSpace(string(runes[:maxInstruction-1])) + "…"
	}
	return instruction
}

var (
	parseError = regexp.MustCompile(`(?i)dockerfile parse error (?:on )?line (\d+): `)
	exitStatus = regexp.MustCompile(`(?:exit code: |exit status |non-zero code: )(\d+)\s*$`)
	// what builders say about themselves before the fault
	builderNoise = regexp.MustCompile(`^(?:failed to solve(?: with frontend [^:]*)?: |failed to create LLB definition: |rpc error: code = \w+ desc = )+`)
)

// fault is the failure that the engine told, as an error.
func (r *buildReport) fault(instructions []Instruction) error {
	failed, full := r.culprit(instructions)
	err := &BuildError{
		Line: failed.Line, Instruction: r.log.masked(failed.Text), Code: r.code,
		Message: r.log.masked(builderNoise.ReplaceAllString(r.failure, "")),
	}
	if match := exitStatus.FindStringSubmatch(r.failure); match != nil && err.Code == 0 && failed.is("RUN") {
		err.Code, _ = strconv.Atoi(match[1])
	}
	switch {
	case saysFull(r.failure):
		return hint.Wrap(fmt.Errorf("%w: %w", container.ErrNoSpace, err), noSpaceHint)
	case full:
		return hint.Wrap(err, "its output says that a disk is full: "+noSpaceHint)
	}
	return err
}

const noSpaceHint = "`runtests clean` and `docker system df` say what can go"

// culprit is the instruction that failed, as far as the report tells; full says that it
// printed that a disk is full.
func (r *buildReport) culprit(all []Instruction) (failed Instruction, full bool) {
	if match := parseError.FindStringSubmatch(r.failure); match != nil {
		failed.Line, _ = strconv.Atoi(match[1])
		return failed, false
	}
	if v := r.trace.failed(r.failure); v != nil {
		return ofVertex(v.name, all), v.full
	}
	return ofStep(r.step, all), r.full
}

// is says that it is such an instruction.
func (i Instruction) is(keywords ...string) bool {
	first, _, _ := strings.Cut(i.Text, " ")
	for _, keyword := range keywords {
		if strings.EqualFold(first, keyword) {
			return true
		}
	}
	return false
}

// stages are the instructions of each stage, from its FROM on.
func stages(all []Instruction) [][]Instruction {
	var found [][]Instruction
	for _, i := range all {
		if i.is("FROM") {
			found = append(found, nil)
		}
		if n := len(found); n > 0 {
			found[n-1] = append(found[n-1], i)
		}
	}
	return found
}

var (
	// "[build 2/5] RUN make", with the platform before it where there are several
	instructionVertex = regexp.MustCompile(`^\[(?:\S+/\S+ )?(?:(\S+) )?\s*(\d+)/(\d+)\] (.*)$`)
	// the look at an image that the Dockerfile builds on, or at what it copies from
	imageVertex = regexp.MustCompile(`^(?:\[internal\] load metadata for|FROM) (\S+)`)
)

// ofVertex is the instruction that a vertex of BuildKit's executes. BuildKit counts in each
// stage those that make a layer, and before them what the base image has for its children
// (ONBUILD): so they are counted from the end.
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
	executed := Instruction{Text: match[4]}
	var counted []Instruction
	for _, i := range stageNamed(match[1], stages(all)) {
		if executed.is("FROM") && i.is("FROM") {
			return i
		}
		if i.is("ADD", "COPY", "RUN", "WORKDIR") {
			counted = append(counted, i)
		}
	}
	return sameKind(executed, counted, len(counted)-1-(total-number))
}

// stageNamed is a stage as BuildKit calls it: by its own name, or its number as stage-1, or
// not at all when there is only one.
func stageNamed(name string, all [][]Instruction) []Instruction {
	for i, stage := range all {
		words := strings.Fields(stage[0].Text)
		own := ""
		if n := len(words); n > 3 && strings.EqualFold(words[n-2], "AS") {
			own = words[n-1]
		}
		if name == "" && len(all) == 1 || strings.EqualFold(name, own) && own != "" || own == "" && name == fmt.Sprintf("stage-%d", i) {
			return stage
		}
	}
	return nil
}

// ofImage is the first instruction that names an image.
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

// normalized is the one way to write the name of an image; empty: it cannot be one.
func normalized(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ""
	}
	return reference.TagNameOnly(named).String()
}

// step is the line with which the classic builder ("Step 2/5 : RUN make") and Podman
// ("[1/2] STEP 2/5: RUN make", where there are several stages) begin an instruction.
var step = regexp.MustCompile(`^(?:Step (\d+)/\d+ : |(?:\[(\d+)/\d+\] )?STEP (\d+)(?:/\d+)?: )(.*)$`)

// ofStep is the instruction of such a line. The classic builder counts all of them, Podman
// those of a stage.
func ofStep(line string, all []Instruction) Instruction {
	match := step.FindStringSubmatch(line)
	if match == nil {
		return Instruction{}
	}
	counted, number := all, match[1]
	if match[1] == "" {
		stage, _ := strconv.Atoi(match[2])
		number = match[3]
		counted = nil
		if found := stages(all); max(stage, 1) <= len(found) {
			counted = found[max(stage, 1)-1]
		}
	}
	n, _ := strconv.Atoi(number)
	return sameKind(Instruction{Text: match[4]}, counted, n-1)
}

// sameKind is the instruction at that place of those that were counted, when it is of the kind
// of the one that was executed; else all that is known of the latter.
func sameKind(executed Instruction, counted []Instruction, place int) Instruction {
	keyword, _, _ := strings.Cut(executed.Text, " ")
	if place >= 0 && place < len(counted) && counted[place].is(keyword) {
		return counted[place]
	}
	return executed
}
