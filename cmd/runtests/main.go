// Command runtests is continuous integration with nothing but cron and a
// container engine: it runs each test of a suite in a fresh container, and
// reports on stdout or by mail.
//
// This package is the only one that knows that a person or cron is there: the
// arguments, the environment, the signals, the terminal and the exit status.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/sirupsen/logrus"

	"runtests/pkg/plain"
)

// version is set by the linker: -X main.version=v1.2.3.
var version = "devel"

func main() {
	forgetEmpty()
	ctx, stop := signalled(context.Background(), os.Exit)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// cli is the command line.
type cli struct {
	File    string           `short:"f" placeholder:"FILE" env:"RUNTESTS_FILE" help:"The suite file (default: runtests.yaml). Paths in it are relative to it."`
	Quiet   bool             `short:"q" help:"Print errors only on stderr."`
	Verbose bool             `short:"v" help:"Print what a single test prints on stderr, also when it is not a terminal."`
	Version kong.VersionFlag `help:"Print the version and exit."`

	Run     runCommand     `cmd:"" help:"Build what images are due, run the suite or the named tests, and report. Cron uses: runtests run --mail"`
	Build   buildCommand   `cmd:"" help:"Build the suite's images only, those that are due, and report."`
	Deploy  deployCommand  `cmd:"" help:"Promote the container of a test that passed to production, or go back."`
	Show    showCommand    `cmd:"" help:"Print a past run, in any format."`
	History historyCommand `cmd:"" help:"Tell, a line for each step, how the last runs ended, since when what fails does, and how long a step usually takes."`
	Clean   cleanCommand   `cmd:"" help:"Remove what old runs left: containers, superseded images, old run folders."`
	Check   checkCommand   `cmd:"" help:"Read the suite file, reach the engine and the mail server, say what is wrong. Runs nothing."`
}

// world is what a command may touch of the outside.
type world struct {
	stdout, stderr io.Writer
	log            *logrus.Logger
	suiteFile      string // as given; empty: the default, if it is there
	quiet, verbose bool
	mask           plain.Mask // the suite's secrets, once it was read
}

const description = `Builds the images of a suite, runs each of its test directories in a fresh container, and reports "X success, Y failures" with the tails of what failed.

Without a suite file, "runtests run DIR --image IMAGE" runs DIR/test.sh in a fresh container of IMAGE.

Exit status: 0 all passed and the report delivered; 1 a step did not pass; 2 nothing was run; 3 another run of this suite is going on; 4 all passed, but the report was not delivered; 129, 130, 143 interrupted by SIGHUP, SIGINT, SIGTERM.`

// run is the program: it returns its exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	w := &world{stdout: stdout, stderr: stderr, log: newLogger(stderr)}
	exited := -1 // set when kong would leave: after --help or --version
	parser := newParser(&c,
		kong.Writers(stdout, stderr),
		kong.Exit(func(status int) { exited = status }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(w),
	)
	parsed, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		return w.fail(usageError(err))
	}
	w.suiteFile, w.quiet, w.verbose = c.File, c.Quiet, c.Verbose
	w.log.SetLevel(level(c.Quiet, c.Verbose))
	return w.fail(parsed.Run())
}

// newParser reads command lines into c.
func newParser(c *cli, more ...kong.Option) *kong.Kong {
	parser, err := kong.New(c, append(more,
		kong.Name("runtests"),
		kong.Description(description),
		kong.Vars{"version": "runtests " + version},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)...)
	if err != nil {
		panic(err) // the struct above is wrong: a mistake of ours, not of the user
	}
	return parser
}

// forgetEmpty makes an empty variable count as not set, as in the original's
// `[ "${CID}" = "" ]`.
func forgetEmpty() {
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if value == "" && (name == "CID" || strings.HasPrefix(name, "RUNTESTS_")) {
			os.Unsetenv(name)
		}
	}
}

// usageError says how to find what the command line should have been.
func usageError(err error) error {
	hint := "runtests --help"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if command := parse.Context.Command(); command != "" {
			hint = "runtests " + strings.Fields(command)[0] + " --help"
		}
	}
	return &hintedError{error: err, hint: hint}
}

// A hintedError is an error with the remedy beside it.
type hintedError struct {
	error
	hint string
}

// Hint is the remedy.
func (e *hintedError) Hint() string { return e.hint }

func (e *hintedError) Unwrap() error { return e.error }

func hinted(hint, format string, args ...any) error {
	return &hintedError{error: fmt.Errorf(format, args...), hint: hint}
}
