package render

import (
	"net/url"
	"strconv"

	"runtests/pkg/report"
)

// relative is a link to a file of the folder that the page is in. Whatever the name
// holds, it leads to no other place; an empty name gives no link.
func relative(name string) string {
	if name == "" || name == "." || name == ".." {
		return ""
	}
	return "./" + url.PathEscape(name)
}

// anchor names, in a run's page, its step of that index.
func anchor(step int) string { return "s" + strconv.Itoa(step) }

// stepCommit is the commit of a test's directory in words.
func stepCommit(step *report.Result) string {
	switch {
	case step.Commit == "":
		return ""
	case step.Dirty:
		return shortID(step.Commit) + ", with uncommitted changes"
	}
	return shortID(step.Commit)
}
