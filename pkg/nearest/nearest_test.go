package nearest

import "testing"

func TestOf(t *testing.T) {
	for _, test := range []struct {
		name       string
		candidates []string
		want       string
	}{
		{"tets", []string{"name", "tests"}, "tests"},           // a letter is missing
		{"keeep", []string{"keep"}, "keep"},                    // one too many
		{"onne", []string{"one", "two"}, "one"},                // and in a short name
		{"rx", []string{"rw", "ro"}, "rw"},                     // of two that are as near the first
		{"RNU", []string{"RUN", "ENV"}, "RUN"},                 // two letters swapped
		{"form", []string{"to", "from"}, "from"},               // the same
		{"PING", []string{"ping"}, "ping"},                     // case
		{"enviromnet", []string{"environment"}, "environment"}, // a long name: swapped and missing
		{"volumses", []string{"volumes"}, "volumes"},
		{"ecs@debain-deps", []string{"ecs@debian"}, ""}, // too many letters
		{"memroy", []string{"mem"}, ""},
		{"cpu_limt", []string{"cpus", "pids_limit"}, ""}, // three typos
		{"node", []string{"code", "nodejs"}, "code"},     // one typo, and not two
		{"postgres", []string{"postgis"}, "postgis"},     // two typos in eight letters
		{"mariadb", []string{"mariabase"}, ""},           // and none in seven
		{"a", []string{"b", "ab"}, ""},                   // a single letter
		{"", []string{"a"}, ""},
		{"same", []string{"samf", "same"}, "same"},           // the name itself
		{"dépôts", []string{"depôts", "dépots-2"}, "depôts"}, // letters, not bytes
		{"depot", []string{"tests", "volumes"}, ""},
		{"debian-opan", []string{"debian-opam"}, "debian-opam"},
		{"debian-deps", []string{"debian-opam", "ubuntu-deps"}, ""}, // names of one family
	} {
		if got := Of(test.name, test.candidates); got != test.want {
			t.Errorf("%q among %q: %q, want %q", test.name, test.candidates, got, test.want)
		}
	}
}

func TestHint(t *testing.T) {
	if got := Hint("tets", []string{"tests"}); got != `did you mean "tests"?` {
		t.Error(got)
	}
	if got := Hint("tets", []string{"name"}); got != "" {
		t.Error(got)
	}
}

func TestTypos(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abcd", "badc", 2},
		{"kitten", "sitting", 3}, {"ca", "abc", 3}, {"from", "form", 1},
	} {
		if got := typos([]rune(test.a), []rune(test.b), 10); got != test.want {
			t.Errorf("%q and %q: %d, want %d", test.a, test.b, got, test.want)
		}
		if got := typos([]rune(test.b), []rune(test.a), 10); got != test.want {
			t.Errorf("%q and %q: %d, want %d", test.b, test.a, got, test.want)
		}
	}
}
