package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every row of docs/faults.md names a story or a test that is there to be run.
func TestFaultsAreShown(t *testing.T) {
	page, err := os.ReadFile("../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testNames(t)
	name := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| fault ") {
			continue
		}
		rows++
		cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(line), " |"), " | ")
		shown := name.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(shown) == 0 {
			t.Errorf("nothing shows: %s", line)
		}
		for _, m := range shown {
			_, err := os.Stat(filepath.Join("script", m[1]+".txtar"))
			if err != nil && !tests[m[1]] {
				t.Errorf("there is neither a story nor a test %s, as in: %s", m[1], line)
			}
		}
	}
	if rows == 0 {
		t.Error("docs/faults.md has no rows")
	}
}

// testNames are the tests of the whole module, and those of the conformance suite.
func testNames(t *testing.T) map[string]bool {
	names := conformanceNames(t)
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(source, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// conformanceNames are the tests in the table of the conformance suite, as go test names them for an engine.
func conformanceNames(t *testing.T) map[string]bool {
	source, err := os.ReadFile("../pkg/runner/conformance/conformance.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\t\t\{"([^"]+)", \w+\},$`).FindAllSubmatch(source, -1) {
		names["TestEngine/"+string(m[1])] = true
	}
	if len(names) == 0 {
		t.Error("no test was found in the table of the conformance suite")
	}
	return names
}
