// Package plan is what shall go wrong in a simulated run, and when: data, drawn from a seed before the run begins.
//
// The one idea is that a plan names no accident by its outcome, only by what is done to whom: "the leader" is whoever leads when the
// time comes, "when a learner is being synchronised" is the next time that happens. So a plan can be read as a story before
// anything has happened, told again with one sentence left out, and aimed at phases that last for microseconds.
//
//	p := plan.Draw(r, plan.Shape{Voters: 3, Observers: 1, Clients: 5, Start: 2 * clock.Second, Span: 30 * clock.Second})
//	fmt.Println(p)                              // the story
//	for _, f := range p.Faults { … }            // in order of f.At; f.On says what else to wait for
//	id := f.Who.Choose(leader, ids)             // at that moment
//	tally.Add(f.Class)                          // when it has taken effect
//
// Faults are drawn by the swarm rule: each [Class] is on with probability one half, and how often it strikes is drawn too, since
// faults hide one another: where everything fails all the time nothing interesting ever happens. Every fault ends by itself
// ([Fault.Span]); healing only makes sure that all have.
//
// What is done to disks beyond what a crash does, and what takes away all a server has, strikes one minority of the voters, the
// same all along ([Plan.Frail]), or observers: with that an ensemble has to lose nothing, ever.
//
// A fault that finds nobody to strike, or that was still waiting for its phase when the run was healed, has not happened: only
// whoever carries it out knows whether it took effect, and keeps the [Tally].
package plan

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// A Class is a kind of fault.
type Class int

// The classes. What each does with the fields of a [Fault] stands beside it; Span is how long it lasts.
const (
	Kill        Class = iota // Who's process ends; what it wrote stays, synced or not; it starts again after Span
	PowerLoss                // Who's machine loses its power: what was not synced is lost in part; it starts again after Span
	KillAll                  // Kill of all servers, which start again one by one within Span
	PowerOut                 // PowerLoss of all servers, which start again one by one within Span
	CrashPoint               // PowerLoss of Who before its N-th next call that changes the disk
	Pause                    // Who stops handling anything; time goes on
	PauseAll                 // all stop together
	PauseClient              // client N stops
	Starve                   // Who takes Delay longer for each turn of its core, its network and disk go on
	Split                    // servers in Side hear nothing from the others, and the others nothing from them, on Port; N as with Isolate
	Bridge                   // Side and the others are cut apart, but Who hears and is heard by all, on Port
	Isolate                  // Who is cut off from all servers, on Port; N being 1, the others' ends of its connections break at once
	OneWay                   // what Who sends to the servers in Side is lost, on Port; it hears them
	Deaf                     // what the servers in Side send to Who is lost, on Port; they hear it
	Flap                     // Isolate that comes and goes every Delay
	Swizzle                  // the servers in Side are cut off one by one, Delay apart, and come back in another order
	CutClients               // no client reaches Who
	CutClient                // client N reaches no server
	Strand                   // Who, the servers in Side and the clients connected to any of them are cut off together; N as with Isolate
	Reset                    // all connections between Who and the servers in Side break once, on Port
	SlowLink                 // what passes between Who and all others takes Delay longer
	Lossy                    // a share Rate of all segments, anywhere, has to be sent again
	SlowDisk                 // each sync of Who's disk takes Delay longer
	StallDisk                // Who's disk does nothing
	FullDisk                 // Who's disk has N bytes left; it starts again after Span, with space
	BadWrite                 // the N-th next write, sync, rename or removal on Who's disk fails; it starts again after Span
	LostSync                 // the N-th next sync of Who's disk fails, once, and loses what it should have synced; it starts again after Span
	BitFlip                  // Who, which is frail, is killed; a bit of a file that is not its newest log flips; it starts again after Span
	BitFlipLog               // the same, in its newest log
	Amnesia                  // Who, which is frail, is killed and its disk emptied; it starts again after Span
	Drift                    // Who's clocks go Rate too fast, or too slow
	Jump                     // Who's wall clock jumps by Delay, forward or, N being 1, back
	Echo                     // Who's election messages are sent twice, the copies late by up to Delay and in any order
	Churn                    // the leader is killed, and every N times another that follows it as soon as it is established; they start again after Delay
	classes
)

