package images

import (
	"fmt"
	"strings"
)

// Fault is something that keeps a chain from being built.
type Fault struct {
	Image  string // the name of the image; empty: the suite as a whole
	Err    error
	Remedy string
}

// Error returns the fault with the name of the image.
func (f *Fault) Error() string {
	if f.Image == "" {
		return f.Err.Error()
	}
	return fmt.Sprintf("image %q: %v", f.Image, f.Err)
}

// Unwrap returns the fault itself.
func (f *Fault) Unwrap() error { return f.Err }

// Hint returns the remedy.
func (f *Fault) Hint() string { return f.Remedy }

// Faults is all that is wrong with a chain, in the suite's order.
type Faults []*Fault

// Error returns one fault per line, each with its remedy below.
func (f Faults) Error() string {
	var lines []string
	for _, fault := range f {
		lines = append(lines, fault.Error())
		if fault.Remedy != "" {
			lines = append(lines, "  "+fault.Remedy)
		}
	}
	return strings.Join(lines, "\n")
}
