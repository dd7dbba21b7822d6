package suite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"runtests/pkg/hint"
	"runtests/pkg/plain"
)

// maxFile bounds a suite file, in bytes.
const maxFile = 4 << 20

// Env is the environment in which a suite file is read.
type Env struct {
	Dir    string // the working directory, absolute
	Lookup func(name string) (value string, ok bool)
	Root   bool // root will run the suite: warn if others can change it
}

func (e Env) place(dir string) place {
	p := place{dir: dir, home: "/"}
	if e.Lookup != nil {
		if home, ok := e.Lookup("HOME"); ok && filepath.IsAbs(home) {
			p.home = home
		}
	}
	return p
}

// Load reads a suite file, replaces the variables in it, checks it and expands it
// into steps. A relative path starts from the working directory. For faults in the file, the
// error is an *Errors. If there is no file, it wraps fs.ErrNotExist.
//
// Load does not look at test directories and their scripts: see Step.CheckScript.
func Load(file string, env Env, o Overrides) (*Suite, error) {
	path := absolute(env.Dir, file)
	over, err := o.check(env)
	if err != nil {
		return nil, err
	}
	text, err := readSuite(file, path)
	if err != nil {
		return nil, err
	}
	d := &decoder{file: file, path: path, env: env, from: env.place(filepath.Dir(path)), files: disk{}}
	return d.load(text, over)
}

// load reads the text of the file.
func (d *decoder) load(text string, over overrides) (*Suite, error) {
	d.source = newSource(text)
	s := d.suite(text, over)
	if len(d.problems) > 0 {
		d.addExcerpts()
		sortProblems(d.problems)
		return nil, &Errors{d.problems}
	}
	d.warnIfWritable()
	s.Warnings = d.warnings
	return s, nil
}

