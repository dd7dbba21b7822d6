package mail

import (
	"slices"
	"strings"
)

// maxReferences bounds the References field. It keeps the first ones, by which readers
// find the thread, and the last one, to which the message replies.
const maxReferences = 20

// references returns the valid Message-IDs for the References field.
func (m Message) references() []string {
	valid := slices.DeleteFunc(slices.Clone(m.References), func(id string) bool { return !isMessageID(id) })
	if len(valid) > maxReferences {
		valid = append(valid[:maxReferences-1], valid[len(valid)-1])
	}
	return valid
}

// maxLabel is the longest label made of a list's name, in octets. RFC 2919 allows 255
// for the whole List-Id.
const maxLabel = 63

// listWords returns the words of the List-Id field (RFC 2919) for a list with that name
// in the domain of address: `"ecs" <ecs.runtests.ci.example.org>`.
func listWords(name, address string) []string {
	if name == "" {
		return nil
	}
	domain := domainOf(address)
	if !isHostName(domain) {
		domain = "localhost"
	}
	return append(nameWords(headerText(name, maxName)), "<"+listLabel(name)+".runtests."+domain+">")
}

// listLabel returns name as a label of letters, digits and hyphens. The label of a name
// never changes; only unusual names share one.
func listLabel(name string) string {
	label := strings.Map(func(r rune) rune {
		if isAlphanumeric(r) {
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
