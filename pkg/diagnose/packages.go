package diagnose

import (
	"context"
	"strings"
	"unicode"

	"runtests/pkg/report"
)

// maxPackages is how many packages a verdict has at most: an upgrade of a distribution changes all of
// them.
const maxPackages = 500

// addPackages adds the packages that differ between the two images to the verdict, if they are known.
func (i *inquiry) addPackages(ctx context.Context) {
	changes, err := i.Lab.Packages(ctx, i.Passed.ImageID, i.Failed.ImageID)
	if err != nil {
		return // for example, an image has no shell; the verdict holds without them
	}
	changes = namedFirst(changes, i.Failed.Log.Tail.Lines)
	i.verdict.Packages = changes[:min(len(changes), maxPackages)]
}

// namedFirst puts the packages that lines name before the others.
func namedFirst(changes []report.PackageChange, lines []string) []report.PackageChange {
	words := map[string]bool{}
	for _, line := range lines {
		for word := range strings.FieldsFuncSeq(line, func(c rune) bool { return !partOfName(c) }) {
			words[strings.ToLower(word)] = true
			words[strings.ToLower(strings.Trim(word, ".:-+"))] = true // the end of a sentence
		}
	}
	var named, others []report.PackageChange
	for _, c := range changes {
		if words[strings.ToLower(c.Name)] {
			named = append(named, c)
		} else {
			others = append(others, c)
		}
	}
	return append(named, others...)
}

// partOfName reports whether the name of a package can contain c.
func partOfName(c rune) bool {
	return unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("+-._@", c)
}