var classNames = [classes]string{
	"kill", "power loss", "kill all", "power out", "crash point", "pause", "pause all", "pause client", "starve", "split", "bridge",
	"isolate", "one way", "deaf", "flap", "swizzle", "cut clients", "cut client", "strand", "reset", "slow link", "lossy", "slow disk",
	"stall disk", "full disk", "bad write", "lost sync", "bit flip", "bit flip in log", "amnesia", "drift", "jump", "echo", "churn",
}

// String is the class's name.
func (c Class) String() string { return classNames[c] }

// Classes are all there are.
func Classes() []Class {
	all := make([]Class, classes)
	for i := range all {
		all[i] = Class(i)
	}
	return all
}

// Deadly reports whether such a fault ends the process of whom it strikes.
func (c Class) Deadly() bool {
	switch c {
	case Kill, PowerLoss, KillAll, PowerOut, CrashPoint, FullDisk, BadWrite, LostSync, BitFlip, BitFlipLog, Amnesia, Churn:
		return true
	}
	return false
}

// A Role is whom a fault is meant for.
type Role int

// The roles.
const (
	Anyone   Role = iota
	Leader        // whoever is established, or else takes itself for the leader
	Follower      // a voter that does not lead
	Frail         // one of Plan.Frail or an observer
)

// A Target is whom a fault strikes, settled when the time comes.
type Target struct {
	Role Role
	Pick uint32 // chooses among those that fit
}

// Choose is the server that t means now, 0 if there is none: leader is who leads, 0 for nobody; voters and observers are their
// ids, frail those of Plan.Frail.
func (t Target) Choose(leader int, voters, observers, frail []int) int {
	var fit []int
	switch t.Role {
	case Leader:
		return leader
	case Follower:
		fit = slices.DeleteFunc(slices.Clone(voters), func(id int) bool { return id == leader })
	case Frail:
		fit = slices.Concat(frail, observers)
	default:
		fit = slices.Concat(voters, observers)
	}
	if len(fit) == 0 {
		return 0
	}
	return fit[int(t.Pick)%len(fit)]
}

func (t Target) String() string {
	switch t.Role {
	case Leader:
		return "the leader"
	case Follower:
		return fmt.Sprintf("a follower (draw %d)", t.Pick)
	case Frail:
		return fmt.Sprintf("a frail server (draw %d)", t.Pick)
	}
	return fmt.Sprintf("a server (draw %d)", t.Pick)
}

// A Phase is a moment in the life of an ensemble that a fault waits for, once its time has come.
type Phase int

// The phases. The server whose phase it is takes Who's place.
const (
	Now           Phase = iota // does not wait
	OnLooking                  // a server begins to look for a leader
	OnDiscovery                // a learner has been told the new epoch, and not answered yet
	OnSync                     // a learner has been told how it will be synchronised, and has nothing yet
	OnTruncate                 // a learner sets about truncating its log
	OnSnap                     // a learner has received part of a snapshot
	OnNewLeader                // a learner has saved the current epoch, and not acknowledged yet
	OnEstablished              // a leader is established
	OnProposal                 // a leader has proposed, and its log does not have it on disk yet
	OnCommit                   // a leader has counted a quorum, and told nobody
	OnSnapshot                 // a server writes a snapshot of its own
	phases
)

var phaseNames = [phases]string{
	"", "begins to look for a leader", "learns the new epoch", "learns how it will be synchronised", "truncates its log", "receives a snapshot",
	"has saved the new epoch", "is established", "has proposed", "has a quorum for a proposal", "writes a snapshot",
}

// A Port is which connections a cut is of.
type Port int

// The ports. Clients' connections have their own classes.
const (
	AllPorts Port = iota
	ElectionPort
	QuorumPort
	ports
)

