package sim

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/plan"
	"github.com/bellwether-zk/bellwether/ensemble/sim/workload"
)

// A scenario is an accident told in advance: one command a line, # before what is for the reader. A run of it is a run like any
// other, by the same servers, network and disks, told to the same judge; only that nothing is left to chance but what the file
// leaves to it, and that chance is always the same. The commands are those of sceneCommands. Where servers are meant, "1 2 3" or
// "all" is; a stretch of time is "300ms" or "2s".
//
// Below "so far:" stands what essentially happened since the last time, by server, without times and zxids: indented by two spaces,
// and part of the file's text, so that a test can compare it.
//
// When the file ends, all that is wrong is put right, every server is started, a write must be done, all trees must be the same, and
// the judge has the last word.

// A Performance is what came of a scenario.
type Performance struct {
	Report
	Text string // the scenario's, with what happened in place of what was expected below each "so far:"
	Err  error  // the line that did not come true; nil: all did
}

// Perform runs a scenario. What happens is written to trace, if that is not nil.
func Perform(text string, trace io.Writer) (p Performance) {
	s := &scene{trace: trace, named: map[string]*actor{}, opts: sceneOptions()}
	var b strings.Builder
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for n, line := range lines {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		b.WriteString(line + "\n")
		command := strings.TrimSpace(line)
		if command == "" || strings.HasPrefix(command, "#") {
			continue
		}
		if err := s.do(command); err != nil {
			p.Err = fmt.Errorf("line %d, %q: %w", n+1, command, err)
			break
		}
		b.WriteString(s.told)
		s.told = ""
	}
	if p.Err == nil {
		if err := s.epilogue(); err != nil {
			p.Err = fmt.Errorf("at the end: %w", err)
		}
	}
	if s.simulation != nil {
		p.Report = s.report()
	}
	p.Text = b.String()
	return p
}

// A scene is a scenario that is being run.
type scene struct {
	*simulation
	opts  Options
	trace io.Writer
	named map[string]*actor
	lines []string    // of the trace, since the last that was waited for, or since servers were last started or stopped
	story []happening // since the last "so far:"
	told  string
	stamp int
	down  []func() // what has to be put right at the end
}

// happening is something essential that happened to a server.
type happening struct {
	server int
	text   string
}

// sceneOptions are the circumstances a scenario begins with.
func sceneOptions() Options {
	o := Options{
		Seed: 1, Tick: 200, Hold: 2000, Fsync: 500, SnapCount: 100_000, LogSize: 1 << 20, Delay: 200, Jitter: 200,
		Mix: workload.Mix{Names: 4, Window: 4, Timeout: 4000, Think: 30 * clock.Millisecond, Blind: 1},
	}
	for _, h := range []workload.Habit{workload.Create, workload.SetData, workload.Delete, workload.GetData, workload.SyncAndRead, workload.CreateEphemeral, workload.Multi} {
		o.Mix.Weights[h] = 10
	}
	return o
}

// A sceneCommand is a sentence a scenario may have: how it reads, as a regular expression, and what it does with its parts.
type sceneCommand struct {
	form *regexp.Regexp
	do   func(s *scene, arg []string) error
}

// forms has placeholders stand for what they mean in all commands.
var forms = strings.NewReplacer(
	"SERVERS", `((?:all|\d)(?: \d)*)`, "SERVER", `(\d)`, "N", `(\d+)`, "SPAN", `(\d+m?s)`, "PATH", `(/\S*)`, "WHO", `([a-z])`, "WORD", `(\S+)`,
)

func sentence(form string, do func(s *scene, arg []string) error) sceneCommand {
	return sceneCommand{regexp.MustCompile("^" + forms.Replace(form) + "$"), do}
}

var errUnknownCommand = errors.New("nobody knows what that means")

// do carries out one line.
func (s *scene) do(line string) error {
	for _, c := range sceneOpenings {
		if m := c.form.FindStringSubmatch(line); m != nil {
			if s.simulation != nil {
				return errors.New("this can only be said before the curtain rises")
			}
			return c.do(s, m[1:])
		}
	}
	if s.simulation == nil {
		s.rise()
	}
	for _, list := range [][]sceneCommand{sceneCommands, sceneClients, sceneExpectations} {
		for _, c := range list {
			if m := c.form.FindStringSubmatch(line); m != nil {
				err := c.do(s, m[1:])
				if bad := s.inv.Violations(); len(bad) > 0 {
					err = errors.New(bad[0].String())
				}
				return err
			}
		}
	}
	return errUnknownCommand
}

// sceneOpenings say what there is when the curtain rises.
var sceneOpenings = []sceneCommand{
	sentence(`servers N`, func(s *scene, a []string) error { s.opts.Voters = number(a[0]); return nil }),
	sentence(`observers N`, func(s *scene, a []string) error { s.opts.Observers = number(a[0]); return nil }),
	sentence(`seed N`, func(s *scene, a []string) error { s.opts.Seed = uint64(number(a[0])); return nil }),
	sentence(`busy clients N`, func(s *scene, a []string) error { s.opts.Mix.Clients = number(a[0]); return nil }),
	sentence(`a tick of SPAN`, func(s *scene, a []string) error { s.opts.Tick = stretch(a[0]).Millis(); return nil }),
	sentence(`clients are held for SPAN`, func(s *scene, a []string) error { s.opts.Hold = stretch(a[0]).Millis(); return nil }),
	sentence(`a snapshot every N transactions`, func(s *scene, a []string) error { s.opts.SnapCount = number(a[0]); return nil }),
	sentence(`log files of N bytes`, func(s *scene, a []string) error { s.opts.LogSize = int64(number(a[0])); return nil }),
	sentence(`the counter begins N before its end`, func(s *scene, a []string) error {
		s.opts.CounterStart = 1<<32 - 1 - uint32(number(a[0]))
		return nil
	}),
}

