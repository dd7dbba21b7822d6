package container

import "maps"

// LabelName is the label that holds the name under which a container was created, with its random
// part. Labels are handed on: by an image's LABEL, by docker commit, to every container made of
// such an image. A name is not, so a container that has another name than this is not the one that
// was created under it, or no longer.
const LabelName = "runtests.name"

// Named returns c with a name, and with LabelName.
func (c Container) Named(name string) Container {
	c.Name = name
	c.Labels = maps.Clone(c.Labels)
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	c.Labels[LabelName] = name
	return c
}
