package suite

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v4"

	"runtests/pkg/plain"
)

const (
	// maxVisits bounds the values read from one file, those that aliases repeat
	// included: a file of a few lines can stand for billions.
	maxVisits = 100_000
	// maxList bounds a list, and the variables of a container: each step has a copy.
	maxList = 1000
	// maxProblems bounds the problems that are kept.
	maxProblems = 1000
)

// decoder reads one suite file and collects what is found in it.
type decoder struct {
	file     string // as the caller named it
	path     string // absolute
	source   source
	env      Env
	from     place
	files    files
	problems []Problem
	warnings []string
	// protected are the files that were read for the suite, in addition to those that it names.
	protected []protected
	deployed  []deployment // the entries of `deploy`, with their places in the file
	visits    int
	secrets   []string // values of secret variables that the file used so far
	// hasSecret: a value that is not to be printed stands in the file itself. No problem shows
	// a line of it then.
	hasSecret bool
}

// value returns the value of the file that n holds.
func (d *decoder) value(n *yaml.Node) value { return value{d: d, node: n} }

func (d *decoder) failAt(line, column int, remedy, format string, args ...any) {
	if len(d.problems) >= maxProblems {
		return
	}
	line, column = d.source.clamp(line, column)
	d.problems = append(d.problems, Problem{
		File: d.file, Line: line, Column: column,
		Message: fmt.Sprintf(format, args...), Hint: remedy,
	})
}

// faultless reports whether read reports no problem.
func (d *decoder) faultless(read func()) bool {
	before := len(d.problems)
	read()
	return len(d.problems) == before
}

func (d *decoder) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(d.warnings, text) {
		d.warnings = append(d.warnings, text)
	}
}

// isOpen reports whether a regular file has any of the permissions.
func (d *decoder) isOpen(file string, permissions fs.FileMode) bool {
	mode, err := d.files.mode(file)
	return err == nil && mode.IsRegular() && mode.Perm()&permissions != 0
}

// warnIfWritable warns if others can change what root will run.
func (d *decoder) warnIfWritable() {
	if !d.env.Root {
		return
	}
	file := plain.Clean(d.file)
	if d.isOpen(d.path, 0o022) {
		d.warn("the suite file %s can be changed by others, and root runs it: chmod go-w %s", file, file)
	}
	dir := filepath.Dir(d.files.resolve(d.path))
	if mode, err := d.files.mode(dir); err == nil && mode.Perm()&0o022 != 0 && mode&fs.ModeSticky == 0 {
		d.warn("the suite file %s can be replaced by others, and root runs it: chmod go-w %s", file, plain.Clean(dir))
	}
}

// warnIfOpen warns if a file of secrets has any of the permissions.
func (d *decoder) warnIfOpen(what, file string, permissions fs.FileMode) {
	if d.isOpen(file, permissions) {
		d.warn("the %s %s can be read by others: chmod 600 %s", what, plain.Clean(file), plain.Clean(file))
	}
}
