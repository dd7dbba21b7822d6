package suite

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// WritableSources returns the directories and files of the machine that a container with these mounts can write.
func WritableSources(mounts []container.Mount) (sources []string) {
	for _, m := range mounts {
		if m.Bind() && !m.ReadOnly && !slices.Contains(m.Options, "ro") {
			sources = append(sources, path.Clean(m.Source))
		}
	}
	return sources
}

// Below reports whether the absolute path name lies below dir. dir itself does not.
func Below(name, dir string) bool {
	name, dir = path.Clean(name), path.Clean(dir)
	return name != dir && strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

// CheckPlace returns an error if a container that can write the sources can replace the folder of a file on the
// production machine, and so redirect what is written there. The container may be able to replace the file itself:
// a promotion never follows what it finds in the file's place. CheckPlace compares the paths as they are written.
func CheckPlace(place string, sources []string) error {
	folder := path.Dir(path.Clean(place))
	for _, source := range sources {
		if Below(folder, source) {
			return hint.Errorf(
				fmt.Sprintf(`mount the file's own folder (volumes: ["%s:/…"]), add :ro to the volume, or put the file directly into %s`, folder, source),
				"the container can replace the folder of %s by a link, because the folder lies in its volume %s", place, source)
		}
	}
	return nil
}

// CheckSource returns an error if a container that can write the sources can replace one that is mounted, and so have
// any directory of the machine mounted the next time. It compares the paths as they are written.
func CheckSource(mounted string, sources []string) error {
	for _, source := range sources {
		if Below(mounted, source) {
			return hint.Errorf(
				fmt.Sprintf("mount a directory outside of %s, or add :ro to the volume %s", source, source),
				"the container can replace the source %s of a volume by a link, because it lies in its volume %s", mounted, source)
		}
	}
	return nil
}

// checkPlaces reports the files and the volumes that the container could redirect.
func (p *deployment) checkPlaces(at value) {
	mounts := p.Deployment.Container.Mounts
	writable := WritableSources(mounts)
	for _, f := range p.Files {
		if err := CheckPlace(f.Target, writable); err != nil {
			p.read.or(at, "files").fail(hint.Of(err), "files: %v", err)
		}
	}
	if p.PortsFile != "" {
		if err := CheckPlace(p.PortsFile, writable); err != nil {
			p.read.or(at, "ports_file").fail(hint.Of(err), "ports_file: %v", err)
		}
	}
	for _, m := range mounts {
		if !m.Bind() {
			continue
		}
		if err := CheckSource(m.Source, writable); err != nil {
			p.read.or(at, "volumes").fail(hint.Of(err), "volumes: %v", err)
		}
	}
}
