package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/bellwether-zk/bellwether/ensemble/internal/zoocfg"
)

// configSource is where a server's configuration comes from, the same for running it and for checking it.
type configSource struct{ defines []string }

func (s *configSource) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&s.defines, "define", "D", nil, "set a Java system property, `name=value`, as for Apache's server")
}

// read parses a zoo.cfg with the properties of SERVER_JVMFLAGS and, after them, of the command line. jvmFlags are the
// entries of SERVER_JVMFLAGS that mean something only to a JVM. Of a configuration with problems it returns both.
func (s *configSource) read(file string) (cfg *zoocfg.Config, jvmFlags []string, err error) {
	props, jvmFlags := zoocfg.JVMFlags(os.Getenv("SERVER_JVMFLAGS"))
	for _, d := range s.defines {
		p, ok := zoocfg.SystemPropertyFlag("-D"+d, "command line")
		if !ok {
			return nil, nil, usagef("-D%s is not of the form -Dname=value", d)
		}
		props = append(props, p)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, &exitError{exitInvalid, err}
	}
	cfg, err = zoocfg.Parse(zoocfg.Input{Name: file, Text: text, Properties: props, ReadFile: readNamed})
	if err != nil {
		err = &exitError{exitInvalid, err}
	}
	return cfg, jvmFlags, err
}

// readNamed reads a file the configuration names. In a data directory that is none, nothing is missing: the server says what
// is wrong with it.
func readNamed(name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, syscall.ENOTDIR) {
		err = fs.ErrNotExist
	}
	return text, err
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Look at a server's configuration", Args: noSuchCommand, RunE: showHelp}
	cmd.AddCommand(configCheckCommand())
	return cmd
}

func configCheckCommand() *cobra.Command {
	var source configSource
	var all bool
	var output outputFormat
	cmd := &cobra.Command{
		Use:   "check [-a] [-o text|json] [-Dname=value ...] zoo.cfg",
		Short: "Say what becomes of each key of a zoo.cfg",
		Long: `Say what becomes of each key of a zoo.cfg, of the -D properties and of those in SERVER_JVMFLAGS:

  honoured       the server behaves as the value says
  idle           concerns servers that are several; on a single one it changes nothing, as in Apache
  not supported  ignored, which is safe
  refused        cannot be honoured, and ignoring it would be unsafe: the server does not start
  unknown        no server reads it
  overridden     another setting of the same key counts

Nothing is started, and of the data directory only myid is read. The exit code is 2 if a server would not start.`,
		Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, jvmFlags, err := source.read(args[0])
			if cfg == nil {
				return err
			}
			check := newConfigCheck(cfg, jvmFlags, all, err)
			if output == formatJSON {
				if err := printJSON(cmd.OutOrStdout(), check); err != nil {
					return err
				}
			} else if err := check.print(cmd.OutOrStdout()); err != nil {
				return err
			}
			if err != nil {
				return &exitError{exitInvalid, errors.New("")} // said already
			}
			return nil
		},
	}
	source.addFlags(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "list the keys that are not set, too, with their defaults")
	cmd.Flags().VarP(&output, "output", "o", "`text` or json")
	return cmd
}

// configCheck is what config check found, as it is printed.
type configCheck struct {
	Settings []checkedSetting `json:"settings"`
	JVMFlags []string         `json:"jvmFlags,omitempty"`
	Notes    []string         `json:"notes,omitempty"`
	Problems []string         `json:"problems,omitempty"`

	ignored int
}

type checkedSetting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Effect string `json:"effect"`
	From   string `json:"from"`
	Note   string `json:"note,omitempty"`
}

func newConfigCheck(cfg *zoocfg.Config, jvmFlags []string, all bool, err error) *configCheck {
	c := &configCheck{JVMFlags: jvmFlags, Notes: cfg.Notes(), ignored: len(cfg.Ignored()) + len(jvmFlags)}
	for _, s := range cfg.Describe(all) {
		c.Settings = append(c.Settings, checkedSetting{s.Name, s.Shown(), s.Effect.String(), s.Origin, s.Note})
	}
	if bad, ok := errors.AsType[*zoocfg.Error](err); ok {
		for _, p := range bad.Problems {
			c.Problems = append(c.Problems, p.Error())
		}
	}
	return c
}

func (c *configCheck) print(out io.Writer) error {
	t := newTable()
	t.AppendHeader(table.Row{"KEY", "VALUE", "EFFECT", "FROM", "NOTE"})
	for _, s := range c.Settings {
		t.AppendRow(table.Row{s.Key, s.Value, s.Effect, s.From, s.Note})
	}
	p := printer{out: out}
	p.line("%s", t.Render())
	for _, f := range c.JVMFlags {
		p.line("SERVER_JVMFLAGS: %s means something only to a JVM", f)
	}
	for _, n := range c.Notes {
		p.line("%s", n)
	}
	p.line("")
	switch {
	case len(c.Problems) > 0:
		p.line("A server would not start:")
		for _, text := range c.Problems {
			p.line("  %s", text)
		}
	case c.ignored > 0:
		p.line("A server would start, and not act on %d of these.", c.ignored)
	default:
		p.line("A server would start.")
	}
	return p.err
}

// newTable is a table of plain columns, without a frame.
func newTable() table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleDefault)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Box.PaddingLeft, t.Style().Box.PaddingRight = "", "  "
	t.SuppressTrailingSpaces()
	return t
}

// printer writes lines and keeps the first error.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format+"\n", args...)
	}
}

// outputFormat is the value of -o.
type outputFormat string

const (
	formatText outputFormat = "text"
	formatJSON outputFormat = "json"
)

func (f *outputFormat) String() string {
	if *f == "" {
		return string(formatText)
	}
	return string(*f)
}

// Set reads the flag's value.
func (f *outputFormat) Set(s string) error {
	switch v := outputFormat(s); v {
	case formatText, formatJSON:
		*f = v
		return nil
	}
	return errors.New("must be text or json")
}

// Type is what help calls the value.
func (f *outputFormat) Type() string { return "format" }

// printJSON writes one value on one line.
func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
