package suite

import (
	"errors"
	"fmt"
	"time"
)

// Overrides are the settings of the command line, which replace those of the suite file.
type Overrides struct {
	Image      string        // for every test; empty: the suite's
	Timeout    time.Duration // zero: the suite's
	Volumes    []string      // in Compose's short form, relative to the working directory; they replace the suite's of the same target
	MacAddress string
}

// overrides are Overrides, checked.
type overrides struct {
	Overrides
	volumes []volume
}

// check returns all that is wrong with the overrides in one error.
func (o Overrides) check(env Env) (overrides, error) {
	over := overrides{Overrides: o}
	var faults []error
	if o.Image != "" {
		if _, err := imageReference(o.Image); err != nil {
			faults = append(faults, fmt.Errorf("image %s: it %w", quoted(o.Image), err))
		}
	}
	if _, err := macAddress(o.MacAddress); err != nil {
		faults = append(faults, fmt.Errorf("MAC address %s: it %w", quoted(o.MacAddress), err))
	}
	if o.Timeout < 0 || o.Timeout > maxDuration {
		faults = append(faults, fmt.Errorf("timeout %s: it must be from 0 to a year", o.Timeout))
	}
	for _, text := range o.Volumes {
		v, err := parseVolume(text, env.place(env.Dir))
		if err != nil {
			faults = append(faults, fmt.Errorf("volume %s: %w", quoted(text), err))
			continue
		}
		over.volumes = mergeVolumes(over.volumes, []volume{v})
	}
	faults = append(faults, over.checkSockets(env.engineSockets())...)
	return over, errors.Join(faults...)
}

// checkSockets checks the volumes of the command line as expander.checkSockets does those of a test.
func (o overrides) checkSockets(sockets []string) (faults []error) {
	if nameSocket(o.volumes, sockets) {
		return nil
	}
	for _, v := range o.volumes {
		if err := checkSocket(v.mount, sockets, disk{}); err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}
