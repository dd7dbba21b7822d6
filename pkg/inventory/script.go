package inventory

import (
	"fmt"
	"strings"
)

// manager is a package manager: how it is asked, and how its answer is read.
type manager struct {
	name string
	// script prints what is installed, and nothing when the manager is not in the image. Its
	// exit status is not 0 when that is not known. It has no single quote in it.
	script string
	parse  func(output string) ([]found, error)
}

// found is a package as a manager names it.
type found struct{ name, version string }

// managers are the package managers that are known, in the order in which they are asked.
var managers = []manager{
	{"dpkg", `command -v dpkg-query >/dev/null || exit 0
dpkg-query -W -f "\${db:Status-Abbrev}\t\${Package}\t\${Version}\n"`, parseDpkg},

	// The database itself, as apk prints names and versions with a dash between them, of
	// which both may have some. apk 3 keeps it below /usr.
	{"apk", `for f in /lib/apk/db/installed /usr/lib/apk/db/installed; do
	[ -f "$f" ] && exec sed -n "/^[PV]:/p;/^\$/p" "$f"
done
exit 0`, parseAPK},

	// busybox has a command of that name that is no package manager.
	{"rpm", `rpm --version | grep -q "^RPM version" || exit 0
rpm -qa --qf "%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n"`, parseTwoColumns},

	// What opam keeps on disk, of 2.0 and later, is read instead of asking it: it may be of
	// another user, and want to convert an old root first. Switches that are in a project are
	// named in the root's configuration by their path.
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

	// What each interpreter in the PATH can import, each once: a virtual environment has its
	// own, which is a link to another's.
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

	// It exits with 1 also when it finds fault with what is installed; what it prints tells.
	{"npm", `command -v npm >/dev/null || exit 0
npm ls -g --depth=0 --json --no-update-notifier
exit 0`, parseNPM},
}

// inventoryScript asks all managers. What each prints stands between two lines that begin
// with the mark; the second has the exit status, and is missing when there was too much.
func inventoryScript(mark string) string {
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
