package suite

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"runtests/pkg/hint"
)

// maxFile bounds a suite file, in bytes.
const maxFile = 4 << 20

// Env is the environment in which a suite file is read.
type Env struct {
	Dir    string // the working directory, absolute
	Lookup func(name string) (value string, ok bool)
	Root   bool // root will run the suite: warn if others can change it
}

func (e Env) lookup(name string) (string, bool) {
	if e.Lookup == nil {
		return "", false
	}
	return e.Lookup(name)
}

func (e Env) place(dir string) place {
	home, _ := e.lookup("HOME")
	if !filepath.IsAbs(home) {
		home = "/"
	}
	return place{dir, home}
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

// keys are those of the file itself. Its sections are read in the order in which they need each
// other, not in that of the file.
func (s *Suite) keys() keys {
	return keys{what: "the suite", extensions: true, set: map[string]setter{
		"name":             textVar(&s.Name, properName),
		"logs":             textVar(&s.Logs, filePath),
		"lines":            intVar(&s.Lines, 0, 100_000),
		"jobs":             intVar(&s.Jobs, 1, 1000),
		"diagnose":         boolVar(&s.Diagnose),
		"diagnose_timeout": durationVar(&s.DiagnoseTimeout, time.Nanosecond),
		"keep_images":      intVar(&s.KeepImages, 0, 1000),
		"keep_runs":        intVar(&s.KeepRuns, 1, 100_000),
		"max_log":          sizeVar(&s.MaxLog, minMaxLog),
		"min_free_disk":    sizeVar(&s.MinFreeDisk, 0),
		"run_timeout":      durationVar(&s.RunTimeout, time.Nanosecond),
		"ping":             s.setPing,
		"trusted":          boolVar(&s.Trusted),
		"defaults":         later,
		"images":           later,
		"tests":            later,
		"mail":             later,
		"deploy":           later,
	}}
}

// minMaxLog leaves room for a head and a tail that show what happened.
const minMaxLog = 64 << 10

// setPing reads a URL that is never printed, not even if it is wrong: whoever knows it can
// report that a run went well. An empty value, as of a variable that is not set, means none.
func (s *Suite) setPing(v value) {
	v.secret = true
	textVar(&s.Ping, pingURL)(v)
}

// newSuite returns a suite with the defaults.
func newSuite(file, dir string) Suite {
	s := Suite{
		Name: filepath.Base(dir), File: file, Dir: dir, Logs: "logs", Lines: 40, Jobs: 1, KeepRuns: 30, KeepImages: 2, MinFreeDisk: 5 << 30, MaxLog: 1 << 30,
		Diagnose: true, DiagnoseTimeout: 30 * time.Minute,
	}
	if _, err := properName(s.Name); err != nil {
		s.Name = "runtests"
	}
	return s
}

func (d *decoder) suite(text string, over overrides) *Suite {
	root := d.document(text)
	if root == nil {
		return nil
	}
	s := newSuite(d.path, d.from.dir)
	read := s.keys().decode(d.value(root))
	within := func(key string, decode func(value)) {
		if v := read[key]; v.given() {
			decode(v)
		}
	}
	s.Logs = d.from.abs(s.Logs)
	e := expander{d: d, outside: outside{defaults: initialSettings(), over: over, env: d.env}, names: map[string]bool{}}
	within("images", func(v value) { e.images = readImages(v) })
	within("defaults", func(v value) { e.defaults.read = e.defaults.defaultsKeys().decode(v) })
	within("tests", e.read)
	within("mail", func(v value) { s.Mail = d.mail(v) })
	s.Steps, s.Images = e.steps, e.images
	within("deploy", func(v value) { s.Deployments = d.deployments(v, &s, over.Image != "") })
	s.outside = e.outside
	d.protectAll(&s)
	s.protected = d.protected
	e.checkExposure(&s)
	s.Secrets = d.secretsOf(&s)
	return &s
}
