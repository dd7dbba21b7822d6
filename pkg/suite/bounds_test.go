package suite

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A large file, and one that aliases make large, are read within a bound: what is wrong
// with it takes hours, or never ends.
func TestLargeFilesAreReadInABound(t *testing.T) {
	var tests, variables strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&tests, "  t%d: {image: [a, b], timeout: 1m, environment: {A: %d}}\n", i, i)
		fmt.Fprintf(&variables, "    V%d: x\n", i%900)
	}
	for name, text := range map[string]string{
		"many tests":         "tests:\n" + tests.String(),
		"repeated variables": "defaults:\n  environment:\n" + variables.String(),
		"deep lists":         "tests: " + strings.Repeat("[", 100_000),
		"nested variables":   "name: " + strings.Repeat("${A:-", 500_000),
		"many globs":         "tests:\n" + strings.Repeat("  - a\n", 200_000),
	} {
		start := time.Now()
		s, _, err := load(t, text, Overrides{})
		took := time.Since(start)
		if (err == nil) != (name == "many tests") || s != nil && len(s.Steps) != 8000 {
			t.Errorf("%s: %v", name, err)
		}
		if took > 2*time.Minute {
			t.Errorf("%s: took %s", name, took)
		}
		t.Log(name, took)
	}
}
