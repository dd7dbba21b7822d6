package suite

import (
	"go.yaml.in/yaml/v4"

	"runtests/pkg/hint"
)

// maxMerges bounds the depth of mappings merged with <<; it ends a cycle.
const maxMerges = 20

// pair is a key of a mapping and its value; aliases are resolved.
type pair struct {
	name       string
	key, value value
}

// named reports whether the pair's name keeps the rule, and a fault if it does not.
func (p pair) named(what string, keeps rule) bool {
	_, err := keeps(p.name)
	if err != nil {
		p.key.fail(hint.Of(err), "the name of %s %v, not %s", what, err, quoted(p.name))
	}
	return err == nil
}

// mapping collects the pairs of a mapping and of those that are merged into it.
type mapping struct {
	pairs []pair
	index map[string]int // by name
}

// pairs returns the mapping's pairs in the order of the file, merged ones last. An empty value is
// an empty mapping.
func (v value) pairs(what string) []pair {
	if v.isNull() {
		return nil
	}
	m := mapping{index: map[string]int{}}
	m.collect(v, what, 0)
	return m.pairs
}

// collect adds the pairs of v, which messages call what, and then those that are merged into it.
func (m *mapping) collect(v value, what string, depth int) {
	v.node = deref(v.node)
	if v.tooMany() {
		return
	}
	if !v.isMapping() {
		v.fail("", "%s must be a mapping, not %s", what, v.kind())
		return
	}
	if !v.tagged("!!map") {
		return
	}
	if depth > maxMerges {
		v.fail("", "mappings are merged more than %d deep", maxMerges)
		return
	}
	var merged []*yaml.Node
	inherited := len(m.pairs)
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, content := deref(v.node.Content[i]), deref(v.node.Content[i+1])
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!merge":
			m.add(pair{key.Value, v.at(key), v.at(content)}, what, inherited)
		case content.Kind == yaml.SequenceNode:
			merged = append(merged, content.Content...)
		default:
			merged = append(merged, content)
		}
	}
	for _, n := range merged {
		m.collect(v.at(n), "the value of <<", depth+1)
	}
}

// add adds p, unless an earlier pair has its name. The pairs from index own on are those of the
// mapping itself, where a second one is a fault.
func (m *mapping) add(p pair, what string, own int) {
	if p.key.node.Kind != yaml.ScalarNode {
		p.key.fail("", "a key of %s must be a word, not %s", what, p.key.kind())
		return
	}
	if first, repeated := m.index[p.name]; repeated {
		if first >= own {
			p.key.fail("", "%s is already given on line %d", quoted(p.name), m.pairs[first].key.node.Line)
		}
		return
	}
	m.index[p.name] = len(m.pairs)
	m.pairs = append(m.pairs, p)
}
