package pipeline

import (
	"os"
	"strings"
)

// machineIDFile holds an identifier that the machine keeps when its name changes: machine-id(5).
const machineIDFile = "/etc/machine-id"

// MachineID identifies this machine among those that may share its engine.
func MachineID() string {
	id, err := os.ReadFile(machineIDFile)
	if name := strings.TrimSpace(string(id)); err == nil && name != "" {
		return name
	}
	return HostName()
}

// HostName returns the name of this machine, as reports show it.
func HostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}
