package render

import (
	"net/url"
	"strconv"
)

// relative returns a link to a file in the folder of the page, or "" if name is empty. No name leads
// anywhere else.
func relative(name string) string {
	if name == "" || name == "." || name == ".." {
		return ""
	}
	return "./" + url.PathEscape(name)
}

// anchor returns the anchor, in a run's page, of the step of that index.
func anchor(step int) string { return "s" + strconv.Itoa(step) }
