package suite

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// maxEnvFile bounds an env_file, a password_file and a ca_file, in bytes.
const maxEnvFile = 1 << 20

func (s *settings) setEnvFiles(v value) {
	items, ok := v.items(true)
	if !ok {
		return
	}
	s.EnvFiles, s.fromFiles = nil, nil
	for _, item := range items {
		s.addEnvFile(item)
	}
}

// addEnvFile reads a path, or the long form, and then the file.
func (s *settings) addEnvFile(v value) {
	name, required := "", true
	setName := textVar(&name, filePath)
	if v.isMapping() {
		keys{what: "an env_file", set: map[string]setter{"path": setName, "required": boolVar(&required)}}.decode(v)
		if name == "" {
			v.fail("", "env_file has no path")
		}
	} else {
		setName(v)
	}
	if name == "" {
		return
	}
	d := v.d
	file := d.from.abs(name)
	d.protect("the env_file", file)
	data, err := d.files.read(file, maxEnvFile)
	if err != nil {
		if required || !isNotExist(err) {
			v.fail("", "read env_file %s: %v", quoted(name), err)
		}
		return
	}
	p := dotenv{env: d.env.lookup, known: slices.Clone(s.fromFiles)}
	if err := p.parse(string(data)); err != nil {
		d.failEnvFile(file, err)
		return
	}
	if slices.ContainsFunc(p.known, func(v container.Variable) bool { return secretName.MatchString(v.Name) }) {
		d.warnIfOpen("env_file", file, 0o007)
	}
	s.EnvFiles = append(s.EnvFiles, file)
	s.fromFiles = p.known
}

// failEnvFile reports a fault in an env_file without an excerpt, which could show a secret.
func (d *decoder) failEnvFile(file string, err error) {
	p := Problem{File: file, Line: 1, Column: 1, Message: err.Error(), Hint: hint.Of(err)}
	if l, ok := err.(*lineError); ok { //nolint:errorlint // parse returns nothing else
		p.Line, p.Message = l.line, l.err.Error()
	}
	if !slices.Contains(d.problems, p) {
		d.problems = append(d.problems, p)
	}
}

// dotenvName matches the names that Compose accepts in an env_file.
var dotenvName = regexp.MustCompile(`^[\pL\pN_.\-\[\]]+$`)

// lineError is a fault in an env_file. It never shows the line.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

// dotenv reads an env_file in Compose's syntax: NAME=VALUE, `export NAME=VALUE`, a name
// alone (inherited), comments, quotes, and ${…} outside of single quotes. A later line
// sees the variables of the earlier ones, but those of the environment take precedence.
type dotenv struct {
	env   func(string) (string, bool)
	known []container.Variable // of this file and of those before it
	line  int
}

func (p *dotenv) lookup(name string) (string, bool) {
	if value, ok := p.env(name); ok {
		return value, true
	}
	for _, v := range p.known {
		if v.Name == name {
			return v.Value, true
		}
	}
	return "", false
}

func (p *dotenv) parse(text string) error {
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	p.line = 1
	for text != "" {
		statement := text
		rest, err := p.statement(statement)
		if err != nil {
			return &lineError{line: p.line, err: err}
		}
		p.line += strings.Count(statement[:len(statement)-len(rest)], "\n")
		text = rest
	}
	return nil
}

// statement reads a line, or several if a quoted value spans them.
func (p *dotenv) statement(text string) (rest string, err error) {
	line, rest, _ := strings.Cut(text, "\n")
	trimmed := strings.TrimSpace(line)
	if trimmed == "" || trimmed[0] == '#' {
		return rest, nil
	}
	if after, ok := strings.CutPrefix(trimmed, "export"); ok && after != "" && unicode.IsSpace(rune(after[0])) {
		trimmed = strings.TrimSpace(after)
	}
	end := strings.IndexAny(trimmed, "=:")
	name := trimmed
	if end >= 0 {
		name = strings.TrimRightFunc(trimmed[:end], unicode.IsSpace)
	}
	if !dotenvName.MatchString(name) {
		return "", hint.Errorf("the form is NAME=VALUE", "not a variable's name and value")
	}
	if len(p.known) >= maxList {
		return "", fmt.Errorf("there are more than %d variables", maxList)
	}
	if end < 0 {
		if value, ok := p.lookup(name); ok {
			p.set(name, value)
		}
		return rest, nil
	}
	start := strings.IndexAny(text, "=:") + 1
	value, rest, err := p.value(strings.TrimLeft(text[start:], " \t"))
	if err != nil {
		return "", err
	}
	p.set(name, value)
	return rest, nil
}

func (p *dotenv) set(name, value string) {
	v := container.Variable{Name: name, Value: value, Secret: true, FromFile: true}
	p.known = put(p.known, v, func(have container.Variable) bool { return have.Name == name })
}

func (p *dotenv) value(text string) (value, rest string, err error) {
	if text == "" || text[0] != '"' && text[0] != '\'' {
		line, rest, _ := strings.Cut(text, "\n")
		line, _, _ = strings.Cut(line, " #")
		value, err = p.interpolate(strings.TrimRightFunc(line, unicode.IsSpace))
		return value, rest, err
	}
	quote := text[0]
	value, rest, ok := unquote(text[1:], quote)
	if !ok {
		return "", "", errors.New("a quote is not closed")
	}
	after, rest, _ := strings.Cut(rest, "\n")
	if after = strings.TrimSpace(after); after != "" && after[0] != '#' {
		return "", "", errors.New("something follows the closing quote")
	}
	if quote == '"' {
		value, err = p.interpolate(dotenvEscapes.Replace(value))
	}
	return value, rest, err
}

func (p *dotenv) interpolate(text string) (string, error) {
	v := variables{lookup: p.lookup}
	value, err := v.expand(text, 0)
	return value, hint.Wrap(err, "put the value in single quotes if its dollar sign is meant")
}

var dotenvEscapes = strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\t`, "\t", `\\`, `\`, `\$`, `$$`)

// unquote reads up to the closing quote. A quote after a backslash does not close.
func unquote(text string, quote byte) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == quote:
			return b.String(), text[i+1:], true
		case text[i] == '\\' && i+1 < len(text):
			if text[i+1] != quote {
				b.WriteByte('\\')
			}
			i++
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}
