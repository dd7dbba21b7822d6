package suite

import (
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"

	"runtests/pkg/hint"
)

// value is a value of the file, with what a message about it needs.
type value struct {
	d      *decoder
	node   *yaml.Node // as written: it may be an alias
	key    string     // the key that it is the value of
	secret bool       // it must not be printed
}

// as returns the value as that of another key.
func (v value) as(key string) value {
	v.key, v.secret = key, v.secret || secretKey(key)
	return v
}

// at returns the value of the same key that n holds.
func (v value) at(n *yaml.Node) value {
	v.node = n
	return v
}

func (v value) fail(remedy, format string, args ...any) {
	v.d.failAt(v.node.Line, v.node.Column, remedy, format, args...)
}

// failErr reports err with its hint.
func (v value) failErr(err error) { v.fail(hint.Of(err), "%s: %v", v.key, err) }

func (v value) given() bool     { return v.node != nil }
func (v value) isNull() bool    { return isNull(v.node) }
func (v value) isText() bool    { return deref(v.node).Kind == yaml.ScalarNode && !v.isNull() }
func (v value) isList() bool    { return deref(v.node).Kind == yaml.SequenceNode }
func (v value) isMapping() bool { return deref(v.node).Kind == yaml.MappingNode }

// kind returns what the value is, for messages.
func (v value) kind() string {
	switch {
	case v.isMapping():
		return "a mapping"
	case v.isList():
		return "a list"
	case v.isNull():
		return "nothing"
	}
	return "text"
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

// tooMany counts the value, and reports once that there are too many of them.
func (v value) tooMany() bool {
	v.d.visits++
	if v.d.visits == maxVisits {
		v.fail("", "the file expands to more than %d values: its aliases repeat too much", maxVisits)
	}
	return v.d.visits >= maxVisits
}

// tagged reports whether the value's tag is an allowed one, and a fault if it is not.
func (v value) tagged(allowed ...string) bool {
	if slices.Contains(allowed, v.node.ShortTag()) {
		return true
	}
	v.fail("", "the tag %s is not supported", quoted(v.node.Tag))
	return false
}

// scalar is a single value, its variables replaced. It is secret if one of them is.
type scalar struct {
	value
	text string
}

// scalar reads a single value. The text stays as the file has it, whatever its type in YAML: 1.10,
// 012 and yes remain the same.
func (v value) scalar() (scalar, bool) {
	v.node = deref(v.node)
	if v.tooMany() {
		return scalar{}, false
	}
	if v.secret {
		v.markSecret()
	}
	if !v.isText() {
		v.fail("", "%s must have a single value, not %s", v.key, v.kind())
		return scalar{}, false
	}
	if !v.tagged("!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!merge") {
		return scalar{}, false
	}
	used := variables{lookup: v.d.env.lookup}
	text, err := used.expand(v.node.Value, 0)
	if err != nil {
		v.failErr(err)
		return scalar{}, false
	}
	for _, name := range used.used {
		if secretName.MatchString(name) {
			secret, _ := v.d.env.lookup(name)
			v.d.secrets = append(v.d.secrets, secret)
			v.secret = true
		}
	}
	return scalar{v, text}, true
}

// rule returns a text as the suite has it, or what is wrong with it, as the words that follow the
// key ("must be an absolute path").
type rule func(text string) (string, error)

// parsed reads a single value by parse, whose errors are worded as those of a rule.
func parsed[T any](v value, parse func(text string) (T, error)) (T, bool) {
	return parsedOr(v, parse, scalar.failRule)
}

// unshown reads a single value by parse, whose errors are sentences. No message repeats the value.
func unshown[T any](v value, parse func(text string) (T, error)) (T, bool) {
	return parsedOr(v, parse, scalar.failErr)
}

// parsedOr reads a single value by parse, and reports its error by fail.
func parsedOr[T any](v value, parse func(text string) (T, error), fail func(scalar, error)) (result T, ok bool) {
	s, ok := v.scalar()
	if !ok {
		return result, false
	}
	result, err := parse(s.text)
	if err != nil {
		fail(s, err)
	}
	return result, err == nil
}

// failRule reports err as a rule words it, and repeats the value unless it is secret.
func (s scalar) failRule(err error) {
	not := ""
	if !s.secret {
		not = ", not " + quoted(s.text)
	}
	s.fail(hint.Of(err), "%s %v%s", s.key, err, not)
}

// items returns the values of a list; a single value is a list of one where alone allows it.
func (v value) items(alone bool) ([]value, bool) {
	if alone && v.isText() {
		return []value{v.at(deref(v.node))}, true
	}
	v.node = deref(v.node)
	if !v.isList() {
		wanted := "a list"
		if alone {
			wanted = "a value or a list"
		}
		v.fail("", "%s must be %s, not %s", v.key, wanted, v.kind())
		return nil, false
	}
	if v.tooMany() || !v.tagged("!!seq") {
		return nil, false
	}
	if len(v.node.Content) > maxList {
		v.fail("", "%s has more than %d entries", v.key, maxList)
		return nil, false
	}
	items := make([]value, len(v.node.Content))
	for i, n := range v.node.Content {
		items[i] = v.at(n)
	}
	return items, true
}

// list reads a list of values by parse, as parsed does, and leaves out those at fault.
func list[T any](v value, alone bool, parse func(text string) (T, error)) ([]T, bool) {
	items, ok := v.items(alone)
	if !ok {
		return nil, false
	}
	out := make([]T, 0, len(items))
	for _, item := range items {
		if result, good := parsed(item, parse); good {
			out = append(out, result)
		} else {
			ok = false
		}
		if v.d.visits >= maxVisits {
			break
		}
	}
	return out, ok
}

// quoted returns text for a message: quoted, escaped, and cut to 80 characters.
func quoted(text string) string {
	const limit = 80
	if r := []rune(text); len(r) > limit {
		text = string(r[:limit]) + "…"
	}
	return strconv.Quote(text)
}
