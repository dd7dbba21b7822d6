package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// The man page has every command, flag and variable of the command line.
func TestManPageTellsEverything(t *testing.T) {
	page, err := os.ReadFile("../../docs/runtests.1")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for word := range strings.FieldsSeq(string(page)) {
		words[word] = true
	}
	want := func(word, what string) {
		if !words[word] {
			t.Errorf("docs/runtests.1 has no %s %s", what, word)
		}
	}
	flags := func(node *kong.Node) {
		for _, flag := range node.Flags {
			want("-"+flag.Name, "flag") // mdoc: Fl -name
			if flag.Short != 0 {
				want(string(flag.Short), "flag") // mdoc: Fl f
			}
			for _, variable := range flag.Envs {
				want(variable, "variable")
			}
		}
	}
	root := newParser(&cli{}).Model.Node
	flags(root)
	for _, command := range root.Children {
		want(command.Name, "command")
		flags(command)
	}
	if len(root.Children) == 0 {
		t.Error("the command line has no commands")
	}
}

// A help text fits on one line of a terminal of 80 columns.
func TestHelpFitsOnALine(t *testing.T) {
	page := func(arg ...string) string {
		var out strings.Builder
		var c cli
		parser := newParser(&c, kong.Writers(&out, &out), kong.Exit(func(int) {}), kong.Bind(&world{}), kong.BindTo(t.Context(), (*context.Context)(nil)))
		_, _ = parser.Parse(append(arg, "--help")) // after the help it goes on, and misses arguments
		return out.String()
	}
	commands := newParser(&cli{}).Model.Children
	pages := []string{page()}
	for _, command := range commands {
		pages = append(pages, page(command.Name))
	}
	for _, text := range pages {
		if !strings.Contains(text, "--help") {
			t.Fatalf("not a help page:\n%s", text)
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, strings.Repeat(" ", 12)) {
				t.Errorf("continued on a line of its own: %q", line)
			}
		}
	}
}
