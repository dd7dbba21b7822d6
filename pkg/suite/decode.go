package suite

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"go.yaml.in/yaml/v4"

	"runtests/pkg/hint"
	"runtests/pkg/nearest"
)

const (
	// maxVisits bounds the values read from one file, those that aliases repeat
	// included: a file of a few lines can stand for billions.
	maxVisits = 100_000
	// maxList bounds a list, and the variables of a container: each step has a copy.
	maxList = 1000
	// maxProblems bounds the problems that are kept.
	maxProblems = 1000
	// maxMerges bounds the depth of mappings merged with <<; it ends a cycle.
	maxMerges = 20
	// maxDuration keeps a time plus a duration from overflowing.
	maxDuration = 366 * 24 * time.Hour
)

// decoder reads the values of one suite file and collects their faults.
type decoder struct {
	file     string // as the caller named it
	path     string // absolute
	source   source
	env      Env
	from     place
	files    files
	problems []Problem
	warnings []string
	visits   int
	key      string   // the key whose value is being read
	secret   bool     // that value is not to be printed
	secrets  []string // values of secret variables that the file used so far
	// hasSecret: a value that is not to be printed stands in the file itself. No problem shows
	// a line of it then.
	hasSecret bool
}

// setter reads a key's value into what the key belongs to.
type setter[T any] func(d *decoder, to *T, n *yaml.Node)

// keys are the keys of a mapping, and how each is read.
type keys[T any] struct {
	what       string // the mapping, for messages: "a test"
	set        map[string]setter[T]
	extensions bool // x-… keys are ignored
	// refused are the keys of Compose that are not supported, each with its remedy.
	refused map[string]string
}

// decode reads the mapping n into to and reports unknown and repeated keys.
func (k keys[T]) decode(d *decoder, to *T, n *yaml.Node) {
	outer := d.key
	defer func() { d.key = outer }()
	for _, p := range d.pairs(n, k.what) {
		name := p.key.Value
		set, known := k.set[name]
		switch {
		case known:
			d.key = name
			if m, ok := any(to).(interface{ mark(string, *yaml.Node) }); ok {
				m.mark(name, p.value)
			}
			set(d, to, p.value)
		case k.extensions && strings.HasPrefix(name, "x-"):
		case k.refused[name] != "":
			d.fail(p.key, k.refused[name], "key %s of %s is not supported", quoted(name), k.what)
		default:
			known := slices.Sorted(maps.Keys(k.set))
			meant := nearest.Of(name, known)
			d.fail(p.key, nearest.Hint(name, known), "unknown key %s in %s", quoted(name), k.what)
			if secretName.MatchString(meant) || meant == "ping" {
				d.markSecret(p.value)
			}
		}
	}
}

// quoted returns text for a message: quoted, escaped, and cut to 80 characters.
func quoted(text string) string {
	const limit = 80
	if r := []rune(text); len(r) > limit {
		text = string(r[:limit]) + "…"
	}
	return strconv.Quote(text)
}

func (d *decoder) fail(n *yaml.Node, remedy, format string, args ...any) {
	d.failAt(n.Line, n.Column, remedy, format, args...)
}

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

// failErr reports err with its hint at n.
func (d *decoder) failErr(n *yaml.Node, err error) {
	d.fail(n, hint.Of(err), "%s: %v", d.key, err)
}

// tooMany counts a value, and reports once that there are too many of them.
func (d *decoder) tooMany(n *yaml.Node) bool {
	d.visits++
	if d.visits == maxVisits {
		d.fail(n, "", "the file expands to more than %d values: its aliases repeat too much", maxVisits)
	}
	return d.visits >= maxVisits
}

func deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	n = deref(n)
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// pair is a key of a mapping and its value; aliases are resolved.
type pair struct{ key, value *yaml.Node }

// pairs returns the mapping's pairs in the order of the file, merged ones last. An
// empty value is an empty mapping.
func (d *decoder) pairs(n *yaml.Node, what string) []pair {
	if isNull(n) {
		return nil
	}
	seen := map[string]int{}
	var out []pair
	d.collect(n, what, seen, &out, 0)
	return out
}

func (d *decoder) collect(n *yaml.Node, what string, seen map[string]int, out *[]pair, depth int) {
	n = deref(n)
	if d.tooMany(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "", "%s must be a mapping, not %s", what, kindOf(n))
		return
	}
	if !d.tagged(n, "!!map") {
		return
	}
	if depth > maxMerges {
		d.fail(n, "", "mappings are merged more than %d deep", maxMerges)
		return
	}
	var merged []*yaml.Node
	inherited := len(*out)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := deref(n.Content[i]), deref(n.Content[i+1])
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" {
			merged = append(merged, mergedMappings(value)...)
			continue
		}
		d.collectPair(pair{key, value}, what, seen, out, inherited)
	}
	for _, m := range merged {
		d.collect(m, "the value of <<", seen, out, depth+1)
	}
}

