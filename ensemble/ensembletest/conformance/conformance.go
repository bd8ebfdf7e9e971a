// Package conformance finds out whether a server that speaks ZooKeeper's client protocol does what programs rely on: sessions that open,
// move and expire, nodes with their versions and numbers, transactions, watches and the order of what they tell, permissions, limits.
//
//	func TestServer(t *testing.T) { conformance.Run(t, "127.0.0.1:2181", nil) }
//
// It asks in the protocol itself, without a client library between, so that it sees what libraries hide: the order of an event and an
// answer, the transaction an answer names, a connection that is closed without a word. It is one list of checks, each a few requests with one
// reason, and is run on Apache's servers as on Bellwether's.
//
// # What it leaves behind, and what it touches
//
// Everything happens below one node that it makes, with a name of its own, and removes in the end; servers may be in use meanwhile. It
// opens some sessions for each check, a few of which are left to expire. It asks for nothing that is known to harm servers, though it would be
// worth a check: a write that cannot be decoded stops an ensemble of Apache's 3.9, and a check outside of a multi one of 3.8.
//
// # Versions
//
// Servers from 3.4 on differ in what they offer. What one does not offer (it says so, or closes the connection on the first such request) is
// reported as NotOffered, a skipped subtest, and never as passed; with Options.All it is a failure. What servers may do as they like is not
// checked.
//
// That containers and nodes whose time is over vanish takes as long as servers take to look for them, a minute unless they are told
// otherwise. It is waited for if [Options] say how long it may take.
package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Options say how to check. The zero value works, and nil means it.
type Options struct {
	// Dial opens connections, network is always "tcp"; ensembletest's Ensemble.Dial fits. Default: a net.Dialer's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Patience bounds each check, besides Removal. It has to be more than three times the shortest session timeout that the servers
	// grant. Default: a minute.
	Patience time.Duration
	// MaxFrame is the servers' jute.maxbuffer in bytes. Default: 1048575, which is also theirs. A negative one is not checked.
	MaxFrame int
	// Removal is how long the servers may take to remove a container that is empty, or a node whose time is over: some more than
	// their znode.container.checkIntervalMs. The default, 0, leaves the checks of that out.
	Removal time.Duration
	// All requires that everything is offered.
	All bool
	// Only names areas, such as "watches", or single checks, such as "watches/one-shot". Default: all.
	Only []string
}

// Verdict is what became of a check.
type Verdict byte

// The verdicts.
const (
	Passed     Verdict = iota
	NotOffered         // the server does not have what would be checked
	Failed
)

func (v Verdict) String() string { return [...]string{"passed", "not offered", "failed"}[v] }

// A Result is what one check has found.
type Result struct {
	Area, Name string // such as "watches" and "one-shot"
	Why        string // who relies on it, in a sentence
	Verdict    Verdict
	Detail     string // what was expected and found, unless it passed
}

func (r Result) String() string {
	text := r.Area + "/" + r.Name + ": " + r.Verdict.String()
	if r.Verdict != Passed {
		text += ": " + r.Detail + " (" + r.Why + ")"
	}
	return text
}

// A Report has the results of all checks, in their order.
type Report struct{ Results []Result }

// String has one line for each check.
func (r *Report) String() string {
	lines := make([]string, len(r.Results))
	for i, result := range r.Results {
		lines[i] = result.String()
	}
	return strings.Join(lines, "\n")
}

// Err tells of all checks that failed, nil if none did.
func (r *Report) Err() error {
	var failed []error
	for _, result := range r.Results {
		if result.Verdict == Failed {
			failed = append(failed, errors.New("conformance: "+result.String()))
		}
	}
	return errors.Join(failed...)
}

// Run checks servers, a connect string as clients take it, perhaps with a chroot, which has to exist. Each check is a subtest, named by its
// area and what it checks, which is skipped if the server does not offer it. The first server is checked, and that the others agree with
// it. It cannot run in a synctest bubble, where there are no subtests: see [Check].
func Run(t *testing.T, servers string, o *Options) {
	r, err := begin(t.Context(), servers, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.end(); err != nil {
			t.Error(err)
		}
	}()
	for len(r.left) > 0 {
		area := r.left[0].area
		t.Run(area, func(t *testing.T) {
			for len(r.left) > 0 && r.left[0].area == area {
				c := r.left[0]
				r.left = r.left[1:]
				t.Run(c.name, func(t *testing.T) { tell(t, r.do(t.Context(), &c)) })
			}
		})
	}
}

// tell ends a subtest as the check has ended.
func tell(t *testing.T, result Result) {
	switch result.Verdict {
	case Failed:
		t.Errorf("%s\n%s", result.Detail, result.Why)
	case NotOffered:
		t.Skip("not offered: " + result.Detail)
	}
}

// Check is [Run] for where there are no subtests. The error says why there could be no checks, or that what they have left could not be
// removed; what they have found is in the report. It ends early, with the cause, when ctx does.
func Check(ctx context.Context, servers string, o *Options) (*Report, error) {
	r, err := begin(ctx, servers, o)
	if err != nil {
		return nil, err
	}
	var report Report
	for _, c := range r.left {
		report.Results = append(report.Results, r.do(ctx, &c))
		if ctx.Err() != nil {
			return &report, errors.Join(context.Cause(ctx), r.end())
		}
	}
	return &report, r.end()
}

