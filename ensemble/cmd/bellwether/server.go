package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zoocfg"
)

func serverCommand() *cobra.Command {
	var source configSource
	cmd := &cobra.Command{
		Use:   "server [-Dname=value ...] zoo.cfg",
		Short: "Serve in the foreground",
		Long: `Serve in the foreground, until SIGTERM or an interrupt (a second one ends the program at once).

Java system properties count as for Apache's server, from -D and from the environment variable SERVER_JVMFLAGS. What the
server does not act on is named in one warning; see "bellwether config check". The log goes to standard error.

` + exitCodesHelp,
		Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, jvmFlags, err := source.read(args[0])
			if err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			warn(log, cfg, jvmFlags)
			return serve(cmd.Context(), cfg, log)
		},
	}
	source.addFlags(cmd)
	return cmd
}

// warn names everything that was said and is not acted on, in one line, and each value that counts otherwise than written.
func warn(log *slog.Logger, cfg *zoocfg.Config, jvmFlags []string) {
	var names []string
	for _, s := range cfg.Ignored() {
		names = append(names, s.Name)
	}
	if names = append(names, jvmFlags...); len(names) > 0 {
		log.Warn("some settings are not acted on; 'bellwether config check' says why", "settings", names)
	}
	for _, note := range cfg.Notes() {
		log.Warn(note)
	}
}

// serve runs a server until ctx ends, a signal comes or the server cannot go on.
func serve(ctx context.Context, cfg *zoocfg.Config, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	srv, err := ensemble.Start(ctx, serverOptions(cfg, log))
	if err != nil {
		if ctx.Err() != nil {
			return nil // asked to end before it served
		}
		return &exitError{startFailure(err), err}
	}
	log.Info("serving", "addr", srv.Addr().String(), "dir", cfg.DataDir)
	select {
	case <-ctx.Done():
		stop() // a second signal has its ordinary effect
		log.Info("stopping", "cause", context.Cause(ctx).Error())
	case <-srv.Done():
	}
	if err := srv.Close(); err != nil {
		return &exitError{exitStorage, err}
	}
	log.Info("stopped")
	return nil
}

// startFailure is the exit code for a server that could not start: an address, or else the data directory.
func startFailure(err error) int {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "listen" {
		return exitListen
	}
	return exitDataDir
}
