package suite

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var documentedKey = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")

// docs/suite.md names the keys that the decoder knows, section by section, and no others.
func TestDocumentedKeys(t *testing.T) {
	data, err := os.ReadFile("../../docs/suite.md")
	if err != nil {
		t.Fatal(err)
	}
	var long longVolume
	for title, known := range map[string][]string{
		"The suite": keyNames(new(Suite).keys()),
		"An image":  keyNames(new(image).keys(), new(Build).keys()),
		"A test":    keyNames(new(settings).testKeys()),
		"Volumes":   keyNames(long.keys()),
		"Deploy":    keyNames(new(deployment).keys(), new(HealthCheck).keys()),
		"Mail":      keyNames(new(Mail).keys()),
	} {
		_, section, _ := strings.Cut(string(data), "\n## "+title+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		var documented []string
		for _, m := range documentedKey.FindAllStringSubmatch(section, -1) {
			documented = append(documented, m[1])
		}
		slices.Sort(documented)
		documented = slices.Compact(documented) // the command of a deployment, and that of its health check
		if diff := cmp.Diff(known, documented); diff != "" {
			t.Errorf("%s (- known, + documented):\n%s", title, diff)
		}
		if title == "Volumes" {
			for _, option := range slices.Concat(mountOptions, slices.Sorted(maps.Keys(refusedOptions)), slices.Sorted(maps.Keys(long.bindKeys().refused))) {
				if !strings.Contains(section, "`"+option+"`") {
					t.Errorf("%s: the option %s is not documented", title, option)
				}
			}
		}
		for _, nested := range []keys{long.bindKeys(), long.tmpfsKeys()} {
			for key := range nested.set {
				if title == "Volumes" && !strings.Contains(section, "`"+key+"`") {
					t.Errorf("%s: %s of %s is not documented", title, key, nested.what)
				}
			}
		}
	}
}

// keyNames returns the keys of the mappings together.
func keyNames(mappings ...keys) []string {
	all := map[string]setter{}
	for _, k := range mappings {
		maps.Copy(all, k.set)
	}
	return slices.Sorted(maps.Keys(all))
}

var exampleColumn = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|.*\\| `([^`]+)` \\|$")

// Every example of docs/suite.md loads.
func TestDocumentedExamples(t *testing.T) {
	data, err := os.ReadFile("../../docs/suite.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "\n## A test\n")
	section, _, _ = strings.Cut(section, "\n## ")
	examples := exampleColumn.FindAllStringSubmatch(section, -1)
	if len(examples) != len(keyNames(new(settings).testKeys())) {
		t.Fatalf("%d examples for %d keys", len(examples), len(keyNames(new(settings).testKeys())))
	}
	for _, m := range examples {
		text := "tests:\n  t:\n    " + m[2] + "\n"
		if m[1] != "image" {
			text += "    image: x\n"
		}
		s, dir, err := load(t, text, Overrides{})
		if m[1] == "env_file" {
			write(t, dir+"/ci.env", "A=1\n")
			s, err = Load("runtests.yaml", env(dir), Overrides{})
		}
		if err != nil || len(s.Steps) == 0 {
			t.Errorf("%s: %v", m[2], err)
		}
	}
}

// Every example of a deployment loads.
func TestDocumentedDeployments(t *testing.T) {
	data, err := os.ReadFile("../../docs/suite.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "\n## Deploy\n")
	section, _, _ = strings.Cut(section, "\n## ")
	examples := exampleColumn.FindAllStringSubmatch(section, -1)
	if len(examples) != len(keyNames(new(deployment).keys())) {
		t.Fatalf("%d examples for %d keys", len(examples), len(keyNames(new(deployment).keys())))
	}
	for _, m := range examples {
		text := "tests: {ecs: {image: [debian, ubuntu]}}\ndeploy:\n  ecs:\n    " + m[2] + "\n"
		switch m[1] {
		case "from":
		case "ports_file":
			text += "    from: ecs@debian\n    ports: [\"10001:9080\"]\n"
		default:
			text += "    from: ecs@debian\n"
		}
		s, dir, err := load(t, text, Overrides{})
		if m[1] == "env_file" {
			write(t, dir+"/prod.env", "A=1\n")
			s, err = Load("runtests.yaml", env(dir), Overrides{})
		}
		if err != nil || len(s.Deployments) != 1 {
			t.Errorf("%s: %v", m[2], err)
		}
	}
}
