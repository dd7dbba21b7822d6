package deploy

import (
	"fmt"
	"strings"
	"time"
)

// String tells a person what runs, a line or a few, without a final newline.
func (s Status) String() string {
	var b strings.Builder
	if s.Current.Tag == "" {
		fmt.Fprintf(&b, "%s at %s: nothing runs", s.Container, s.Host)
	} else {
		fmt.Fprintf(&b, "%s at %s: %s since %s, %s", s.Container, s.Host, s.State, s.Since.Local().Format(time.DateTime), s.Current)
	}
	if s.Held {
		b.WriteString("\n  a promotion is going on")
	}
	if s.CutOff {
		b.WriteString("\n  a promotion was cut off: the next one mends it")
	}
	for _, r := range s.Previous {
		fmt.Fprintf(&b, "\n  before: %s", r)
	}
	return b.String()
}
