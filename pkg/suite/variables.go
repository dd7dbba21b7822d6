package suite

import (
	"regexp"
	"slices"
	"strings"

	"runtests/pkg/container"
)

// secretName matches the names of keys and variables whose values must not be printed.
var secretName = regexp.MustCompile(`(?i)pass(word|wd|phrase|$|_)|secret|token|credential|api_?key|private_?key|access_?key`)

// secretKey reports whether the value of the key must not be printed.
func secretKey(key string) bool {
	return secretName.MatchString(key) && !strings.HasSuffix(key, "_file")
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

// setEnvironment reads variables, which replace those of the defaults of the same name.
func (s *settings) setEnvironment(v value) { s.variables = assign(s.variables, v.assignments()) }

// assignments reads a mapping, or a list of NAME=VALUE and NAME. As in Compose, a name without
// a value is inherited, and left out if the environment does not have it.
func (v value) assignments() (all []assignment) {
	add := func(a assignment, ok bool) {
		if ok {
			all = append(all, a)
		}
	}
	switch {
	case v.isNull():
	case v.isMapping():
		for _, p := range v.pairs(v.key) {
			add(p.variable())
		}
		if len(all) > maxList {
			v.fail("", "%s has more than %d entries", v.key, maxList)
			return nil
		}
	default:
		items, _ := v.items(false)
		for _, item := range items {
			add(item.variable())
		}
	}
	return all
}

// variable reads NAME=VALUE or NAME.
func (v value) variable() (assignment, bool) {
	name, _, given := strings.Cut(deref(v.node).Value, "=")
	v.secret = given && secretName.MatchString(name)
	s, ok := v.scalar()
	if !ok {
		return assignment{}, false
	}
	name, text, given := strings.Cut(s.text, "=")
	if !given {
		return s.inherit(name)
	}
	s.text = text
	return s.assign(name, s)
}

// variable reads NAME: VALUE, NAME alone, or the long form.
func (p pair) variable() (assignment, bool) {
	switch v := p.value; {
	case v.isNull():
		return p.key.inherit(p.name)
	case v.isMapping():
		return p.longVariable()
	default:
		v.secret = secretName.MatchString(p.name)
		return p.assign(v)
	}
}

// longVariable reads a variable that may say whether it is secret, whatever its name.
func (p pair) longVariable() (a assignment, ok bool) {
	var secret bool
	var read values
	v, d := p.value, p.value.d
	v.secret = true // until the keys are read: it may be
	if !d.faultless(func() {
		read = keys{what: "a variable", set: map[string]setter{"secret": boolVar(&secret), "value": later}}.decode(v)
	}) {
		d.hasSecret = true
		return a, false
	}
	marked, text := read["secret"].given(), read["value"]
	if text.given() && !text.isNull() {
		v.secret = !marked || secret
		a, ok = p.assign(v.at(text.node))
	} else {
		a, ok = p.key.inherit(p.name)
	}
	if marked {
		a.Secret = secret
	}
	return a, ok
}

// assign assigns the single value v to the variable that the pair names.
func (p pair) assign(v value) (assignment, bool) {
	s, ok := v.scalar()
	if !ok {
		return assignment{}, false
	}
	return p.key.assign(p.name, s)
}

// assign returns the assignment of s to a variable that v names, or reports its fault.
func (v value) assign(name string, s scalar) (assignment, bool) {
	if !variableName.MatchString(name) {
		v.fail("the form is NAME: value, or - NAME=value", "%s: a name is missing or contains a space", v.key)
		return assignment{}, false
	}
	if strings.ContainsRune(s.text, 0) {
		v.fail("", "%s: the value of %s contains a NUL byte", v.key, name)
		return assignment{}, false
	}
	return assignment{Variable: container.Variable{Name: name, Value: s.text, Secret: s.secret || secretName.MatchString(name)}}, true
}

// inherit returns the assignment of the environment's value to a variable that v names.
func (v value) inherit(name string) (assignment, bool) {
	a, ok := v.assign(name, scalar{value: v})
	inherited, set := v.d.env.lookup(name)
	a.Value, a.Inherited, a.unset = inherited, true, !set
	return a, ok
}
