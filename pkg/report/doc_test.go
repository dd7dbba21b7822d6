package report

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/plain"
)

// docFile is the page that documents the record for other programs.
const docFile = "../../docs/run.json.md"

// field is a row of the page: a field, its type, and whether it is always there.
type field struct {
	Name, Type string
	Always     bool
}

// The page documents exactly the fields that are written, with their types.
func TestDocHasEveryField(t *testing.T) {
	page, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]field{}
	var section string
	row := regexp.MustCompile("^\\| `([a-z_]+)` \\| (\\w+) \\| (always; )?")
	for line := range strings.Lines(string(page)) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(heading)
		}
		if m := row.FindStringSubmatch(line); m != nil {
			documented[section] = append(documented[section], field{m[1], m[2], m[3] != ""})
		}
	}
	written := map[string][]field{
		"The run":                 fields(reflect.TypeFor[Run]()),
		"engine":                  fields(reflect.TypeFor[Engine]()),
		"disk":                    fields(reflect.TypeFor[Disk]()),
		"steps":                   fields(reflect.TypeFor[Result]()),
		"steps: build":            fields(reflect.TypeFor[Build]()),
		"steps: build: changes":   fields(reflect.TypeFor[PackageChange]()),
		"steps: deployment":       fields(reflect.TypeFor[Deployment]()),
		"steps: trend":            fields(reflect.TypeFor[Trend]()),
		"steps: verdict":          fields(reflect.TypeFor[Verdict]()),
		"steps: verdict: tried":   fields(reflect.TypeFor[Trial]()),
		"steps: verdict: commits": fields(reflect.TypeFor[Commit]()),
		"steps: log":              fields(reflect.TypeFor[Log]()),
		"steps: log: tail":        fields(reflect.TypeFor[plain.Tail]()),
	}
	if diff := cmp.Diff(documented, written); diff != "" {
		t.Errorf("-documented +written:\n%s", diff)
	}
}

// fields returns the fields of a struct that encoding/json writes.
func fields(record reflect.Type) []field {
	var all []field
	for _, f := range reflect.VisibleFields(record) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "-" {
			all = append(all, field{name, typeName(f.Type), options == ""})
		}
	}
	return all
}

// typeName returns the page's name for a type.
func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "moment"
	case t == reflect.TypeFor[Duration](), t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return "number"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t.Kind() == reflect.Slice:
		return typeName(t.Elem()) + "s"
	case t.Kind() == reflect.String:
		return "string"
	case t.Kind() == reflect.Bool:
		return "boolean"
	}
	return "object"
}

// The page's example is a record as this program writes it.
func TestDocExample(t *testing.T) {
	page, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	var r Run
	if err := json.Unmarshal([]byte(example), &r); err != nil {
		t.Fatal(err)
	}
	var written bytes.Buffer
	if err := Encode(&written, &r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example, written.String()); diff != "" {
		t.Errorf("-documented +written:\n%s", diff)
	}
}