// A check is one thing that servers have to do, and why.
type check struct {
	area, name, why string
	run             func(*probe)
}

// all are the checks in the order they run.
func all(o *Options) []check {
	var list []check
	for _, some := range [][]check{sessions, nodes, sequences, multis, watches, permissions, limits} {
		list = append(list, some...)
	}
	if o.Removal > 0 {
		list = append(list, removals...)
	}
	return list
}

// chosen are those that are named, all if none is.
func chosen(o *Options) ([]check, error) {
	names := o.Only
	if len(names) == 0 {
		return all(o), nil
	}
	var list []check
	found := make(map[string]bool)
	for _, c := range all(o) {
		for _, name := range []string{c.area, c.area + "/" + c.name} {
			if slices.Contains(names, name) {
				list = append(list, c)
				found[name] = true
				break
			}
		}
	}
	for _, name := range names {
		if !found[name] {
			return nil, fmt.Errorf("conformance: no check is called %q", name)
		}
	}
	return list, nil
}

// A runner runs checks below one node.
type runner struct {
	opts    Options
	servers []string
	root    string // made by begin
	left    []check
	number  int
}

// begin connects for the first time, and makes the node for all.
func begin(ctx context.Context, servers string, o *Options) (*runner, error) {
	r := &runner{}
	if o != nil {
		r.opts = *o
	}
	var err error
	if r.left, err = chosen(&r.opts); err != nil {
		return nil, err
	}
	if r.opts.Dial == nil {
		r.opts.Dial = (&net.Dialer{}).DialContext
	}
	if r.opts.Patience == 0 {
		r.opts.Patience = time.Minute
	}
	r.opts.Patience += r.opts.Removal
	if r.opts.MaxFrame == 0 {
		r.opts.MaxFrame = 1<<20 - 1
	}
	hosts, chroot, _ := strings.Cut(servers, "/")
	for _, host := range strings.Split(hosts, ",") {
		host = strings.TrimSpace(host)
		if _, _, err := net.SplitHostPort(host); err != nil {
			return nil, fmt.Errorf("conformance: server %q: %w", host, err)
		}
		r.servers = append(r.servers, host)
	}
	r.root = strings.TrimSuffix("/"+chroot, "/") + "/conformance-" + rand.Text()
	result := r.try(ctx, func(p *probe) { p.connect().make(r.root) })
	if result.Verdict != Passed {
		return nil, fmt.Errorf("conformance: %s: make %s: %s", servers, r.root, result.Detail)
	}
	return r, nil
}

// end removes the node.
func (r *runner) end() error {
	result := r.try(context.Background(), func(p *probe) { p.connect().removeAll(r.root) })
	if result.Verdict != Passed {
		return fmt.Errorf("conformance: remove %s: %s", r.root, result.Detail)
	}
	return nil
}

// do runs a check below a node of its own.
func (r *runner) do(ctx context.Context, c *check) Result {
	r.number++
	root := fmt.Sprintf("%s/%s-%s-%d", r.root, c.area, c.name, r.number)
	result := r.try(ctx, func(p *probe) {
		p.root = root
		p.connect().make(root)
		c.run(p)
	})
	if result.Verdict == NotOffered && r.opts.All {
		result.Verdict, result.Detail = Failed, "not offered: "+result.Detail
	}
	result.Area, result.Name, result.Why = c.area, c.name, c.why
	return result
}

// try runs steps that may end early. A goroutine can do that anywhere; this one is waited for.
func (r *runner) try(ctx context.Context, steps func(*probe)) Result {
	ctx, cancel := context.WithTimeoutCause(ctx, r.opts.Patience, fmt.Errorf("it takes longer than %v", r.opts.Patience))
	defer cancel()
	p := &probe{ctx: ctx, r: r}
	done := make(chan struct{})
	go func() { // ends with the steps, which ctx bounds
		defer close(done)
		defer p.close()
		steps(p)
	}()
	<-done
	return p.result
}

// A probe is a check under way.
type probe struct {
	ctx    context.Context
	r      *runner
	root   string // a node without children, the check's own
	open   []*session
	result Result
}

// fail ends the check.
func (p *probe) fail(format string, args ...any) {
	p.result.Verdict, p.result.Detail = Failed, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// notOffered ends the check.
func (p *probe) notOffered(format string, args ...any) {
	p.result.Verdict, p.result.Detail = NotOffered, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// must ends the check unless something is so.
func (p *probe) must(so bool, format string, args ...any) {
	if !so {
		p.fail(format, args...)
	}
}

// same ends the check unless two values are the same.
func same[T comparable](p *probe, what string, want, got T) {
	p.must(want == got, "%s: want %v, got %v", what, want, got)
}

// close closes what the check has opened. Its sessions end, in time, for it may be that nobody may wait.
func (p *probe) close() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), 5*time.Second)
	defer cancel()
	for _, s := range p.open {
		if s.lost {
			_ = s.conn.Close()
		} else {
			_ = s.conn.CloseSession(ctx)
		}
	}
}