func readSuite(file, path string) (string, error) {
	data, err := readFile(path, maxFile)
	switch {
	case isNotExist(err):
		return "", hint.Errorf("name another file with -f FILE, or run without one: runtests run DIR --image IMAGE", "read suite file %q: %w", file, err)
	case err != nil:
		return "", fmt.Errorf("read suite file %q: %w", file, err)
	case strings.TrimSpace(strings.TrimPrefix(string(data), "\ufeff")) == "":
		return "", fmt.Errorf("read suite file %q: it is empty", file)
	}
	return string(data), nil
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// sections is the file itself. Its sections are kept as nodes, because they are read in the
// order in which they need each other, not in that of the file.
type sections struct {
	Suite
	defaults, images, tests, mail, deploy *yaml.Node
}

var suiteKeys = keys[sections]{
	what: "the suite", extensions: true,
	set: map[string]setter[sections]{
		"name":             textKey(properName, func(s *sections) *string { return &s.Name }),
		"logs":             textKey(filePath, func(s *sections) *string { return &s.Logs }),
		"lines":            intKey(0, 100_000, func(s *sections) *int { return &s.Lines }),
		"jobs":             intKey(1, 1000, func(s *sections) *int { return &s.Jobs }),
		"diagnose":         boolKey(func(s *sections) *bool { return &s.Diagnose }),
		"diagnose_timeout": durationKey(time.Nanosecond, func(s *sections) *time.Duration { return &s.DiagnoseTimeout }),
		"keep_images":      intKey(0, 1000, func(s *sections) *int { return &s.KeepImages }),
		"keep_runs":        intKey(1, 100_000, func(s *sections) *int { return &s.KeepRuns }),
		"max_log":          sizeKey(minMaxLog, func(s *sections) *int64 { return &s.MaxLog }),
		"min_free_disk":    sizeKey(0, func(s *sections) *int64 { return &s.MinFreeDisk }),
		"run_timeout":      durationKey(time.Nanosecond, func(s *sections) *time.Duration { return &s.RunTimeout }),
		"ping":             setPing,
		"defaults":         keep(func(s *sections) **yaml.Node { return &s.defaults }),
		"images":           keep(func(s *sections) **yaml.Node { return &s.images }),
		"tests":            keep(func(s *sections) **yaml.Node { return &s.tests }),
		"mail":             keep(func(s *sections) **yaml.Node { return &s.mail }),
		"deploy":           keep(func(s *sections) **yaml.Node { return &s.deploy }),
	},
}

func keep(field func(*sections) **yaml.Node) setter[sections] {
	return func(_ *decoder, to *sections, n *yaml.Node) { *field(to) = n }
}

// minMaxLog leaves room for a head and a tail that show what happened.
const minMaxLog = 64 << 10

// setPing reads a URL that is never printed, not even if it is wrong: whoever knows it can
// report that a run went well. An empty value, as of a variable that is not set, means none.
func setPing(d *decoder, s *sections, n *yaml.Node) {
	d.secret = true
	defer func() { d.secret = false }()
	if text, ok := d.text(n, pingURL); ok {
		s.Ping = text
	}
}

// newSuite returns a suite with the defaults.
func newSuite(file, dir string) Suite {
	s := Suite{
		Name: filepath.Base(dir), File: file, Dir: dir, Logs: "logs", Lines: 40, Jobs: 1, KeepRuns: 30, KeepImages: 2, MinFreeDisk: 5 << 30, MaxLog: 1 << 30,
		Diagnose: true, DiagnoseTimeout: 30 * time.Minute,
	}
	if wrong, _ := properName(s.Name); wrong != "" {
		s.Name = "runtests"
	}
	return s
}

func (d *decoder) suite(text string, over overrides) *Suite {
	root := d.document(text)
	if root == nil {
		return nil
	}
	raw := sections{Suite: newSuite(d.path, d.from.dir)}
	suiteKeys.decode(d, &raw, root)
	s := &raw.Suite
	s.Logs = d.from.abs(s.Logs)
	e := expander{d: d, names: map[string]bool{}, over: over, defaults: initialSettings()}
	d.within("images", raw.images, func(n *yaml.Node) { e.images = d.images(n) })
	d.within("defaults", raw.defaults, func(n *yaml.Node) { defaultsKeys.decode(d, &e.defaults, n) })
	d.within("tests", raw.tests, e.read)
	d.within("mail", raw.mail, func(n *yaml.Node) { s.Mail = d.mail(n) })
	s.Steps, s.Images = e.steps, e.images.list
	d.within("deploy", raw.deploy, func(n *yaml.Node) { s.Deployments = d.deployments(n, s, over.image != "") })
	s.outside = outside{images: e.images, defaults: e.defaults, over: over, file: d.file, env: d.env}
	s.Secrets = d.secretsOf(s)
	return s
}

// within reads the section n, if it is given.
func (d *decoder) within(key string, n *yaml.Node, read func(*yaml.Node)) {
	if n != nil {
		d.key = key
		read(n)
	}
}

// document parses text and returns its mapping, or nil after reporting a fault.
func (d *decoder) document(text string) *yaml.Node {
	if !d.checkCharacters(text) {
		return nil
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	var doc, next yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		d.failAt(1, 1, "", "the file has only comments")
		return nil
	}
	if err == nil {
		if err = decoder.Decode(&next); errors.Is(err, io.EOF) {
			return d.mapping(doc.Content[0])
		}
	}
	if err != nil {
		d.failSyntax(err)
		return nil
	}
	d.fail(&next, "", "a suite file must be one YAML document, and a second one starts here")
	return nil
}

func (d *decoder) mapping(root *yaml.Node) *yaml.Node {
	if root.Kind == yaml.MappingNode {
		return root
	}
	d.fail(root, "the shortest suite file is tests: tests/*", "a suite file must be a mapping, not %s", kindOf(root))
	return nil
}

// failSyntax reports an error of the YAML library.
func (d *decoder) failSyntax(err error) {
	var syntax *yaml.LoadError
	if !errors.As(err, &syntax) {
		d.failAt(1, 1, "", "not YAML: %v", err)
		return
	}
	line, column := syntax.Mark.Line, syntax.Mark.Column
	remedy := ""
	if at := []rune(d.source.line(line)); column >= 1 && column <= len(at) && at[column-1] == '\t' {
		remedy = "indent with spaces: YAML does not allow tabs"
	}
	d.failAt(line, column, remedy, "not YAML: %s", plain.Clean(syntax.Message))
}

// checkCharacters reports the first byte that is not text, and whether there is none.
func (d *decoder) checkCharacters(text string) bool {
	for i, r := range text {
		broken := r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd")
		if !broken && (r >= ' ' && r != 0x7f || r == '\n' || r == '\r' || r == '\t') {
			continue
		}
		before := newSource(text[:i]).lines
		column := utf8.RuneCountInString(before[len(before)-1]) + 1
		if broken {
			d.failAt(len(before), column, "", "the file is not UTF-8")
		} else {
			d.failAt(len(before), column, "", "the file has a control character (%U)", r)
		}
		return false
	}
	return true
}

func (d *decoder) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(d.warnings, text) {
		d.warnings = append(d.warnings, text)
	}
}

func (d *decoder) warnIfWritable() {
	if !d.env.Root {
		return
	}
	if mode, err := d.files.mode(d.path); err == nil && mode.IsRegular() && mode.Perm()&0o022 != 0 {
		d.warn("the suite file %s can be changed by others, and root runs it: chmod go-w %s", plain.Clean(d.file), plain.Clean(d.file))
	}
	dir := filepath.Dir(d.files.resolve(d.path))
	if mode, err := d.files.mode(dir); err == nil && mode.Perm()&0o022 != 0 && mode&fs.ModeSticky == 0 {
		d.warn("the suite file %s can be replaced by others, and root runs it: chmod go-w %s", plain.Clean(d.file), plain.Clean(dir))
	}
}

// warnIfOpen warns if a file of secrets has any of the permissions.
func (d *decoder) warnIfOpen(what, file string, permissions fs.FileMode) {
	if mode, err := d.files.mode(file); err == nil && mode.IsRegular() && mode.Perm()&permissions != 0 {
		d.warn("the %s %s can be read by others: chmod 600 %s", what, plain.Clean(file), plain.Clean(file))
	}
}

func (d *decoder) warnIfReadable() {
	if mode, err := d.files.mode(d.path); err == nil && mode.IsRegular() && mode.Perm()&0o044 != 0 {
		d.warn("the suite file %s holds a password and can be read by others: use password: ${VARIABLE} or password_file", plain.Clean(d.file))
	}
}
