package main

import (
	"os"
	"path/filepath"
	"strings"

	"runtests/pkg/engine"
	"runtests/pkg/suite"
)

// machineIDFile is an identifier that the machine keeps when its name changes: machine-id(5).
const machineIDFile = "/etc/machine-id"

// machine tells this machine from the others that may share its engine.
func machine() string {
	id, err := os.ReadFile(machineIDFile)
	if name := strings.TrimSpace(string(id)); err == nil && name != "" {
		return name
	}
	return hostname()
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// workingDir is where relative paths of the command line start.
func workingDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	return dir
}

// cliOf is the command by which a person does with this engine what we do.
func cliOf(info engine.Info) string { return strings.ToLower(info.Name) }

// suiteEnv is what a suite file sees of the world.
func suiteEnv() suite.Env {
	return suite.Env{Dir: workingDir(), Lookup: os.LookupEnv, Root: os.Geteuid() == 0}
}

// runID is the ID of the run whose folder that is.
func runID(folder string) string { return filepath.Base(folder) }