func (p Port) String() string {
	return [ports]string{"", " on the election port", " on the quorum port"}[p]
}

// A Fault is one accident. Fields that its Class does not mention are zero.
type Fault struct {
	At    clock.Time
	On    Phase // what else it waits for, from At on
	Class Class
	Who   Target
	Span  clock.Time
	Side  []int // ids of servers
	Port  Port
	Delay clock.Time
	Rate  float64
	N     int
}

// String is a sentence.
func (f Fault) String() string {
	who := f.Who.String()
	begin := fmt.Sprintf("%v ", f.At)
	if f.On != Now {
		who = "whoever " + phaseNames[f.On]
		begin += "from then on, once: "
	}
	return begin + f.deed(who)
}

func (f *Fault) deed(who string) string {
	for_ := fmt.Sprintf("for %v", f.Span)
	down := fmt.Sprintf("back after %v", f.Span)
	switch f.Class {
	case Kill:
		return fmt.Sprintf("%s is killed, %s", who, down)
	case PowerLoss:
		return fmt.Sprintf("%s loses its power, %s", who, down)
	case KillAll:
		return fmt.Sprintf("all servers are killed, back within %v", f.Span)
	case PowerOut:
		return fmt.Sprintf("all servers lose their power, back within %v", f.Span)
	case CrashPoint:
		return fmt.Sprintf("%s loses its power before change %d of its disk, %s", who, f.N, down)
	case Pause:
		return fmt.Sprintf("%s stands still %s", who, for_)
	case PauseAll:
		return fmt.Sprintf("all servers stand still %s", for_)
	case PauseClient:
		return fmt.Sprintf("client %d stands still %s", f.N, for_)
	case Starve:
		return fmt.Sprintf("%s is slow by %v a turn %s", who, f.Delay, for_)
	case Split:
		return fmt.Sprintf("servers %v are cut off from the others%v %s%s", f.Side, f.Port, for_, f.noticed())
	case Bridge:
		return fmt.Sprintf("only %s still links servers %v with the others%v %s", who, f.Side, f.Port, for_)
	case Isolate:
		return fmt.Sprintf("%s is cut off from all servers%v %s%s", who, f.Port, for_, f.noticed())
	case OneWay:
		return fmt.Sprintf("%s is not heard by servers %v%v %s", who, f.Side, f.Port, for_)
	case Deaf:
		return fmt.Sprintf("%s does not hear servers %v%v %s", who, f.Side, f.Port, for_)
	case Flap:
		return fmt.Sprintf("%s is cut off from all servers%v now and then, every %v, %s", who, f.Port, f.Delay, for_)
	case Swizzle:
		return fmt.Sprintf("servers %v are cut off one by one%v, %v apart, and come back in another order, %s", f.Side, f.Port, f.Delay, for_)
	}
	return f.deed2(who, for_, down)
}

