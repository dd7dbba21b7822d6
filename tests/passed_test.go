package tests

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"runtests/pkg/images"
)

// forgetPassed takes away the names under which the suites below dir, and those that are
// named after it, keep the images that their tests last passed on, on the engine that this
// docker command talks to.
func forgetPassed(docker func(args ...string) (string, error), dir string) {
	out, err := docker("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=runtests-passed/*")
	if err != nil {
		return
	}
	repositories := map[string]bool{}
	for _, suite := range suitesBelow(dir) {
		repositories[suite.Repository()] = true
	}
	for _, name := range strings.Fields(out) {
		repository, _, _ := strings.Cut(strings.TrimPrefix(name, "localhost/"), ":")
		if repositories[repository] || strings.HasPrefix(repository, "runtests-passed/"+filepath.Base(dir)+"-") {
			_, _ = docker("rmi", name)
		}
	}
}

// suitesBelow are those of which a record is somewhere below dir.
func suitesBelow(dir string) (suites []images.Keeper) {
	machine, _ := os.ReadFile("/etc/machine-id")
	name := strings.TrimSpace(string(machine))
	if name == "" {
		name, _ = os.Hostname()
	}
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "run.json" {
			return nil
		}
		var record struct{ Suite string }
		if data, err := os.ReadFile(path); err == nil && json.Unmarshal(data, &record) == nil {
			suites = append(suites, images.Keeper{Suite: record.Suite, Logs: filepath.Dir(filepath.Dir(path)), Machine: name})
		}
		return nil
	})
	return suites
}
