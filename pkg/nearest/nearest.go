// Package nearest finds the name that a person who mistyped one had in mind.
package nearest

import (
	"slices"
	"strconv"
	"strings"
)

// maxName is the longest name, in bytes, worth comparing: the time grows with its square.
const maxName = 200

// Of returns the candidate nearest to name, or "" if none is near. It ignores case. A candidate is
// near if one typo separates it from name: a letter too many, missing or wrong, or two neighbours
// swapped. In names of eight letters or more it may be two typos.
func Of(name string, candidates []string) string {
	if len(name) > maxName {
		return ""
	}
	typed := []rune(strings.ToLower(name))
	limit := 1
	if len(typed) >= 8 {
		limit = 2
	}
	best, fewest := "", min(limit+1, len(typed)) // every single letter is one typo from every other
	for _, candidate := range candidates {
		if len(candidate) > maxName {
			continue
		}
		if n := typos(typed, []rune(strings.ToLower(candidate)), limit); n < fewest {
			best, fewest = candidate, n
		}
	}
	return best
}

// Hint returns the question whether Of's candidate is meant, or "".
func Hint(name string, candidates []string) string {
	best := Of(name, candidates)
	if best == "" {
		return ""
	}
	return "did you mean " + strconv.Quote(best) + "?"
}

// typos returns the optimal string alignment distance of a and b: Levenshtein's, where swapping two
// neighbours counts as one edit. Beyond limit it may return any greater number.
func typos(a, b []rune, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	var before []int // the distances of a[:i-2] to each b[:j]
	above := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			if a[i-1] == b[j-1] {
				row[j] = above[j-1]
				continue
			}
			row[j] = min(above[j], row[j-1], above[j-1]) + 1
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		if slices.Min(row) > limit {
			return limit + 1
		}
		before, above = above, row
	}
	return above[len(b)]
}
