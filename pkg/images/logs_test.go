package images

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runtests/pkg/suite"
)

// A context with the suite's logs in it is told as that, also when the run replaces one of
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
		var fault *Fault
		if err := w.open(t.Context()); !errors.As(err, &fault) || !strings.Contains(fault.Error(), "has the suite's logs in it (logs/") || !strings.HasPrefix(fault.Hint(), "name logs in ") {
			t.Fatal(err)
		}
	}
	close(stop)
	<-stopped
}
