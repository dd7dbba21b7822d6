package mail

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// maxReferences bounds the References field: the first ones, which a thread hangs on,
// and the last, which is answered, are kept.
const maxReferences = 20

// references are the Message-IDs that may stand in the header.
func (m Message) references() []string {
	valid := slices.DeleteFunc(slices.Clone(m.References), func(id string) bool { return !validID(id) })
	if len(valid) > maxReferences {
		valid = append(valid[:maxReferences-1], valid[len(valid)-1])
	}
	return valid
}

// maxLabel is the length of the longest label of a List-Id that is made of a name: RFC
// 2919 allows 255 octets for all of it.
const maxLabel = 63

// listWords are the words of the List-Id field (RFC 2919) for a list of that name in
// the domain of an address: `"ecs" <ecs.runtests.ci.example.org>`.
func listWords(name, address string) []string {
	if name == "" {
		return nil
	}
	domain := address[strings.LastIndexByte(address, '@')+1:]
	if !hostName(domain) {
		domain = "localhost"
	}
	return append(nameWords(headerText(name, maxName)), "<"+listLabel(name)+".runtests."+domain+">")
}

// listLabel is a name as a label: letters, digits and hyphens. It is the same for a
// name each time, and tells names apart that are not too strange.
func listLabel(name string) string {
	label := strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && alphanumeric(byte(r)) {
			return r
		}
		return '-'
	}, name)
	label = strings.Trim(label[:min(len(label), maxLabel)], "-")
	if label == "" {
		return "suite"
	}
	return strings.ToLower(label)
}
