package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// dataSource is where the data of a write comes from: the second argument, or a file.
type dataSource struct{ file string }

func (s *dataSource) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.file, "data-file", "", "take the data from `FILE`, - for standard input")
}

// read returns the data, nil (null) when none was given.
func (s *dataSource) read(cmd *cobra.Command, args []string) ([]byte, error) {
	switch {
	case s.file != "" && len(args) > 1:
		return nil, usagef("data is given twice")
	case s.file == "-":
		return io.ReadAll(cmd.InOrStdin())
	case s.file != "":
		return os.ReadFile(s.file)
	case len(args) > 1:
		return []byte(args[1]), nil
	}
	return nil, nil
}

// createFlags say what kind of node to create.
type createFlags struct {
	ephemeral, sequential, container, hold bool
	ttl                                    time.Duration
	acl                                    string
	data                                   dataSource
}

// ttlFlag is the value of -t: a number of milliseconds, as zkCli.sh has it, or a duration with a unit.
type ttlFlag time.Duration

// Set reads the flag's value.
func (f *ttlFlag) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, notPlain := strconv.ParseInt(text, 10, 64); notPlain == nil && n <= znode.MaxTTL {
		d, err = time.Duration(n)*time.Millisecond, nil
	}
	switch {
	case err != nil:
		return err
	case d <= 0 || d%time.Millisecond != 0 || d.Milliseconds() > znode.MaxTTL:
		return fmt.Errorf("must be positive, whole milliseconds, and at most %d of them", znode.MaxTTL)
	}
	*f = ttlFlag(d)
	return nil
}

func (f *ttlFlag) String() string { return time.Duration(*f).String() }

// Type is what help calls the value.
func (f *ttlFlag) Type() string { return "time" }

// request chooses the op and the mode. The younger ops are used throughout, since their answer brings the Stat.
func (f *createFlags) request(path string, data []byte) (wire.Op, *wire.CreateRequest, error) {
	r := &wire.CreateRequest{Path: path, Data: data, ACL: znode.OpenACL(), TTL: -1}
	if f.acl != "" {
		acl, err := parseACL(f.acl)
		if err != nil {
			return 0, nil, usagef("--acl: %v", err)
		}
		r.ACL = acl
	}
	switch {
	case f.hold && !f.ephemeral:
		return 0, nil, usagef("--hold makes sense only with -e")
	case f.ttl != 0 && (f.ephemeral || f.container), f.container && (f.ephemeral || f.sequential):
		return 0, nil, usagef("a node is one of: ephemeral, container, with a time to live; and a container is not sequential")
	case f.container:
		r.Mode = znode.ModeContainer
		return wire.OpCreateContainer, r, nil
	case f.ttl != 0:
		r.Mode, r.TTL, r.HasTTL = znode.ModeTTL, f.ttl.Milliseconds(), true
		if f.sequential {
			r.Mode = znode.ModeTTLSequential
		}
		return wire.OpCreateTTL, r, nil
	case f.ephemeral && f.sequential:
		r.Mode = znode.ModeEphemeralSequential
	case f.ephemeral:
		r.Mode = znode.ModeEphemeral
	case f.sequential:
		r.Mode = znode.ModePersistentSequential
	}
	return wire.OpCreate2, r, nil
}

func createCommand(f *clientFlags) *cobra.Command {
	var flags createFlags
	cmd := &cobra.Command{
		Use:   "create PATH [DATA]",
		Short: "Create a node and print its path",
		Long: `Create a node and print its path.

An ephemeral node lives as long as the session that made it, which is as long as this command runs: --hold lets it run
until it is interrupted.`,
		Args: between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := flags.data.read(cmd, args)
			if err != nil {
				return err
			}
			op, request, err := flags.request(args[0], data)
			if err != nil {
				return err
			}
			return f.withSession(cmd.Context(), func(ctx context.Context, c *conn) error {
				r, err := c.call(ctx, op, request.Path, request)
				if err != nil {
					return err
				}
				answer := r.(*wire.CreateResponse)
				if err := f.printWrite(cmd.OutOrStdout(), answer.Path, &answer.Stat, true, false); err != nil || !flags.hold {
					return err
				}
				return c.hold(ctx)
			})
		},
	}
	cmd.Flags().BoolVarP(&flags.ephemeral, "ephemeral", "e", false, "the node ends with the session")
	cmd.Flags().BoolVarP(&flags.sequential, "sequential", "s", false, "the server appends a ten-digit sequence number")
	cmd.Flags().BoolVarP(&flags.container, "container", "c", false, "the node ends some time after its last child")
	cmd.Flags().VarP((*ttlFlag)(&flags.ttl), "ttl", "t", "the node ends when it has no children and was not changed for this `time`, in milliseconds or as 5m")
	cmd.Flags().StringVar(&flags.acl, "acl", "", "`scheme:id:perms`, several joined by commas (world:anyone:cdrwa)")
	cmd.Flags().BoolVar(&flags.hold, "hold", false, "keep the session until interrupted")
	flags.data.addFlags(cmd)
	return cmd
}

// hold keeps the session alive until the command is interrupted.
func (c *conn) hold(ctx context.Context) error {
	for {
		_, err := c.Receive(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return connectionError(ctx, err)
		}
	}
}

func setCommand(f *clientFlags) *cobra.Command {
	var version int32
	var stat bool
	var source dataSource
	cmd := &cobra.Command{
		Use:   "set PATH [DATA]",
		Short: "Set a node's data",
		Args:  between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := source.read(cmd, args)
			if err != nil {
				return err
			}
			return f.withSession(cmd.Context(), func(ctx context.Context, c *conn) error {
				r, err := c.call(ctx, wire.OpSetData, args[0], &wire.SetDataRequest{Path: args[0], Data: data, Version: version})
				if err != nil {
					return err
				}
				return f.printWrite(cmd.OutOrStdout(), args[0], &r.(*wire.StatResponse).Stat, false, stat)
			})
		},
	}
	cmd.Flags().Int32VarP(&version, "version", "v", -1, "only if the node has this version; -1: any")
	cmd.Flags().BoolVarP(&stat, "stat", "s", false, "print the stat")
	source.addFlags(cmd)
	return cmd
}

func deleteCommand(f *clientFlags) *cobra.Command {
	var version int32
	cmd := &cobra.Command{
		Use:   "delete PATH",
		Short: "Delete a node without children",
		Args:  between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.withSession(cmd.Context(), func(ctx context.Context, c *conn) error {
				_, err := c.call(ctx, wire.OpDelete, args[0], &wire.DeleteRequest{Path: args[0], Version: version})
				if err != nil {
					return err
				}
				return f.printWrite(cmd.OutOrStdout(), args[0], nil, false, false)
			})
		},
	}
	cmd.Flags().Int32VarP(&version, "version", "v", -1, "only if the node has this version; -1: any")
	return cmd
}

// printWrite prints what a write came to: the path and the stat as JSON, or those of the two that are asked for as text.
func (f *clientFlags) printWrite(out io.Writer, path string, s *znode.Stat, withPath, withStat bool) error {
	var shown *shownStat
	if s != nil {
		shown = showStat(s)
	}
	if f.output == formatJSON {
		return printJSON(out, struct {
			Path string     `json:"path"`
			Stat *shownStat `json:"stat,omitempty"`
		}{path, shown})
	}
	p := printer{out: out}
	if withPath {
		p.line("%s", path)
	}
	if withStat {
		shown.print(&p)
	}
	return p.err
}
