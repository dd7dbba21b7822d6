package report

import (
	"strings"
	"testing"
)

func TestPackagesLine(t *testing.T) {
	change := func(names ...string) (changes []PackageChange) {
		for _, n := range names {
			changes = append(changes, PackageChange{"dpkg", n, "1", "2"})
		}
		return changes
	}
	long := strings.Repeat("é", 500)
	for _, c := range []struct {
		build Build
		want  string
	}{
		{Build{}, ""},
		{Build{Packages: 1412}, "1,412"},
		{Build{Packages: 412, Changes: []PackageChange{{"dpkg", "libgmp10", "6.2.1", "6.3.0"}, {"dpkg", "m4", "1.4", ""}, {"opam", "ocaml", "", "5.2"}}},
			"412, 1 changed: libgmp10 6.2.1 → 6.3.0, 1 added: ocaml 5.2, 1 removed: m4 1.4"},
		{Build{Packages: 5, Changes: change("a", "b", "c", "d", "e")}, "5, 5 changed: a 1 → 2, b 1 → 2, c 1 → 2, …"},
		{Build{Changes: []PackageChange{{"dpkg", "a", "1", ""}}}, "0, 1 removed: a 1"},
		{Build{Packages: 1, Changes: []PackageChange{{"dpkg", "\x1b[2Ja\nb", "1", "2"}}}, "1, 1 changed: a b 1 → 2"},
		{Build{Packages: 1, Changes: change(long)}, "1, 1 changed: " + long[:2*39] + "… 1 → 2"},
	} {
		if got := c.build.PackagesLine(); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
	var most Build
	for range 10 {
		most.Changes = append(most.Changes, PackageChange{"dpkg", long, long, long}, PackageChange{"dpkg", long, "", long}, PackageChange{"dpkg", long, long, ""})
	}
	if got := len([]rune(most.PackagesLine())); got > 1000 {
		t.Errorf("%d characters", got)
	}
}
