package inventory

import (
	"fmt"
	"strings"
)

// manager is a package manager: the script that asks it, and the parser of its answer.
type manager struct {
	name string
	// script prints the installed packages, or nothing if the image does not have the manager. Its
	// exit status is not 0 if it could not find out. It contains no single quote.
	script string
	parse  func(output string) ([]found, error)
}

// found is a package as a manager names it.
type found struct{ name, version string }

// managers are the package managers in the order in which they are asked.
var managers = []manager{
	{"dpkg", `command -v dpkg-query >/dev/null || exit 0
dpkg-query -W -f "\${db:Status-Abbrev}\t\${Package}\t\${Version}\n"`, parseDpkg},

	// The database itself: apk prints a dash between name and version, and both may contain
	// dashes. apk 3 keeps it below /usr.
	{"apk", `for f in /lib/apk/db/installed /usr/lib/apk/db/installed; do
	[ -f "$f" ] && exec sed -n "/^[PV]:/p;/^\$/p" "$f"
done
exit 0`, parseAPK},

	// The rpm of busybox is not a package manager.
	{"rpm", `rpm --version | grep -q "^RPM version" || exit 0
rpm -qa --qf "%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n"`, parseTwoColumns},

	// The files of opam 2.0 and later: opam itself may refuse the root of another user, or want to
	// convert an old root first. The root's configuration has the paths of the switches in projects.
	{"opam", `{ echo "$OPAMROOT"; for h in "$HOME" /root $(cut -d: -f6 /etc/passwd); do echo "$h/.opam"; done; } | sort -u |
while read -r root; do
	[ -f "$root/config" ] || continue
	for s in "$root"/*; do echo "$s"; done
	tr -s " \t[]" "\n" <"$root/config" | sed -n "s,^\"\(/.*\)\"\$,\1/_opam,p"
done | sort -u | while read -r switch; do
	for p in "$switch"/.opam-switch/packages/*; do
		[ -f "$p/opam" ] && echo "${p##*/}"
	done
done
exit 0`, parseOpam},

	// The packages that each interpreter in the PATH can import. The interpreter of a virtual
	// environment is a link to another, but has its own packages.
	{"pip", `IFS=:
for d in $PATH; do
	d=$(cd "$d" && pwd -P) || continue
	for p in "$d"/python3 "$d"/python3.[0-9] "$d"/python3.[0-9][0-9]; do
		[ -x "$p" ] || continue
		if [ -f "${d%/*}/pyvenv.cfg" ]; then echo "$d/python3"; else readlink -f "$p"; fi
	done
done | sort -u | {
	result=0
	while read -r p; do
		"$p" -c "
import sys
try:
    from importlib.metadata import distributions
    all = [(d.metadata[\"Name\"], d.version, str(d.locate_file(\"\"))) for d in distributions()]
except ImportError:
    import pkg_resources
    all = [(d.project_name, d.version, d.location) for d in pkg_resources.working_set]
for name, version, place in all:
    if name:
        sys.stdout.write(\"%s\t%s\t%r\n\" % (name, version, place))
" </dev/null || result=1
	done
	exit $result
}`, parsePip},

	// npm exits with 1 also if it objects to an installed package.
	{"npm", `command -v npm >/dev/null || exit 0
npm ls -g --depth=0 --json --no-update-notifier
exit 0`, parseNPM},
}

// allScript returns a script that asks all managers. It prints each answer between two lines that
// begin with the mark; the second has the exit status, and is missing if the answer was too long.
func allScript(mark string) string {
	var s strings.Builder
	s.WriteString(`exec 2>/dev/null </dev/null
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
limit=
if timeout 1 true; then limit="timeout ` + fmt.Sprint(managerTimeout) + `"
elif timeout -t 1 true; then limit="timeout -t ` + fmt.Sprint(managerTimeout) + `"; fi
`)
	for _, m := range managers {
		fmt.Fprintf(&s, "echo; echo %s begin %s\n{ $limit /bin/sh -c '%s'; status=$?; echo; echo %s end %s $status; } | head -c %d\n",
			mark, m.name, m.script, mark, m.name, managerBytes)
	}
	fmt.Fprintf(&s, "echo; echo %s done\n", mark)
	return s.String()
}
