package suite

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"runtests/pkg/plain"
)

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
	d.value(&next).fail("", "a suite file must be one YAML document, and a second one starts here")
	return nil
}

func (d *decoder) mapping(root *yaml.Node) *yaml.Node {
	if root.Kind == yaml.MappingNode {
		return root
	}
	v := d.value(root)
	v.fail("the shortest suite file is tests: tests/*", "a suite file must be a mapping, not %s", v.kind())
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
