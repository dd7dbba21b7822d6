package suite

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// source is the text of a file, by lines as YAML counts them.
type source struct{ lines []string }

// lineBreaks replaces the line ends of YAML 1.1.
var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

func newSource(text string) source {
	return source{strings.Split(lineBreaks.Replace(strings.TrimPrefix(text, "\ufeff")), "\n")}
}

// line returns the line of that number, from 1; "" when there is none.
func (s source) line(number int) string {
	if number < 1 || number > len(s.lines) {
		return ""
	}
	return s.lines[number-1]
}

// clamp returns the nearest position inside the file: some faults are found at its end.
func (s source) clamp(line, column int) (int, int) {
	last := len(s.lines)
	for last > 1 && s.lines[last-1] == "" {
		last--
	}
	if line > last {
		return last, utf8.RuneCountInString(s.line(last)) + 1
	}
	line = max(line, 1)
	return line, min(max(column, 1), utf8.RuneCountInString(s.line(line))+1)
}

// secretWords are the parts of a name that make it a secret's, with their misspellings.
const secretWords = `pas+w|pass|pwd|secret|token|credential|api_?key|private_?key|access_?key`

var (
	// secretText finds the value, up to the end of its line, of a key or variable with a secret's
	// name, and that of ping.
	secretText = regexp.MustCompile(`(?im)(\bping|[\w.-]*(?:` + secretWords + `)[\w.-]*)["']?\s*[:=]\s*(\S.*)$`)
	// otherSecrets are the password of a URL, and the default of a variable with a secret's name.
	otherSecrets = regexp.MustCompile(`(?i)://[^:/@\s]*:[^@\s]*@|\$\{\w*(?:` + secretWords + `)\w*[-+?]`)
	// variableOnly is a value that names a variable and has no text of its own.
	variableOnly = regexp.MustCompile(`^["']?\$(?:\w+|\{\w+(?::?-)?\})["']?\s*[,}\]]*\s*$`)
)

// hasSecret reports whether the text may have a secret in it, even if it is not a valid suite file.
func (s source) hasSecret() bool {
	text := strings.Join(s.lines, "\n")
	if otherSecrets.MatchString(text) {
		return true
	}
	for m := secretText.FindStringSubmatchIndex(text); m != nil; m = secretText.FindStringSubmatchIndex(text) {
		name, value := strings.ToLower(text[m[2]:m[3]]), text[m[4]:m[5]]
		if !strings.HasSuffix(name, "_file") && !variableOnly.MatchString(value) {
			return true
		}
		text = text[m[4]:]
	}
	return false
}

// markSecret records that the file has a secret in it, unless the value only names a variable.
func (v value) markSecret() {
	if v.node.Kind != yaml.ScalarNode || v.node.Value != "" && !variableOnly.MatchString(v.node.Value) {
		v.d.hasSecret = true
	}
}

// maxExcerpt is the longest line, in bytes, that is worth an excerpt: no person writes longer ones.
const maxExcerpt = 4096

// addExcerpts gives each problem the line it is on, unless the file has a secret in it.
func (d *decoder) addExcerpts() {
	if d.hasSecret || d.source.hasSecret() {
		return
	}
	for i := range d.problems {
		p := &d.problems[i]
		if line := d.source.line(p.Line); p.File == d.file && len(line) <= maxExcerpt {
			p.Excerpt = line
		}
	}
}