func (f *Fault) deed2(who, for_, down string) string {
	switch f.Class {
	case CutClients:
		return fmt.Sprintf("no client reaches %s %s", who, for_)
	case CutClient:
		return fmt.Sprintf("client %d reaches nobody %s", f.N, for_)
	case Strand:
		return fmt.Sprintf("%s, servers %v and their clients are cut off together from all others %s%s", who, f.Side, for_, f.noticed())
	case Reset:
		return fmt.Sprintf("all connections between %s and servers %v%v break", who, f.Side, f.Port)
	case SlowLink:
		return fmt.Sprintf("everything from and to %s takes %v longer %s", who, f.Delay, for_)
	case Lossy:
		return fmt.Sprintf("%.1f %% of all segments are lost %s", f.Rate*100, for_)
	case SlowDisk:
		return fmt.Sprintf("the disk of %s takes %v longer to sync %s", who, f.Delay, for_)
	case StallDisk:
		return fmt.Sprintf("the disk of %s does nothing %s", who, for_)
	case FullDisk:
		return fmt.Sprintf("the disk of %s has %d bytes left, %s with space", who, f.N, down)
	case BadWrite:
		return fmt.Sprintf("change %d of the disk of %s fails, %s", f.N, who, down)
	case LostSync:
		return fmt.Sprintf("sync %d of the disk of %s fails once and loses everything, %s", f.N, who, down)
	case BitFlip:
		return fmt.Sprintf("%s is killed and a bit in an older file flips, %s", who, down)
	case BitFlipLog:
		return fmt.Sprintf("%s is killed and a bit in its newest log flips, %s", who, down)
	case Amnesia:
		return fmt.Sprintf("%s is killed and its disk emptied, %s", who, down)
	case Drift:
		return fmt.Sprintf("the clocks of %s go wrong by %+.1f %% %s", who, f.Rate*100, for_)
	case Jump:
		return fmt.Sprintf("the wall clock of %s jumps %s by %v", who, []string{"forward", "back"}[f.N], f.Delay)
	case Echo:
		return fmt.Sprintf("the election messages of %s come twice, the second up to %v late, %s", who, f.Delay, for_)
	case Churn:
		return fmt.Sprintf("the leader is killed, and the next as soon as it is established, %d times, each back after %v", f.N, f.Delay)
	}
	return f.Class.String()
}

// noticed says who hears of a cut.
func (f *Fault) noticed() string {
	if f.N == 1 {
		return "; only the others hear of it"
	}
	return ""
}

// A Shape is the ensemble a plan is for. Voters have the ids from 1, observers those behind them.
type Shape struct {
	Voters, Observers, Clients int
	Start, Span                clock.Time // when faults begin, and for how long
	Tick                       clock.Time // of the servers: a tenth of what a session lives, say
}

// A Plan is all that shall go wrong.
type Plan struct {
	Shape  Shape
	On     []Class // the classes that were drawn, in order
	Frail  []int   // voters whose disks may be damaged: never a majority
	Faults []Fault // in order of time
	Quorum []int   // voters that are healed first, all faults of theirs and between them ended: a majority
}

// String is the story.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d voters, %d observers, %d clients; frail: %v; %d faults of", p.Shape.Voters, p.Shape.Observers, p.Shape.Clients, p.Frail, len(p.Faults))
	for i, c := range p.On {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %v", c)
	}
	b.WriteByte('\n')
	for _, f := range p.Faults {
		fmt.Fprintf(&b, "  %v\n", f)
	}
	fmt.Fprintf(&b, "  %v servers %v are healed, then all\n", p.Shape.Start+p.Shape.Span, p.Quorum)
	return b.String()
}

// A Tally counts the faults that took effect, by class.
type Tally [classes]int

// Add counts one.
func (t *Tally) Add(c Class) { t[c]++ }

// Join adds another tally's counts.
func (t *Tally) Join(o *Tally) {
	for i, n := range o {
		t[i] += n
	}
}

// Total is how many there were.
func (t *Tally) Total() (n int) {
	for _, k := range t {
		n += k
	}
	return n
}

// String is one line for each class, the most frequent first; those that never struck are named, since what was never tried proves
// nothing.
func (t *Tally) String() string {
	list := Classes()
	slices.SortStableFunc(list, func(a, b Class) int { return cmp.Compare(t[b], t[a]) })
	var b strings.Builder
	var never []string
	for _, c := range list {
		if t[c] == 0 {
			never = append(never, c.String())
			continue
		}
		fmt.Fprintf(&b, "%8d  %v\n", t[c], c)
	}
	fmt.Fprintf(&b, "%8d  in all", t.Total())
	if len(never) > 0 {
		fmt.Fprintf(&b, "; never: %s", strings.Join(never, ", "))
	}
	return b.String()
}

// minority is how many voters may be out of order for the others to go on.
func (s Shape) minority() int { return (s.Voters - 1) / 2 }

// some are n different ids from 1 to of, in order.
func some(r *rand.Rand, n, of int) []int {
	ids := r.Perm(of)[:n]
	for i := range ids {
		ids[i]++
	}
	slices.Sort(ids)
	return ids
}