// rise makes the servers. They do not run yet.
func (s *scene) rise() {
	o := s.opts
	o.Plan = plan.Plan{}
	s.simulation = newSimulation(o, s)
	for _, c := range s.clients {
		s.world.after(clock.Time(c.number)*clock.Millisecond, c.tick)
	}
	s.watch()
}

var essential = regexp.MustCompile(`^(starts|serves as \w+|looking|does not trust its disk|does not start|stops|gets from (\d+): (DIFF|TRUNC|SNAP))`)

// Write takes a line of the trace.
func (s *scene) Write(b []byte) (int, error) {
	if s.trace != nil {
		_, _ = s.trace.Write(b)
	}
	_, line, of := strings.Cut(strings.TrimRight(string(b), "\n"), "  server ")
	id, text, said := strings.Cut(line, ": ")
	if !of || !said || strings.HasPrefix(text, "hears from") {
		return len(b), nil
	}
	s.lines = append(s.lines, id+" "+text)
	m := essential.FindStringSubmatch(text)
	switch {
	case m == nil || m[1] == "looking" && strings.HasSuffix(text, "<nil>"): // it has just been started
		return len(b), nil
	case m[1] == "looking":
		m[1] = "looks for a leader"
	case m[2] != "":
		m[1] = fmt.Sprintf("gets %s from %s", m[3], m[2])
	}
	s.story = append(s.story, happening{number(id), m[1]})
	return len(b), nil
}

// soFar tells what happened.
func (s *scene) soFar() {
	slices.SortStableFunc(s.story, func(a, b happening) int { return a.server - b.server })
	s.story = slices.Compact(s.story)
	for _, e := range s.story {
		s.told += fmt.Sprintf("  %d %s\n", e.server, e.text)
	}
	s.story = nil
}

// step lets the next thing happen.
func (s *scene) step() bool {
	w := s.world
	if w.over || len(w.queue) == 0 {
		return false
	}
	e := w.pop()
	w.now = e.at
	w.mix(uint64(e.at), e.seq)
	e.do()
	return true
}

// scenePatience is for how long a command waits for what it waits for.
const scenePatience = 60 * clock.Second

// until lets things happen until something is so, not one longer.
func (s *scene) until(done func() bool) error {
	for limit := s.world.now + scenePatience; !done(); {
		switch {
		case s.world.over:
			return fmt.Errorf("it is over: %v", append(s.inv.Violations(), s.bad...))
		case len(s.world.queue) == 0 || s.world.queue[0].at > limit:
			return fmt.Errorf("not within %v; %s", scenePatience, s.state())
		}
		s.step()
	}
	return nil
}

// state says how all servers are.
func (s *scene) state() string {
	var b strings.Builder
	for _, v := range s.servers {
		l := v.life
		if l == nil {
			fmt.Fprintf(&b, "%d does not run; ", v.id)
			continue
		}
		role, serving := l.r.Role()
		fmt.Fprintf(&b, "%d is %v, serving %v, tree %v, log %v, untrusted %v, left %v; ", v.id, role, serving, l.r.Tree().Zxid(), l.r.Zxid(), l.r.Untrusted(), l.r.Left())
	}
	return b.String()
}

// epilogue puts everything right, and sees that the ensemble works.
func (s *scene) epilogue() error {
	if s.simulation == nil {
		return errors.New("nothing happened")
	}
	for _, f := range s.down {
		f()
	}
	for _, v := range s.servers {
		v.stallTill, v.slowDisk, v.full = 0, 0, false
		if v.life != nil && !v.fs.Crashed() {
			v.fs.SetBudget(0)
		}
	}
	s.faults.healAll()
	for _, c := range s.clients {
		c.wake()
	}
	s.history.Heal(s.world.now)
	z := s.enter("z", s.everybody(), 0)
	if err := s.until(z.in); err != nil {
		return fmt.Errorf("nobody serves a new client: %w", err)
	}
	if err := s.write(z, "/epilogue", "done"); err != nil {
		return err
	}
	s.settleDown("at the end")
	if len(s.bad) > 0 {
		return errors.New(s.bad[0].String())
	}
	return nil
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("sim: " + err.Error())
	}
	return n
}

// stretch is a span of time.
func stretch(s string) clock.Time {
	if ms, ok := strings.CutSuffix(s, "ms"); ok {
		return clock.Time(number(ms)) * clock.Millisecond
	}
	return clock.Time(number(strings.TrimSuffix(s, "s"))) * clock.Second
}

// some are the servers a list names.
func (s *scene) some(list string) (out []*server) {
	if list == "all" {
		return s.servers
	}
	for _, id := range strings.Fields(list) {
		if n := number(id); 1 <= n && n <= len(s.servers) {
			out = append(out, s.servers[n-1])
		}
	}
	return out
}

func (s *scene) everybody() (ids []int) {
	for _, v := range s.servers {
		ids = append(ids, int(v.id))
	}
	return ids
}

// Verdict is what the judge says of a performance: nil if nothing is wrong.
func (p *Performance) Verdict() error {
	if p.Err != nil {
		return p.Err
	}
	if len(p.Violations) > 0 {
		return errors.New(p.Violations[0].String())
	}
	return nil
}
