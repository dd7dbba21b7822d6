package suite

import (
	"fmt"
	"strings"

	"runtests/pkg/hint"
	"runtests/pkg/plain"
)

// maxNesting bounds ${A:-${B:-…}}.
const maxNesting = 20

// variables looks up variables and records which ones a text used.
type variables struct {
	lookup func(string) (string, bool)
	used   []string
}

func (v *variables) get(name string) (string, bool) {
	v.used = append(v.used, name)
	return v.lookup(name)
}

// expand replaces $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message},
// ${NAME?message}, ${NAME:+other}, ${NAME+other} and $$ as Compose does, with one difference: a
// variable that is not set and has no default is an error, where Compose warns and uses an empty
// value. Nobody reads a warning at night.
//
// Its errors name variables but never show their values.
func (v *variables) expand(text string, depth int) (string, error) {
	if depth > maxNesting {
		return "", fmt.Errorf("variables are nested more than %d deep", maxNesting)
	}
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		value, rest, err := v.reference(after, depth)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		text = rest
	}
}

// one expands the reference whose dollar sign stood before text, and returns what follows it.
func (v *variables) reference(text string, depth int) (value, rest string, err error) {
	if strings.HasPrefix(text, "$") {
		return "$", text[1:], nil
	}
	if strings.HasPrefix(text, "{") {
		end := closingBrace(text)
		if end < 0 {
			return "", "", hint.Errorf("close it with }, or write $$ for a dollar sign", "a ${ is not closed")
		}
		value, err = v.braced(text[1:end], depth)
		return value, text[end+1:], err
	}
	n := nameLength(text)
	if n == 0 {
		return "$", text, nil
	}
	value, err = v.value(text[:n])
	return value, text[n:], err
}

func (v *variables) value(name string) (string, error) {
	value, ok := v.get(name)
	if !ok {
		return "", hint.Errorf(fmt.Sprintf("set it, or give it a default: ${%s:-default}, or ${%s:-} for an empty value", name, name), "variable %s is not set", name)
	}
	return value, nil
}

// braced expands what stands between ${ and }.
func (v *variables) braced(text string, depth int) (string, error) {
	n := nameLength(text)
	name, operation := text[:n], text[n:]
	if n == 0 {
		return "", hint.Errorf("write ${NAME}, or $$ for a dollar sign", "a ${ is not followed by a variable's name")
	}
	if operation == "" {
		return v.value(name)
	}
	notEmpty := operation[0] == ':'
	operation = strings.TrimPrefix(operation, ":")
	if operation == "" || !strings.ContainsRune("-?+", rune(operation[0])) {
		return "", hint.Errorf("the forms are ${NAME}, ${NAME:-default}, ${NAME:?message} and ${NAME:+other}", "${%s is not followed by }, :-, :? or :+", name)
	}
	value, ok := v.get(name)
	present := ok && (value != "" || !notEmpty)
	operand := operation[1:]
	switch {
	case operation[0] == '+' && present, operation[0] == '-' && !present:
		return v.expand(operand, depth+1)
	case operation[0] == '?' && !present:
		return "", v.required(name, operand, depth)
	case operation[0] == '+':
		return "", nil
	}
	return value, nil
}

func (v *variables) required(name, message string, depth int) error {
	message, err := v.expand(message, depth+1)
	if err != nil {
		return err
	}
	if message == "" {
		return fmt.Errorf("variable %s is required", name)
	}
	return fmt.Errorf("variable %s is required: %s", name, plain.Clean(message))
}

// closingBrace returns the index of the } that closes the { at the start of text, or -1.
func closingBrace(text string) int {
	open := 0
	for i := range len(text) {
		switch text[i] {
		case '{':
			open++
		case '}':
			open--
		}
		if open == 0 {
			return i
		}
	}
	return -1
}

// nameLength returns the length of the variable's name at the start of text.
func nameLength(text string) int {
	for i := range len(text) {
		c := text[i]
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(text)
}
