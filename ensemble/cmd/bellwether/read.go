package main

import (
	"context"
	"encoding/base64"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// shownStat is a Stat as -o json prints it: zxids and session ids in ZooKeeper's hexadecimal form, times in UTC.
type shownStat struct {
	Czxid          string    `json:"czxid"`
	Ctime          time.Time `json:"ctime"`
	Mzxid          string    `json:"mzxid"`
	Mtime          time.Time `json:"mtime"`
	Pzxid          string    `json:"pzxid"`
	Cversion       int32     `json:"cversion"`
	Version        int32     `json:"version"`
	Aversion       int32     `json:"aversion"`
	EphemeralOwner string    `json:"ephemeralOwner"`
	DataLength     int32     `json:"dataLength"`
	NumChildren    int32     `json:"numChildren"`
}

func showStat(s *znode.Stat) *shownStat {
	return &shownStat{
		Czxid: s.Czxid.String(), Ctime: time.UnixMilli(s.Ctime).UTC(), Mzxid: s.Mzxid.String(), Mtime: time.UnixMilli(s.Mtime).UTC(),
		Pzxid: s.Pzxid.String(), Cversion: s.Cversion, Version: s.Version, Aversion: s.Aversion,
		EphemeralOwner: s.EphemeralOwner.String(), DataLength: s.DataLength, NumChildren: s.NumChildren,
	}
}

// print writes one field a line.
func (s *shownStat) print(p *printer) {
	const form = "2006-01-02 15:04:05.000 UTC"
	t := newTable()
	t.AppendRows([]table.Row{
		{"czxid", s.Czxid}, {"ctime", s.Ctime.Format(form)}, {"mzxid", s.Mzxid}, {"mtime", s.Mtime.Format(form)},
		{"pzxid", s.Pzxid}, {"cversion", s.Cversion}, {"version", s.Version}, {"aversion", s.Aversion},
		{"ephemeralOwner", s.EphemeralOwner}, {"dataLength", s.DataLength}, {"numChildren", s.NumChildren},
	})
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 2, Align: 1}})
	p.line("%s", t.Render())
}

// shownData is a node's data as -o json prints it: text where it is UTF-8, else base64; absent for null.
type shownData struct {
	Data     *string `json:"data"`
	Encoding string  `json:"encoding,omitempty"`
}

func showData(data []byte) shownData {
	if data == nil {
		return shownData{}
	}
	text, encoding := string(data), "utf-8"
	if !utf8.Valid(data) {
		text, encoding = base64.StdEncoding.EncodeToString(data), "base64"
	}
	return shownData{&text, encoding}
}

func statCommand(f *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "stat PATH",
		Short: "Print what is known about a node",
		Args:  between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.withSession(cmd.Context(), func(ctx context.Context, c *conn) error {
				path := args[0]
				r, err := c.call(ctx, wire.OpExists, path, &wire.WatchRequest{Path: path})
				if err != nil {
					return err
				}
				s := showStat(&r.(*wire.StatResponse).Stat)
				if f.output == formatJSON {
					return printJSON(cmd.OutOrStdout(), struct {
						Path string     `json:"path"`
						Stat *shownStat `json:"stat"`
					}{path, s})
				}
				p := printer{out: cmd.OutOrStdout()}
				s.print(&p)
				return p.err
			})
		},
	}
}

func getCommand(f *clientFlags) *cobra.Command {
	var stat, raw bool
	cmd := &cobra.Command{
		Use:   "get PATH",
		Short: "Print a node's data",
		Args:  between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.withSession(cmd.Context(), func(ctx context.Context, c *conn) error {
				path := args[0]
				r, err := c.call(ctx, wire.OpGetData, path, &wire.WatchRequest{Path: path})
				if err != nil {
					return err
				}
				answer := r.(*wire.DataResponse)
				switch {
				case f.output == formatJSON:
					return printJSON(cmd.OutOrStdout(), struct {
						Path string `json:"path"`
						shownData
						Stat *shownStat `json:"stat"`
					}{path, showData(answer.Data), showStat(&answer.Stat)})
				case raw:
					_, err := cmd.OutOrStdout().Write(answer.Data)
					return err
				}
				p := printer{out: cmd.OutOrStdout()}
				p.line("%s", answer.Data)
				if stat {
					showStat(&answer.Stat).print(&p)
				}
				return p.err
			})
		},
	}
	cmd.Flags().BoolVarP(&stat, "stat", "s", false, "print the stat, too")
	cmd.Flags().BoolVar(&raw, "raw", false, "print the data alone, without a line end")
	return cmd
}

func lsCommand(f *clientFlags) *cobra.Command {
	var stat, recursive bool
	cmd := &cobra.Command{
		Use:   "ls PATH",
		Short: "Print the names of a node's children, sorted",
		Args:  between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.withSession(cmd.Context(), func(ctx context.Context, c *conn) error {
				if recursive {
					return f.listTree(ctx, c, args[0], cmd.OutOrStdout())
				}
				return f.list(ctx, c, args[0], stat, cmd.OutOrStdout())
			})
		},
	}
	cmd.Flags().BoolVarP(&stat, "stat", "s", false, "print the node's stat, too")
	cmd.Flags().BoolVarP(&recursive, "recursive", "R", false, "print the paths of the node and all below it")
	return cmd
}

func (c *conn) children(ctx context.Context, path string) (*wire.ChildrenResponse, error) {
	r, err := c.call(ctx, wire.OpGetChildren2, path, &wire.WatchRequest{Path: path})
	if err != nil {
		return nil, err
	}
	answer := r.(*wire.ChildrenResponse)
	slices.Sort(answer.Children)
	return answer, nil
}

func (f *clientFlags) list(ctx context.Context, c *conn, path string, stat bool, out io.Writer) error {
	answer, err := c.children(ctx, path)
	if err != nil {
		return err
	}
	if f.output == formatJSON {
		return printJSON(out, struct {
			Path     string     `json:"path"`
			Children []string   `json:"children"`
			Stat     *shownStat `json:"stat"`
		}{path, append([]string{}, answer.Children...), showStat(&answer.Stat)})
	}
	p := printer{out: out}
	for _, name := range answer.Children {
		p.line("%s", name)
	}
	if stat {
		showStat(&answer.Stat).print(&p)
	}
	return p.err
}

// listTree prints paths as it finds them, parents first. Nodes that go away meanwhile are left out.
func (f *clientFlags) listTree(ctx context.Context, c *conn, root string, out io.Writer) error {
	p := printer{out: out}
	paths := []string{}
	pending := []string{root}
	for len(pending) > 0 && p.err == nil {
		path := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		answer, err := c.children(ctx, path)
		if exitCode(err) == exitNoNode && path != root {
			continue
		}
		if err != nil {
			return err
		}
		if f.output == formatJSON {
			paths = append(paths, path)
		} else {
			p.line("%s", path)
		}
		for _, name := range slices.Backward(answer.Children) {
			pending = append(pending, znode.Join(path, name))
		}
	}
	if f.output == formatJSON && p.err == nil {
		return printJSON(out, struct {
			Path  string   `json:"path"`
			Paths []string `json:"paths"`
		}{root, paths})
	}
	return p.err
}
