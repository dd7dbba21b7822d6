package suite

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// source is the text of a file, by lines as YAML counts them.
type source struct{ lines []string }

// YAML 1.1 ends a line at these too.
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

// maxExcerpt is the longest line, in bytes, that is worth an excerpt.
const maxExcerpt = 4096

// excerpt returns the line for a message, passwords masked; "" when it is no line a person wrote.
func (s source) excerpt(number int) string {
	line := s.line(number)
	if len(line) > maxExcerpt {
		return ""
	}
	return mask(line)
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

var (
	// passwordValue is what an excerpt may not show: the value of a key or
	// variable with a secret's name, and the URL of a ping.
	passwordValue = regexp.MustCompile(`(?i)((?:\bping|[\w.-]*(?:pass|pas+w|pwd|secret|token|credential|api_?key|private_?key|access_?key)[\w.-]*)["']?\s*[:=]\s*)(\S.*)$`)
	// variableOnly is a value that names a variable and holds nothing itself.
	variableOnly = regexp.MustCompile(`^["']?\$(?:\w+|\{\w+\})["']?\s*[,}\]]*\s*$`)
	userInfo     = regexp.MustCompile(`(://[^:/@\s]*:)[^@\s]*@`)
)

// maskFrom hides what stands at column and after it, unless that only names a variable:
// a value may stand on a line without its key.
func maskFrom(line string, column int) string {
	runes := []rune(line)
	if at := column - 1; at < len(runes) && !strings.HasSuffix(line, "****") && !variableOnly.MatchString(string(runes[at:])) {
		return string(runes[:at]) + "****"
	}
	return line
}

// hide keeps the texts of a value out of the excerpts, whatever else is wrong on their
// lines; those that only name a variable may be seen.
func (d *decoder) hide(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && len(d.hidden) < maxHidden && len(n.Value) >= shortestSecret && !variableOnly.MatchString(n.Value) {
		d.hidden = append(d.hidden, n.Value)
	}
	for i, c := range n.Content { // aliases are not followed: what they stand for has a line of its own
		if n.Kind == yaml.SequenceNode || i%2 == 1 {
			d.hide(c)
		}
	}
}

// maxHidden bounds the texts looked for in excerpts; a file with more gets none.
const maxHidden = 1000

// hideSecrets masks in all excerpts the texts that are hidden. Each keeps its columns.
func (d *decoder) hideSecrets() {
	for i := range d.problems {
		p := &d.problems[i]
		if len(d.hidden) >= maxHidden {
			p.Excerpt = ""
			continue
		}
		for _, text := range d.hidden {
			p.Excerpt = strings.ReplaceAll(p.Excerpt, text, strings.Repeat("*", utf8.RuneCountInString(text)))
		}
	}
}

// maskAfter hides what follows the key at column: it is a secret's name misspelt.
func maskAfter(line string, column int, key string) string {
	runes := []rune(line)
	end := column - 1 + utf8.RuneCountInString(key)
	if end >= len(runes) {
		return line
	}
	return string(runes[:end]) + ": ****"
}

// mask hides what looks like a password in a line that is going to be printed. What
// stands before it keeps its columns.
func mask(line string) string {
	line = userInfo.ReplaceAllString(line, "$1****@")
	m := passwordValue.FindStringSubmatchIndex(line)
	if m == nil || variableOnly.MatchString(line[m[4]:]) || strings.Contains(strings.ToLower(line[m[2]:m[3]]), "_file") {
		return line
	}
	return line[:m[4]] + "****"
}
