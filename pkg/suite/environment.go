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

// secretName matches the names of keys and variables whose values must not be printed.
var secretName = regexp.MustCompile(`(?i)pass(word|wd|phrase|$|_)|secret|token|credential|api_?key|private_?key|access_?key`)

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
	if p.env != nil {
		if value, ok := p.env(name); ok {
			return value, true
		}
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
	i := slices.IndexFunc(p.known, func(have container.Variable) bool { return have.Name == name })
	if i < 0 {
		p.known = append(p.known, v)
	} else {
		p.known[i] = v
	}
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

// assignment sets a variable, or unsets it.
type assignment struct {
	container.Variable
	unset bool
}

// assign returns base with the assignments made. Each replaces the variable of its name, or comes
// at the end.
func assign(base []container.Variable, more []assignment) []container.Variable {
	merged := slices.Clone(base)
	index, unset := map[string]int{}, map[string]bool{}
	for i, v := range merged {
		index[v.Name] = i
	}
	for _, a := range more {
		unset[a.Name] = a.unset
		if i, known := index[a.Name]; known {
			merged[i] = a.Variable
			continue
		}
		index[a.Name] = len(merged)
		merged = append(merged, a.Variable)
	}
	return slices.DeleteFunc(merged, func(v container.Variable) bool { return unset[v.Name] })
}
