package inventory

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// parseOutput reads the output of allScript.
func parseOutput(output []byte, mark string) (Inventory, error) {
	var inventory Inventory
	text := string(output)
	if !strings.HasSuffix(text, "\n"+mark+" done\n") {
		return inventory, errors.New("it has no working /bin/sh")
	}
	for _, m := range managers {
		packages, err := m.read(text, mark)
		if err != nil {
			if inventory.Failed == nil {
				inventory.Failed = map[string]string{}
			}
			inventory.Failed[m.name] = err.Error()
			continue
		}
		for _, p := range packages {
			inventory.Packages = append(inventory.Packages, report.Package{Manager: m.name, Name: p.name, Version: p.version})
		}
	}
	slices.SortFunc(inventory.Packages, func(a, b report.Package) int {
		return cmp.Or(cmp.Compare(a.Manager, b.Manager), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return inventory, nil
}

// timedOut are the exit statuses of timeout(1) when the time is over: that of coreutils, and those
// of older and newer busybox.
var timedOut = []string{"124", "137", "143"}

// read finds the answer of a manager in the output and parses it.
func (m manager) read(text, mark string) ([]found, error) {
	_, rest, begun := strings.Cut(text, "\n"+mark+" begin "+m.name+"\n")
	answer, rest, ended := strings.Cut(rest, "\n"+mark+" end "+m.name+" ")
	status, _, _ := strings.Cut(rest, "\n")
	switch {
	case !begun || !ended || len(answer) > managerBytes || strings.Contains(answer, "\n"+mark+" "): // a /bin/sh may ignore the script, and its head
		return nil, fmt.Errorf("it printed more than %d MiB", managerBytes>>20)
	case slices.Contains(timedOut, status):
		return nil, fmt.Errorf("it took more than %d seconds", managerTimeout)
	case status != "0":
		return nil, errors.New("it failed with exit status " + plain.Clean(status[:min(len(status), 10)]))
	}
	packages, err := m.parse(answer)
	if err != nil {
		return nil, err
	}
	if len(packages) > maxPackages {
		return nil, fmt.Errorf("it lists more than %d packages", maxPackages)
	}
	for _, p := range packages {
		if !word.MatchString(p.name) || !word.MatchString(p.version) {
			return nil, errFormat
		}
	}
	return packages, nil
}

// errFormat is the error for an answer that the manager cannot have given.
var errFormat = errors.New("its answer is not in its format")

// word matches a name or a version of any manager: printable ASCII without blanks.
var word = regexp.MustCompile(`^[!-~]{1,200}$`)

// rows splits the lines of an answer at tabs into that many columns. It skips empty lines.
func rows(output string, columns int) ([][]string, error) {
	var all [][]string
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		row := strings.Split(line, "\t")
		if len(row) != columns {
			return nil, errFormat
		}
		all = append(all, row)
	}
	return all, nil
}

// parseDpkg reads lines of status, name and version. The second letter of the status is the state
// of the package: i, W and t are installed (dpkg-query(1)).
func parseDpkg(output string) ([]found, error) {
	lines, err := rows(output, 3)
	var packages []found
	for _, row := range lines {
		if len(row[0]) < 2 {
			return nil, errFormat
		}
		if strings.ContainsRune("iWt", rune(row[0][1])) {
			packages = append(packages, found{row[1], row[2]})
		}
	}
	return packages, err
}

// parseAPK reads the lines P: (name) and V: (version) of each paragraph of the database.
func parseAPK(output string) ([]found, error) {
	var packages []found
	for paragraph := range strings.SplitSeq(output, "\n\n") {
		var p found
		for line := range strings.Lines(paragraph) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
			switch key {
			case "P":
				p.name = value
			case "V":
				p.version = value
			case "":
			default:
				return nil, errFormat
			}
		}
		if p != (found{}) {
			packages = append(packages, p)
		}
	}
	return packages, nil
}

// parseTwoColumns reads lines of name and version. It skips the keys that rpm trusts, which are in
// its database as packages.
func parseTwoColumns(output string) ([]found, error) {
	lines, err := rows(output, 2)
	var packages []found
	for _, row := range lines {
		if row[0] != "gpg-pubkey" {
			packages = append(packages, found{row[0], row[1]})
		}
	}
	return packages, err
}

// parseOpam reads lines NAME.VERSION; a name has no dot.
func parseOpam(output string) ([]found, error) {
	lines, err := rows(output, 1)
	var packages []found
	for _, row := range lines {
		name, version, ok := strings.Cut(row[0], ".")
		if !ok {
			return nil, errFormat
		}
		packages = append(packages, found{name, version})
	}
	return packages, err
}

// parsePip reads lines of name, version and folder. Several interpreters may see the same package.
func parsePip(output string) ([]found, error) {
	lines, err := rows(output, 3)
	seen := map[[3]string]bool{}
	var packages []found
	for _, row := range lines {
		if key := [3]string(row); !seen[key] {
			seen[key] = true
			packages = append(packages, found{row[0], row[1]})
		}
	}
	return packages, err
}

// parseNPM reads npm's list. A missing package has no version.
func parseNPM(output string) ([]found, error) {
	if strings.TrimSpace(output) == "" {
		return nil, nil
	}
	var list struct {
		Dependencies map[string]struct{ Version string }
	}
	if err := json.Unmarshal([]byte(output), &list); err != nil {
		return nil, errFormat
	}
	var packages []found
	for name, p := range list.Dependencies {
		if p.Version != "" {
			packages = append(packages, found{name, p.Version})
		}
	}
	return packages, nil
}
