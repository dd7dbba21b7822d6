package report

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/plain"
)

func TestMaskOfAResult(t *testing.T) {
	lines := []string{"hunter2 at the start", "ter2-word was cut", "token hunter2-word"}
	r := Result{
		Name: "a@b", Command: "docker run x -phunter2-word", Reason: "no hunter2-word", Hint: "hunter2-word", Notes: []string{"hunter2-word"},
		Log: Log{Tail: plain.Tail{Lines: lines, Cut: map[int]int64{1: 10}}},
	}
	r.Mask(plain.NewMask([]string{"hunter2-word"}))
	want := Result{
		Name: "a@b", Command: "docker run x -p***", Reason: "no ***", Hint: "***", Notes: []string{"***"},
		Log: Log{Tail: plain.Tail{Lines: []string{"hunter2 at the start", "*** was cut", "token ***"}, Cut: map[int]int64{1: 10}}},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	if lines[2] != "token hunter2-word" {
		t.Error("the lines of the caller are changed")
	}
}

// The words of a commit are a stranger's.
func TestMaskOfCommits(t *testing.T) {
	commits := []Commit{{ID: "1", Author: "A. hunter2-word", Subject: "use hunter2-word"}}
	r := Result{Verdict: &Verdict{Commits: commits}}
	r.Mask(plain.NewMask([]string{"hunter2-word"}))
	if diff := cmp.Diff([]Commit{{ID: "1", Author: "A. ***", Subject: "use ***"}}, r.Verdict.Commits); diff != "" {
		t.Error(diff)
	}
	if commits[0].Author != "A. hunter2-word" {
		t.Error("the commits of the caller are changed")
	}
}
