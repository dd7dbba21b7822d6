package suite

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// longVolume is Compose's long form of a volume.
type longVolume struct {
	kind           volumeType
	source, target string
	readOnly       bool
	selinux        string
	size           int64
	mode           string
}

type volumeType string

const (
	bindVolume  volumeType = "bind"
	namedVolume volumeType = "volume"
	tmpfsVolume volumeType = "tmpfs"
)

func (l *longVolume) keys() keys {
	return keys{
		what:    "a volume",
		refused: map[string]string{"volume": "leave it out, with its option nocopy: a new volume gets what the image has at its target"},
		set: map[string]setter{
			"type":      choiceVar(&l.kind, bindVolume, namedVolume, tmpfsVolume),
			"source":    textVar(&l.source, filePath),
			"target":    textVar(&l.target, containerPath),
			"read_only": boolVar(&l.readOnly),
			"bind":      section(l.bindKeys()),
			"tmpfs":     section(l.tmpfsKeys()),
		},
	}
}

func (l *longVolume) bindKeys() keys {
	return keys{
		what:    "bind",
		refused: map[string]string{"propagation": "use the short form: SOURCE:TARGET:rslave"},
		set:     map[string]setter{"selinux": choiceVar(&l.selinux, "z", "Z")},
	}
}

func (l *longVolume) tmpfsKeys() keys {
	return keys{what: "tmpfs", set: map[string]setter{"size": sizeVar(&l.size, 1), "mode": textVar(&l.mode, octalMode)}}
}

var octalMode = holding("must be a mode in octal such as 1777", func(text string) bool {
	mode, err := strconv.ParseUint(text, 8, 32)
	return err == nil && mode <= 0o7777
})

func (l longVolume) volume(from place) (volume, error) {
	switch {
	case l.kind == "":
		return volume{}, hint.Errorf("the types are bind, volume and tmpfs", "the volume has no type")
	case l.target == "":
		return volume{}, errors.New("the volume has no target")
	case l.kind == bindVolume && l.source == "":
		return volume{}, errors.New("a bind has no source")
	case l.kind == tmpfsVolume && l.source != "":
		return volume{}, errors.New("a tmpfs takes no source")
	case l.kind != bindVolume && l.selinux != "",
		l.kind != tmpfsVolume && (l.size > 0 || l.mode != ""):
		return volume{}, fmt.Errorf("a volume of type %s takes no options of another type", l.kind)
	}
	if l.kind == tmpfsVolume {
		return l.tmpfs()
	}
	m := container.Mount{Source: l.source, Target: l.target, ReadOnly: l.readOnly}
	if l.kind == bindVolume {
		m.Source = from.abs(l.source)
	} else if strings.HasPrefix(l.source, "/") {
		return volume{}, hint.Errorf("use type: bind for a path", "%s is not the name of a volume", quoted(l.source))
	}
	if l.selinux != "" {
		m.Options = append(m.Options, l.selinux)
	}
	return checkVolume(m)
}

func (l longVolume) tmpfs() (volume, error) {
	target, err := checkTarget(l.target)
	if err != nil {
		return volume{}, err
	}
	var options []string
	if l.size > 0 {
		options = append(options, "size="+strconv.FormatInt(l.size, 10))
	}
	if l.mode != "" {
		options = append(options, "mode="+l.mode)
	}
	if l.readOnly {
		options = append(options, "ro")
	}
	text := target
	if len(options) > 0 {
		text += ":" + strings.Join(options, ",")
	}
	return volume{mount: container.Mount{Target: target}, tmpfs: text}, nil
}
