package suite

import (
	"regexp"
	"strings"
	"unicode/utf8"
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
