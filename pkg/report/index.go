package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// indexFile is, in a suite's logs folder, what the history needs of the records. It can be removed at
// any time. Its first line has the version and the checksum of the rest, which is JSON.
const indexFile = "history"

// indexVersion grows when an index of before would be misread.
const indexVersion = 2

// maxIndex bounds what is read of an index, in bytes: ten years of 1,000 steps each night.
const maxIndex = 128 << 20

// stamp tells whether a record is still the one that was read: each is a file of its
// own, put in the place of the one before.
type stamp struct {
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // nanoseconds since 1970
	Inode    uint64 `json:"inode"`
}

// indexed is a run of the index.
type indexed struct {
	Past
	stamp
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, noRecord(path, err)
	}
	s := stamp{Size: info.Size(), Modified: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Inode = sys.Ino
	}
	return s, nil
}

// index is the content of the file: a table of names, and the steps of each run in columns.
type index struct {
	Names []indexName `json:"names"`
	Runs  []indexRun  `json:"runs"`
}

type indexName struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
}

type indexRun struct {
	ID string `json:"id"`
	stamp
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	Partial  bool      `json:"partial,omitempty"`
	// Steps are indices into the names; null: those of the run before it in the file.
	Steps        []int           `json:"steps"`
	Outcomes     string          `json:"outcomes"`          // a letter for each
	Milliseconds []int64         `json:"milliseconds"`      // for each
	Failing      map[int]Failing `json:"failing,omitempty"` // by position in Steps
}

// letters stand for outcomes, in the index and wherever many of them are shown. What
// did not pass has a capital.
var letters = []struct {
	letter  byte
	outcome Outcome
}{
	{'p', Passed}, {'F', Failed}, {'T', Timeout}, {'B', Broken}, {'X', Blocked}, {'I', Interrupted}, {'-', ""},
}

// noLetter stands for an outcome that this program does not know.
const noLetter = '?'

// Letter is the letter that stands for o.
func (o Outcome) Letter() byte {
	for _, l := range letters {
		if l.outcome == o {
			return l.letter
		}
	}
	return noLetter
}

func outcomeOf(letter byte) Outcome {
	for _, l := range letters {
		if l.letter == letter {
			return l.outcome
		}
	}
	return Outcome(noLetter)
}

// readIndex returns the runs of the index by ID; none when it is missing or wrong.
func readIndex(logs string) map[string]indexed {
	runs, err := loadIndex(filepath.Join(logs, indexFile))
	if err != nil {
		return map[string]indexed{} // the records are read in its place
	}
	return runs
}

func loadIndex(path string) (map[string]indexed, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxIndex {
		return nil, fmt.Errorf("%s: not an index of runs", path)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(file, data); err != nil {
		return nil, err
	}
	return decodeIndex(data)
}

// indexHead is the first line of an index whose rest is body.
func indexHead(body []byte) string {
	sum := sha256.Sum256(body)
	return fmt.Sprintf("runtests history %d %s\n", indexVersion, hex.EncodeToString(sum[:]))
}

var errIndex = errors.New("the index of the runs is wrong")

func decodeIndex(data []byte) (map[string]indexed, error) {
	head, body, _ := bytes.Cut(data, []byte("\n"))
	if string(head)+"\n" != indexHead(body) {
		return nil, errIndex
	}
	var in index
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	runs := map[string]indexed{}
	var steps []int
	for _, run := range in.Runs {
		if run.Steps != nil {
			steps = run.Steps
		}
		past, err := run.past(steps, in.Names)
		if err != nil {
			return nil, err
		}
		runs[run.ID] = indexed{past, run.stamp}
	}
	return runs, nil
}

func (run *indexRun) past(steps []int, names []indexName) (Past, error) {
	past := Past{ID: run.ID, Started: run.Started, Finished: run.Finished, Partial: run.Partial, Steps: make([]PastStep, len(steps))}
	if len(run.Outcomes) != len(steps) || len(run.Milliseconds) != len(steps) {
		return past, errIndex
	}
	for i, n := range steps {
		if n < 0 || n >= len(names) {
			return past, errIndex
		}
		past.Steps[i] = PastStep{
			Name:     names[n].Name,
			Kind:     names[n].Kind,
			Outcome:  outcomeOf(run.Outcomes[i]),
			Duration: Duration(run.Milliseconds[i]) * Duration(time.Millisecond),
		}
		if failing, ok := run.Failing[i]; ok {
			past.Steps[i].Failing = &failing
		}
	}
	return past, nil
}

// encodeIndex writes the runs with their stamps.
func encodeIndex(runs []Past, stamps map[string]indexed) ([]byte, error) {
	out := index{Names: []indexName{}, Runs: make([]indexRun, len(runs))}
	numbers := map[indexName]int{}
	var before []int
	for i := range runs {
		past := &runs[i]
		run := indexRun{ID: past.ID, stamp: stamps[past.ID].stamp, Started: past.Started, Finished: past.Finished, Partial: past.Partial}
		run.setSteps(past.Steps, func(name indexName) int {
			n, ok := numbers[name]
			if !ok {
				n = len(out.Names)
				numbers[name] = n
				out.Names = append(out.Names, name)
			}
			return n
		})
		if before != nil && slices.Equal(run.Steps, before) {
			run.Steps = nil
		} else {
			before = run.Steps
		}
		out.Runs[i] = run
	}
	body, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	return append([]byte(indexHead(body)), body...), nil
}

func (run *indexRun) setSteps(steps []PastStep, number func(indexName) int) {
	var outcomes strings.Builder
	run.Steps = make([]int, len(steps))
	run.Milliseconds = make([]int64, len(steps))
	for i := range steps {
		step := &steps[i]
		run.Steps[i] = number(indexName{step.Name, step.Kind})
		run.Milliseconds[i] = time.Duration(step.Duration).Milliseconds()
		outcomes.WriteByte(step.Outcome.Letter())
		if step.Failing != nil {
			if run.Failing == nil {
				run.Failing = map[int]Failing{}
			}
			run.Failing[i] = *step.Failing
		}
	}
	run.Outcomes = outcomes.String()
}

// writeIndex replaces the index, atomically.
func writeIndex(logs string, runs []Past, stamps map[string]indexed) error {
	data, err := encodeIndex(runs, stamps)
	if err != nil {
		return fmt.Errorf("write the index of the runs: %w", err)
	}
	if err := replaceIn(logs, indexFile, data); err != nil {
		return fmt.Errorf("write the index of the runs: %w", err)
	}
	return nil
}

// replaceIn replaces a file of the folder logs, atomically. No link is followed.
func replaceIn(logs, name string, data []byte) error {
	root, err := os.OpenRoot(logs)
	if err != nil {
		return err
	}
	file, err := renameio.NewPendingFile(name, renameio.WithRoot(root), renameio.WithPermissions(fileMode))
	if err != nil {
		return errors.Join(err, root.Close())
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.CloseAtomicallyReplace()
	}
	return errors.Join(err, file.Cleanup(), root.Close())
}
