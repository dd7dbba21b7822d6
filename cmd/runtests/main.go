// Command runtests is continuous integration with nothing but cron and a
// container engine: it runs each test of a suite in a fresh container, and
// reports on stdout or by mail.
//
// This package alone deals with arguments, the environment, signals, the terminal and the exit
// status.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/sirupsen/logrus"

	"runtests/pkg/hint"
	"runtests/pkg/plain"
)

// version is set by the linker: -X main.version=v1.2.3.
var version = "devel"

func main() {
	unsetEmpty()
	ctx, stop := signalled(context.Background(), os.Exit)
	status := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// cli is the command line.
type cli struct {
	File    string           `short:"f" placeholder:"FILE" env:"RUNTESTS_FILE" help:"The suite file (default: runtests.yaml)."`
	Quiet   bool             `short:"q" help:"Print only errors on stderr."`
	Verbose bool             `short:"v" help:"Show a test's output, also without a terminal."`
	Version kong.VersionFlag `help:"Print the version and exit."`

	Run     runCommand     `cmd:"" help:"Build the images that are due, run the tests, report."`
	Build   buildCommand   `cmd:"" help:"Build the images that are due, and report."`
	Deploy  deployCommand  `cmd:"" help:"Promote the container that passed, or go back."`
	Show    showCommand    `cmd:"" help:"Print a past run, in any format."`
	History historyCommand `cmd:"" help:"Show how the last runs of each step ended."`
	Clean   cleanCommand   `cmd:"" help:"Remove what old runs left: containers, images, folders."`
	Check   checkCommand   `cmd:"" help:"Check the suite file, engine, mail and production."`
}

// world is what commands share: the outputs, and the flags for all commands.
type world struct {
	stdout, stderr io.Writer
	log            *logrus.Logger
	suiteFile      string // as given; empty: the default, if it is there
	quiet, verbose bool
	mask           plain.Mask // the suite's secrets, once it was read
}

const description = `Continuous integration with cron and a container engine. Builds the images of a suite, runs each test in a fresh container, and reports "X success, Y failures" with the cause of what failed. Without a suite file: runtests run DIR --image IMAGE. From cron: runtests run --mail.

Exit status: 0 all passed, report delivered; 1 a step did not pass; 2 nothing was run; 3 another run of the suite is going on; 4 all passed, report not delivered; 129, 130, 143 interrupted by SIGHUP, SIGINT, SIGTERM.

Environment: RUNTESTS_FILE for --file, RUNTESTS_JOBS for --jobs, and so on; CID for --keep. man runtests has them all, and the suite's keys for most defaults.`

// execute runs the program, and returns its exit status.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	w := &world{stdout: stdout, stderr: stderr, log: newLogger(stderr)}
	exited := -1 // set if kong would exit, after --help or --version
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
		kong.ValueFormatter(func(value *kong.Value) string { return value.Help }), // without the variables, which the manual page lists
	)...)
	if err != nil {
		panic(err) // cli is wrong, which is our mistake and not the user's
	}
	return parser
}

// unsetEmpty unsets empty variables, which count as not set, as in the original's
// `[ "${CID}" = "" ]`.
func unsetEmpty() {
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if value == "" && (name == "CID" || strings.HasPrefix(name, "RUNTESTS_")) {
			os.Unsetenv(name)
		}
	}
}

// usageError adds to err the command that explains the usage.
func usageError(err error) error {
	help := "runtests --help"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if command := parse.Context.Command(); command != "" {
			help = "runtests " + strings.Fields(command)[0] + " --help"
		}
	}
	return hint.Wrap(err, help)
}
