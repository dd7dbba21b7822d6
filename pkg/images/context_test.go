package images

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runtests/pkg/hint"
	"runtests/pkg/suite"
)

// The error for a context that contains the suite's logs says so, also if the run replaces one of
// them while the context is read.
func TestLogsInTheContext(t *testing.T) {
	dir := t.TempDir()
	logs := filepath.Join(dir, "logs")
	put := func(name, text string) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Error(err)
		}
	}
	put(filepath.Join(dir, "Dockerfile"), "FROM scratch\n")
	record := filepath.Join(logs, "run", "run.json")
	put(record, "{}")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			put(record+".new", "{}")
			if err := os.Rename(record+".new", record); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 300 {
		w := &update{Updater: &Updater{Logs: logs}, image: Image{Image: suite.Image{Build: &suite.Build{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile")}}}}
		if err := w.readContext(t.Context()); err == nil || !strings.Contains(err.Error(), "has the suite's logs in it (logs/") || !strings.HasPrefix(hint.Of(err), "name logs in ") {
			t.Fatal(err)
		}
	}
	close(stop)
	<-stopped
}
