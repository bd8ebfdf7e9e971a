package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// clientFlags are the flags all client commands share.
type clientFlags struct {
	servers string
	auth    []string
	session time.Duration
	wait    time.Duration
	output  outputFormat
}

func clientCommand() *cobra.Command {
	f := &clientFlags{}
	cmd := &cobra.Command{
		Use:   "client [-server HOST:PORT] ls|get|stat|create|set|delete|watch",
		Short: "Ask a ZooKeeper server one thing",
		Long: `Ask a ZooKeeper server one thing: open a session, do it, close the session.

A word that begins with a dash and is no flag goes after "--": client set -- /a -5

` + exitCodesHelp,
		Args: noSuchCommand,
		RunE: showHelp,
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.servers, "server", "127.0.0.1:2181", "`HOST:PORT`, several joined by commas are tried in turn; -server is understood too")
	flags.StringArrayVar(&f.auth, "auth", nil, "authenticate first, `scheme:data` (digest:user:password); may be repeated")
	flags.DurationVar(&f.session, "session-timeout", 30*time.Second, "how long the server waits for a silent client")
	flags.DurationVar(&f.wait, "wait", 10*time.Second, "how long to wait for a connection, and for an answer")
	flags.VarP(&f.output, "output", "o", "`text` or json")
	cmd.AddCommand(lsCommand(f), getCommand(f), statCommand(f), createCommand(f), setCommand(f), deleteCommand(f), watchCommand(f))
	return cmd
}

// longServerFlag turns zkCli.sh's -server into --server, which a parser of single-letter flags would read as six of them.
func longServerFlag(args []string) []string {
	if len(args) == 0 || args[0] != "client" {
		return args
	}
	args = append([]string(nil), args...)
	for i, a := range args {
		if a == "--" {
			break
		}
		if a == "-server" || strings.HasPrefix(a, "-server=") {
			args[i] = "-" + a
		}
	}
	return args
}

// refusedError is an answer with an error code.
type refusedError struct {
	op, path string
	code     znode.Code
}

func (e *refusedError) Error() string { return e.op + " " + e.path + ": " + e.code.String() }
func (e *refusedError) Unwrap() error { return e.code }

// conn is a session for one command.
type conn struct {
	*rawclient.Conn
	wait time.Duration
}

// withSession runs do in a session that is closed afterwards, by the server's own knowledge if it still listens. The end of
// ctx, or a signal, ends the command.
func (f *clientFlags) withSession(ctx context.Context, do func(ctx context.Context, c *conn) error) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := f.dial(ctx)
	if err != nil {
		return err
	}
	if err := do(ctx, c); err != nil {
		c.end(ctx)
		return err
	}
	c.end(ctx)
	return nil
}

// end closes the session. A server that does not answer any more will find out by itself.
func (c *conn) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(c.wait, 5*time.Second))
	defer cancel()
	_ = c.CloseSession(ctx)
}

// dial connects to the first server that answers, and authenticates.
func (f *clientFlags) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, f.wait)
	defer cancel()
	var failed []error
	for _, addr := range strings.Split(f.servers, ",") {
		if strings.Contains(addr, "/") {
			return nil, usagef("--server %s: a path below which to work is not supported", f.servers)
		}
		c, err := rawclient.Dial(ctx, rawclient.Options{Addr: strings.TrimSpace(addr), Timeout: f.session, KeepAlive: true})
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if err := f.authenticate(ctx, c); err != nil {
			_ = c.Close()
			return nil, err
		}
		return &conn{Conn: c, wait: f.wait}, nil
	}
	return nil, connectionError(ctx, errors.Join(failed...))
}

func (f *clientFlags) authenticate(ctx context.Context, c *rawclient.Conn) error {
	for _, a := range f.auth {
		scheme, data, ok := strings.Cut(a, ":")
		if !ok {
			return usagef("--auth must be of the form scheme:data")
		}
		m, err := c.Auth(ctx, scheme, []byte(data))
		if err != nil {
			return connectionError(ctx, err)
		}
		if m.Header.Err != znode.CodeOK {
			return &refusedError{"auth", scheme, m.Header.Err}
		}
	}
	return nil
}

// connectionError gives an error of a connection its exit code: one for time that ran out, one for all others.
func connectionError(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &exitError{exitTimeout, err}
	}
	return &exitError{exitUnreached, err}
}

// call sends one request and returns the record that answers it.
func (c *conn) call(ctx context.Context, op wire.Op, path string, request wire.Record) (wire.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	m, err := c.Call(ctx, op, request)
	if err != nil {
		return nil, connectionError(ctx, fmt.Errorf("%s %s: %w", verb(op), path, err))
	}
	if m.Header.Err != znode.CodeOK {
		return nil, &refusedError{verb(op), path, m.Header.Err}
	}
	return m.Record, nil
}

// verb is what an op is called in messages: the four creates are one to whoever asks for them.
func verb(op wire.Op) string {
	if op.Create() {
		return wire.OpCreate.String()
	}
	return op.String()
}
