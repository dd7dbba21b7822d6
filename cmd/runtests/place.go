package main

import (
	"os"

	"runtests/pkg/suite"
)

// workingDir returns the folder where relative paths of the command line start.
func workingDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	return dir
}

// suiteEnv returns what a suite file sees of the environment.
func suiteEnv() suite.Env {
	return suite.Env{Dir: workingDir(), Lookup: os.LookupEnv, Root: os.Geteuid() == 0}
}
