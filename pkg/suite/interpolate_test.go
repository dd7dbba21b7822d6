package suite

import (
	"strings"
	"testing"

	composedotenv "github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
)

func lookup(name string) (string, bool) {
	value, ok := map[string]string{"A": "a", "B": "b b", "EMPTY": "", "D": "$A", "_x1": "x"}[name]
	return value, ok
}

// What Compose's own code makes of a text is what we make of it.
func TestVariablesAsCompose(t *testing.T) {
	for _, text := range []string{
		"", "plain", "$A", "${A}", "x${A}y$A", "$$A", "$$$A", "${B}/$_x1", "$D", "${EMPTY}",
		"${NO:-d}", "${NO-d}", "${EMPTY:-d}", "${EMPTY-d}", "${A:-d}", "${NO:-}", "${NO:-${A}}", "${NO:-x${NO:-$B}y}z",
		"${A:+d}", "${A+d}", "${EMPTY:+d}", "${EMPTY+d}", "${NO:+d}", "${NO+d}", "${A:?no}", "${EMPTY?no}",
		"${NO:-{\"a\": 1}}", "${NO:-a:-b}", "${A:+${B:-c}}", "${NO:-a}-${NO:-b}",
		"${NO:?say}", "${EMPTY:?say}", "${NO?say}", "$", "a$", "$1", "${", "${}", "${A", "${1}", "${A!}", "${A:}", "$-",
	} {
		want, wantErr := template.SubstituteWithOptions(text, lookup, template.WithoutLogging)
		v := variables{lookup: lookup}
		got, err := v.expand(text, 0)
		if (err == nil) != (wantErr == nil) || err == nil && got != want {
			t.Errorf("%q: %q, %v; Compose: %q, %v", text, got, err, want, wantErr)
		}
	}
}

func TestVariablesThatAreNotSet(t *testing.T) {
	for text, want := range map[string]string{
		"$NO": "variable NO is not set", "${NO}": "variable NO is not set", "${X:-${NO}}": "variable NO is not set",
		"${NO:?the host}": "variable NO is required: the host", "${NO?}": "variable NO is required",
		strings.Repeat("${NO:-", 30) + strings.Repeat("}", 30): "variables are nested more than 20 deep",
	} {
		v := variables{lookup: lookup}
		if got, err := v.expand(text, 0); err == nil || err.Error() != want {
			t.Errorf("%q: %q, %v, want %s", text, got, err, want)
		}
	}
}

var dotenvTexts = []string{
	"", "A=1", "A=1\nB=2\n", "# c\n\nA=1 # c\n", "export A=1", "A = 1", "A: yaml", "A\n", "NO\nA\n", "A='$x #'", `A="$_x1 #" # c`, "A=a#b", "A=",
	"A=x\nC=${A}y", "C=1\nE=${C}", `A="a\nb\tc\"d\\e\$f"`, `A='it\'s'`, "A=\"two\nlines\"\nB=1", "A=1\r\nB=2\r\n", "\ufeffA=1", "a.b-c[0]=1", "A=${NO:-d}",
}

// Compose's own code reads an env_file as we do.
func TestDotenvAsCompose(t *testing.T) {
	for _, text := range dotenvTexts {
		want, err := composedotenv.ParseWithLookup(strings.NewReader(text), lookup)
		if err != nil {
			t.Fatalf("%q: Compose refuses it: %v", text, err)
		}
		p := dotenv{env: lookup}
		if err := p.parse(text); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		for _, v := range p.known {
			if value, ok := want[v.Name]; !ok || value != v.Value || !v.Secret || !v.FromFile {
				t.Errorf("%q: %+v, Compose: %q", text, v, value)
			}
		}
		if len(p.known) != len(want) {
			t.Errorf("%q: %v, Compose: %v", text, p.known, want)
		}
	}
}

func TestDotenvFaults(t *testing.T) {
	for text, want := range map[string]string{
		"A=1\nB C=hunter2":      "line 2: not a variable's name and value",
		"\n\nA='hunter2":        "line 3: a quote is not closed",
		"A=\"x\ny\"\nB=a$NO":    "line 3: variable NO is not set",
		"A='x' hunter2":         "line 1: something follows the closing quote",
		"=x":                    "line 1: not a variable's name and value",
		"A='1\n2'\nB='x'\nC=${": "line 4: a ${ is not closed",
		"just some hunter2 txt": "line 1: not a variable's name and value",
	} {
		p := dotenv{env: lookup}
		if err := p.parse(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
