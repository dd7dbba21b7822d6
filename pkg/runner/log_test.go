package runner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func newTestLog(t *testing.T) *Log {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return newLog(file, path)
}

func TestLog(t *testing.T) {
	for _, test := range []struct {
		name, text, last string
		lines            int64
	}{
		{"empty", "", "", 0},
		{"one line", "compiling\n", "compiling", 1},
		{"no newline at the end", "one\ntwo", "two", 2},
		{"only newlines", "\n\n\n", "", 3},
		{"blank lines at the end", "ready\n\n  \n", "ready", 3},
		{"a progress bar", "10%\r50%\r90%", "90%", 1},
		{"lines of Windows", "one\r\ntwo\r\n", "two", 2},
		{"longer than what is kept", "start\n" + strings.Repeat("x", 3*endKept), strings.Repeat("x", endKept), 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := newTestLog(t)
			for _, piece := range strings.SplitAfter(test.text, "o") {
				if n, err := log.Write([]byte(piece)); n != len(piece) || err != nil {
					t.Fatal(n, err)
				}
			}
			size, lines := log.Size()
			if size != int64(len(test.text)) || lines != test.lines {
				t.Errorf("%d bytes, %d lines, want %d and %d", size, lines, len(test.text), test.lines)
			}
			if got := log.LastLine(); got != test.last {
				t.Errorf("the last line is %q, want %q", got, test.last)
			}
			if data, err := os.ReadFile(log.Path()); err != nil || string(data) != test.text {
				t.Errorf("the file holds %q, %v", data, err)
			}
		})
	}
}

// Whoever follows a log learns of every byte, and of the end.
func TestLogWatch(t *testing.T) {
	log := newTestLog(t)
	var follower sync.WaitGroup
	follower.Go(func() {
		for {
			size, ended, changed := log.Watch()
			if ended {
				if size != 1000 {
					t.Errorf("ended at %d bytes, want 1000", size)
				}
				return
			}
			<-changed
		}
	})
	for range 1000 {
		if _, err := log.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	log.end()
	follower.Wait()
}

// Requests that come while a save runs share the next one; each is answered by a
// save that began after it was made.
func TestSaver(t *testing.T) {
	var state, saves atomic.Int64
	first := make(chan struct{})
	var onDisk atomic.Int64
	s := saver{save: func() error {
		if saves.Add(1) == 1 {
			<-first
		}
		onDisk.Store(state.Load())
		return nil
	}}
	s.request()
	var waiting []*saved
	for range 100 {
		state.Add(1)
		waiting = append(waiting, s.request())
	}
	close(first)
	for _, request := range waiting {
		if err := request.wait(); err != nil {
			t.Error(err)
		}
	}
	if onDisk.Load() != 100 {
		t.Errorf("state %d is saved, want 100", onDisk.Load())
	}
	if n := saves.Load(); n > 3 {
		t.Errorf("%d saves for 101 requests", n)
	}
}

func TestSaverTellsItsError(t *testing.T) {
	full := errors.New("no space left on device")
	s := saver{save: func() error { return full }}
	s.request()
	if err := s.flush(); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if err := new(saver).flush(); err != nil {
		t.Errorf("nothing was to be saved: %v", err)
	}
}
