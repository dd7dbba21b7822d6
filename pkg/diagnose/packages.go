package diagnose

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"runtests/pkg/report"
)

// maxPackages is how many packages a verdict has at most: an upgrade of a distribution
// changes all.
const maxPackages = 500

// packages adds those that differ between the two images to the verdict, if they are known.
func (i *inquiry) packages(ctx context.Context) {
	changes, err := i.Lab.Packages(ctx, i.Passed.ImageID, i.Failed.ImageID)
	if err != nil {
		return // an image without a shell does not say; the verdict is as good
	}
	changes = namedFirst(changes, i.Failed.Log.Tail.Lines)
	i.verdict.Packages = changes[:min(len(changes), maxPackages)]
}

// namedFirst puts the packages that lines name before the others.
func namedFirst(changes []report.PackageChange, lines []string) []report.PackageChange {
	words := map[string]bool{}
	for _, line := range lines {
		for _, word := range strings.FieldsFunc(line, func(c rune) bool { return !partOfName(c) }) {
			words[strings.ToLower(word)] = true
			words[strings.ToLower(strings.Trim(word, ".:-+"))] = true // the end of a sentence
		}
	}
	named := func(c report.PackageChange) int {
		if words[strings.ToLower(c.Name)] {
			return 0
		}
		return 1
	}
	changes = slices.Clone(changes)
	slices.SortStableFunc(changes, func(a, b report.PackageChange) int { return named(a) - named(b) })
	return changes
}

// partOfName says that c may be in the name of a package.
func partOfName(c rune) bool {
	return unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("+-._@", c)
}
