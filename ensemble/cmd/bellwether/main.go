package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program: it executes one command line and returns the exit code. The end of ctx ends a server cleanly, as
// a signal does.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := rootCommand()
	root.SetArgs(longServerFlag(args))
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	if text := err.Error(); text != "" {
		fmt.Fprintln(errs, "bellwether:", text)
	}
	if isUsage(err) {
		fmt.Fprintf(errs, "See '%s --help'.\n", cmd.CommandPath())
	}
	return code
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "bellwether",
		Short:         "A server for ZooKeeper clients, and a client for ZooKeeper servers",
		Long:          "A server for ZooKeeper clients, and a client for ZooKeeper servers.\n\n" + exitCodesHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          showHelp,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(serverCommand(), clientCommand(), configCommand(), versionCommand())
	return root
}

// noSuchCommand refuses arguments of a command that only groups others.
func noSuchCommand(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("no such command: %s", args[0])
	}
	return nil
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// between demands a number of arguments.
func between(least, most int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usagef("wrong number of arguments")
		}
		return nil
	}
}

func isUsage(err error) bool {
	_, ok := err.(*usageError)
	return ok
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine())
			return err
		},
	}
}

// versionLine tells what was built, from what the Go toolchain records in the binary.
func versionLine() string {
	version, revision := "(devel)", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " revision " + s.Value
			}
		}
	}
	return fmt.Sprintf("bellwether %s%s, speaks ZooKeeper 3.9, %s %s/%s", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