// collectPair appends p, unless an earlier pair has its key. The pairs from index own on are
// those of the mapping itself, where a second one is a fault.
func (d *decoder) collectPair(p pair, what string, seen map[string]int, out *[]pair, own int) {
	if p.key.Kind != yaml.ScalarNode {
		d.fail(p.key, "", "a key of %s must be a word, not %s", what, kindOf(p.key))
		return
	}
	if first, dup := seen[p.key.Value]; dup {
		if first >= own {
			d.fail(p.key, "", "%s is already given on line %d", quoted(p.key.Value), (*out)[first].key.Line)
		}
		return
	}
	seen[p.key.Value] = len(*out)
	*out = append(*out, p)
}

func mergedMappings(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*yaml.Node{n}
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	}
	return "text"
}

// tagged reports whether the tag of n is an allowed one, and a fault if it is not.
func (d *decoder) tagged(n *yaml.Node, allowed ...string) bool {
	if slices.Contains(allowed, n.ShortTag()) {
		return true
	}
	d.fail(n, "", "the tag %s is not supported", quoted(n.Tag))
	return false
}

// scalar is a text of the file, its variables replaced.
type scalar struct {
	node *yaml.Node
	text string
	// hidden: the text must not be printed, because it is or contains a secret.
	hidden bool
}

// not returns the end of a message about the value.
func (s scalar) not() string {
	if s.hidden {
		return ""
	}
	return ", not " + quoted(s.text)
}

// scalar reads a single value, with its variables replaced. The text stays as the file has it,
// whatever its type in YAML: 1.10, 012 and yes remain the same.
func (d *decoder) scalar(n *yaml.Node) (scalar, bool) {
	n = deref(n)
	if d.tooMany(n) {
		return scalar{}, false
	}
	if d.hides() {
		d.markSecret(n)
	}
	if n.Kind != yaml.ScalarNode || isNull(n) {
		d.fail(n, "", "%s must have a single value, not %s", d.key, kindOf(n))
		return scalar{}, false
	}
	if !d.tagged(n, "!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!merge") {
		return scalar{}, false
	}
	v := variables{lookup: d.env.Lookup}
	text, err := v.expand(n.Value, 0)
	if err != nil {
		d.fail(n, hint.Of(err), "%s: %v", d.key, err)
		return scalar{}, false
	}
	hidden := d.hides()
	for _, name := range v.used {
		if secretName.MatchString(name) {
			value, _ := d.lookup(name)
			d.secrets = append(d.secrets, value)
			hidden = true
		}
	}
	return scalar{n, text, hidden}, true
}

// hides reports whether the value of the key is not to be printed.
func (d *decoder) hides() bool {
	return d.secret || secretName.MatchString(d.key) && !strings.HasSuffix(d.key, "_file")
}

// rule returns what is wrong with a text, as the words that follow the key ("must be an absolute
// path"), or "".
type rule func(text string) (wrong, remedy string)

// text reads a single value and checks it by the rule.
func (d *decoder) text(n *yaml.Node, keeps rule) (string, bool) {
	s, ok := d.scalar(n)
	if !ok {
		return "", false
	}
	if wrong, remedy := keeps(s.text); wrong != "" {
		d.fail(s.node, remedy, "%s %s%s", d.key, wrong, s.not())
		return "", false
	}
	return s.text, true
}

// items returns the values of a list; a single value is a list of one where alone allows it.
func (d *decoder) items(n *yaml.Node, alone bool) ([]*yaml.Node, bool) {
	n = deref(n)
	if n.Kind == yaml.SequenceNode {
		if d.tooMany(n) || !d.tagged(n, "!!seq") {
			return nil, false
		}
		if len(n.Content) > maxList {
			d.fail(n, "", "%s has more than %d entries", d.key, maxList)
			return nil, false
		}
		return n.Content, true
	}
	if alone && n.Kind == yaml.ScalarNode && !isNull(n) {
		return []*yaml.Node{n}, true
	}
	wanted := "a list"
	if alone {
		wanted = "a value or a list"
	}
	d.fail(n, "", "%s must be %s, not %s", d.key, wanted, kindOf(n))
	return nil, false
}

// texts reads a list of values and checks each by the rule.
func (d *decoder) texts(n *yaml.Node, alone bool, keeps rule) ([]string, bool) {
	nodes, ok := d.items(n, alone)
	if !ok {
		return nil, false
	}
	out := make([]string, 0, len(nodes))
	for _, item := range nodes {
		text, good := d.text(item, keeps)
		ok = ok && good
		out = append(out, text)
		if d.visits >= maxVisits {
			break
		}
	}
	return out, ok
}

// The constructors of setters for one kind of value each.

func textKey[T any](keeps rule, field func(*T) *string) setter[T] {
	return func(d *decoder, to *T, n *yaml.Node) {
		if text, ok := d.text(n, keeps); ok {
			*field(to) = text
		}
	}
}

// choiceKey reads one of a few words.
func choiceKey[T any, S ~string](field func(*T) *S, choices ...S) setter[T] {
	names := make([]string, len(choices))
	for i, c := range choices {
		names[i] = string(c)
	}
	keeps := func(text string) (string, string) {
		if slices.Contains(names, text) {
			return "", ""
		}
		return "must be " + strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1], nearest.Hint(text, names)
	}
	return func(d *decoder, to *T, n *yaml.Node) {
		if text, ok := d.text(n, keeps); ok {
			*field(to) = S(text)
		}
	}
}

func textsKey[T any](alone bool, keeps rule, field func(*T) *[]string) setter[T] {
	return func(d *decoder, to *T, n *yaml.Node) {
		if texts, ok := d.texts(n, alone, keeps); ok {
			*field(to) = texts
		}
	}
}

// valueKey reads a value that parse accepts. As a rule does, parse says what is wrong with the text.
func valueKey[T, V any](parse func(text string) (value V, wrong, remedy string), field func(*T) *V) setter[T] {
	return func(d *decoder, to *T, n *yaml.Node) {
		var value V
		keeps := func(text string) (wrong, remedy string) {
			value, wrong, remedy = parse(text)
			return wrong, remedy
		}
		if _, ok := d.text(n, keeps); ok {
			*field(to) = value
		}
	}
}

func intKey[T any, I ~int | ~int64](low, high int64, field func(*T) *I) setter[T] {
	return valueKey(func(text string) (I, string, string) {
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil || i < low || i > high {
			return 0, fmt.Sprintf("must be a whole number from %d to %d", low, high), ""
		}
		return I(i), "", ""
	}, field)
}

var booleans = map[string]bool{"true": true, "yes": true, "on": true, "false": false, "no": false, "off": false}

func boolKey[T any](field func(*T) *bool) setter[T] {
	return valueKey(func(text string) (bool, string, string) {
		value, ok := booleans[strings.ToLower(text)]
		if !ok {
			return false, "must be true or false", ""
		}
		return value, "", ""
	}, field)
}

// sizeKey reads a size of at least low, in bytes or with a unit: 64m, 1.5g.
func sizeKey[T any](low int64, field func(*T) *int64) setter[T] {
	return valueKey(func(text string) (int64, string, string) {
		size, err := units.RAMInBytes(text)
		switch {
		case err != nil:
			return 0, "must be a size such as 512m or 2g", ""
		case size < low:
			return 0, "must be at least " + units.BytesSize(float64(low)), ""
		}
		return size, "", ""
	}, field)
}

// durationKey reads a duration of at least low.
func durationKey[T any](low time.Duration, field func(*T) *time.Duration) setter[T] {
	return valueKey(func(text string) (time.Duration, string, string) {
		value, err := parseDuration(text)
		switch {
		case err != nil:
			remedy := ""
			if _, err := strconv.ParseFloat(text, 64); err == nil && text != "0" {
				remedy = "give it a unit: " + text + "s, " + text + "m"
			}
			return 0, "must be a duration such as 90s, 1h30m or 1d", remedy
		case value < low && low <= time.Nanosecond:
			return 0, "must be more than 0", ""
		case value < low:
			return 0, "must be at least " + low.String(), ""
		case value > maxDuration:
			return 0, "must be at most a year", ""
		}
		return value, "", ""
	}, field)
}

var daysAndWeeks = regexp.MustCompile(`^(?:(\d{1,4})w)?(?:(\d{1,4})d)?(.*)$`)

// parseDuration reads a duration as time.ParseDuration does, with optional weeks and days in
// front, as in Compose: 1w, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	m := daysAndWeeks.FindStringSubmatch(text)
	if m == nil {
		return 0, errors.New("not a duration")
	}
	weeks, _ := strconv.Atoi(m[1])
	days, _ := strconv.Atoi(m[2])
	whole := time.Duration(weeks*7+days) * 24 * time.Hour
	if m[3] == "" && m[1]+m[2] != "" {
		return whole, nil
	}
	rest, err := time.ParseDuration(m[3])
	if err != nil || rest < 0 && whole > 0 {
		return 0, errors.New("not a duration")
	}
	if rest > maxDuration {
		return rest, nil
	}
	return whole + rest, nil
}
