package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/messaging-kafka/messaging-kafka/internal/base/version"
)

// The program's exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // the command line makes no sense
)

// Main runs the program with the process's standard streams and returns its exit code. args is the command line
// without the program's name. SIGINT and SIGTERM ask it to end; a second one ends it at once.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	// A host gives no arguments and waits for its provider, so that way goes past all commands.
	if len(args) == 0 {
		if isTerminal(os.Stdin) {
			fmt.Fprint(os.Stderr, introduction)
			return exitUsage
		}
		return serve(ctx, os.Stdin, os.Stderr)
	}
	return execute(ctx, args, os.Stdin, os.Stdout, os.Stderr)
}

const introduction = `messaging-kafka connects wasmCloud components to Apache Kafka (wasmcloud:messaging@0.2.0).

It is a capability provider: a wasmCloud host starts it and sends what it needs on standard input, so there is
nothing to type here. To see it work without a host, and without a Kafka:

    messaging-kafka dev

To make the archive that a host loads:

    messaging-kafka par --out messaging-kafka.par.gz

All commands: messaging-kafka --help
`

// usageError is an error of whoever typed the command.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func execute(ctx context.Context, args []string, in *os.File, out, errOut io.Writer) int {
	root, started := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(errOut, "messaging-kafka: %v\n", err)
	// A command fails before it starts where its line is wrong: an unknown command or flag, a missing value.
	if usage := (usageError{}); !*started || errors.As(err, &usage) {
		fmt.Fprintf(errOut, "see: %s --help\n", command.CommandPath())
		return exitUsage
	}
	if exit := (exitError{}); errors.As(err, &exit) {
		return exit.code
	}
	return exitFailure
}

// exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

func (e exitError) Unwrap() error { return e.error }

// newRoot returns the commands, and whether one of them has started.
func newRoot() (root *cobra.Command, started *bool) {
	started = new(bool)
	root = &cobra.Command{
		Use:   "messaging-kafka",
		Short: "Connect wasmCloud components to Apache Kafka",
		Long: `messaging-kafka connects wasmCloud components to Apache Kafka (wasmcloud:messaging@0.2.0).

Without a command it runs as a capability provider, which only a wasmCloud host can start: it expects the host's
data on standard input.`,
		Example:       "  messaging-kafka dev",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			*started = true
		},
		// For --version and -v. A template for that text would bring text/template along, which calls methods by their name,
		// so that the linker would keep every method of the program.
		Version: version.Get().Version,
	}
	root.AddCommand(newBridge(), newCheck(), newCtl(), newDeadLetters(), newDev(), newMan(), newPar(), newStatus(),
		newTail(), newVersion())
	return root, started
}

// printJSON writes a value for a program, and so that a person can read it.
func printJSON(out io.Writer, v any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// inColour tells whether what is written to out is for a terminal that wants colours.
func inColour(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && isTerminal(file) && os.Getenv("NO_COLOR") == ""
}

func isTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }
