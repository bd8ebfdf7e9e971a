package sim

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// sceneCommands is what happens to servers, their disks and clocks and the network, and what can be waited for.
var sceneCommands = []sceneCommand{
	sentence(`so far:`, func(s *scene, _ []string) error { s.soFar(); return nil }),
	sentence(`the story begins`, func(s *scene, _ []string) error { s.story = nil; return nil }),
	sentence(`wait SPAN`, func(s *scene, a []string) error {
		end := s.world.now + stretch(a[0])
		s.world.at(end, func() {})
		return s.until(func() bool { return s.world.now >= end })
	}),

	// Processes and machines.
	sentence(`start SERVERS`, func(s *scene, a []string) error {
		s.lines = s.lines[:0]
		return s.each(a[0], func(v *server) {
			v.stallTill = 0
			v.start(1)
		})
	}),
	sentence(`kill SERVERS`, func(s *scene, a []string) error { return s.stop(a[0], true, nil) }),
	sentence(`power off SERVERS`, func(s *scene, a []string) error { return s.stop(a[0], false, disk.KeepNone) }),
	sentence(`power off SERVERS, the disk keeps everything`, func(s *scene, a []string) error { return s.stop(a[0], false, disk.KeepAll) }),
	sentence(`power off SERVERS, the disk keeps some`, func(s *scene, a []string) error {
		return s.stop(a[0], false, disk.KeepSome(s.servers[0].crashes, 0.5))
	}),
	sentence(`power off SERVER (before|after) change N of its disk`, func(s *scene, a []string) error {
		v := s.servers[number(a[0])-1]
		v.fs.CrashAt(v.fs.Steps()+int64(number(a[2])), a[1] == "after")
		v.startLater = 3600 * clock.Second
		return nil
	}),
	sentence(`pause SERVERS`, func(s *scene, a []string) error {
		return s.each(a[0], func(v *server) { v.pause(3600 * clock.Second) })
	}),
	sentence(`resume SERVERS`, func(s *scene, a []string) error { return s.each(a[0], (*server).resume) }),
	sentence(`the clocks of SERVER go N% (fast|slow)`, func(s *scene, a []string) error {
		ppm := int64(number(a[1])) * 10_000
		if a[2] == "slow" {
			ppm = -ppm
		}
		return s.each(a[0], func(v *server) { v.clock.SetRate(s.world.now, ppm) })
	}),
	sentence(`the wall clock of SERVER jumps SPAN (forward|back)`, func(s *scene, a []string) error {
		span := stretch(a[1])
		if a[2] == "back" {
			span = -span
		}
		return s.each(a[0], func(v *server) { v.clock.Jump(span) })
	}),

	// Disks.
	sentence(`the disk of SERVERS stalls for SPAN`, func(s *scene, a []string) error {
		return s.each(a[0], func(v *server) { v.stallTill = s.world.now + stretch(a[1]) })
	}),
	sentence(`the disk of SERVERS is slow by SPAN`, func(s *scene, a []string) error {
		return s.each(a[0], func(v *server) { v.slowDisk = stretch(a[1]) })
	}),
	sentence(`the disk of SERVERS is full`, func(s *scene, a []string) error {
		return s.each(a[0], func(v *server) {
			v.full = true
			v.fs.SetBudget(max(v.fs.Used(), 1))
		})
	}),
	sentence(`the disk of SERVERS has space`, func(s *scene, a []string) error {
		return s.each(a[0], func(v *server) {
			v.full = false
			v.fs.SetBudget(0)
		})
	}),
	sentence(`the next (write|sync|rename|truncate) of SERVER fails`, func(s *scene, a []string) error { return s.fault(a[0], a[1]) }),
	sentence(`a bit flips in the (log|snapshot|acceptedEpoch|currentEpoch) of SERVER`, func(s *scene, a []string) error {
		return s.damage(a[1], a[0], func(v *server, name string) error {
			info, err := v.fs.Stat(name)
			if err != nil {
				return err
			}
			off := info.Size / 2
			if a[0] == "log" {
				off = 24 // in the first record: behind it there are others
			}
			return v.fs.FlipBit(name, off, 3)
		})
	}),
	sentence(`the (log|snapshot|acceptedEpoch|currentEpoch) of SERVER is (lost|empty)`, func(s *scene, a []string) error {
		return s.damage(a[1], a[0], func(v *server, name string) error {
			if a[2] == "lost" {
				return v.fs.Remove(name)
			}
			return emptied(v, name)
		})
	}),
	sentence(`SERVER has an empty log file behind all others`, func(s *scene, a []string) error {
		v := s.servers[number(a[0])-1]
		f, err := v.fs.Create(filepath.Join("/data/version-2", "log.7fffffff"))
		if err != nil {
			return err
		}
		return f.Close()
	}),
	sentence(`the data directory of SERVERS is emptied`, func(s *scene, a []string) error {
		return s.each(a[0], func(v *server) {
			for _, name := range v.files() {
				_ = v.fs.Remove(name)
			}
			s.inv.Damage(int(v.id))
		})
	}),
	sentence(`SERVERS gets? a new disk`, func(s *scene, a []string) error {
		return s.each(a[0], func(v *server) {
			v.fs = disk.NewMem(&disk.MemOptions{CrashModel: true})
			s.inv.Replace(int(v.id))
		})
	}),

	// The network.
	sentence(`cut SERVERS from SERVERS`, func(s *scene, a []string) error { return s.cut("servers", a[0], a[1], true) }),
	sentence(`cut SERVERS from SERVERS on the (election|quorum) port`, func(s *scene, a []string) error { return s.cut(a[2], a[0], a[1], true) }),
	sentence(`SERVERS (?:is|are) not heard by SERVERS`, func(s *scene, a []string) error { return s.cut("servers", a[0], a[1], false) }),
	sentence(`SERVERS (?:is|are) not heard by SERVERS on the (election|quorum) port`, func(s *scene, a []string) error {
		return s.cut(a[2], a[0], a[1], false)
	}),
	sentence(`cut client WHO from SERVERS`, func(s *scene, a []string) error {
		s.block(between([]port{clientPort}, []node{s.actor(a[0]).node()}, s.nodes(a[1])))
		return nil
	}),
	sentence(`heal`, func(s *scene, _ []string) error {
		s.lines = s.lines[:0]
		s.net.mend(func(node) bool { return true })
		return nil
	}),
	sentence(`let SERVERS back`, func(s *scene, a []string) error {
		back := s.nodes(a[0])
		for _, sh := range slices.Clone(s.net.shapes) {
			sh.cuts = slices.DeleteFunc(sh.cuts, func(c cut) bool {
				if slices.Contains(back, c.from) || slices.Contains(back, c.to) {
					s.net.lift(sh, c)
					return true
				}
				return false
			})
		}
		return nil
	}),
	sentence(`connections between SERVERS and SERVERS break`, func(s *scene, a []string) error { return s.reset(a[0], a[1]) }),
	sentence(`everything to SERVERS takes SPAN longer`, func(s *scene, a []string) error { return s.slowdown(a[0], stretch(a[1])) }),

	// Waiting.
	sentence(`wait until SERVERS serves?`, func(s *scene, a []string) error { return s.untilAll(a[0], serves) }),
	sentence(`wait until SERVERS (?:is|are) down`, func(s *scene, a []string) error {
		return s.untilAll(a[0], func(v *server) bool { return v.life == nil })
	}),
	sentence(`wait until SERVERS leads?`, func(s *scene, a []string) error { return s.untilAll(a[0], leads) }),
	sentence(`wait until SERVERS looks?`, func(s *scene, a []string) error { return s.untilAll(a[0], looks) }),
	sentence(`wait until somebody else than SERVER leads`, func(s *scene, a []string) error {
		return s.until(func() bool {
			return slices.ContainsFunc(s.servers, func(v *server) bool { return int(v.id) != number(a[0]) && leads(v) && serves(v) })
		})
	}),
	sentence(`wait until SERVERS (?:has|have) all`, func(s *scene, a []string) error {
		return s.until(func() bool { return s.together(a[0]) == nil })
	}),
	sentence(`wait until SERVER gets ([A-Z]+)`, func(s *scene, a []string) error { return s.untilSaid(a[0] + ` gets from \d+: ` + a[1]) }),
	sentence(`wait until SERVER sends its tree`, func(s *scene, a []string) error { return s.untilSaid(a[0] + ` sends the tree`) }),
	sentence(`wait until SERVER writes (records|the accepted epoch|the current epoch|a snapshot|a snapshot it was sent)`, func(s *scene, a []string) error {
		return s.until(func() bool { return s.writing(a[0], a[1]) })
	}),
	sentence(`wait until SERVER truncates its log`, func(s *scene, a []string) error {
		return s.until(func() bool { return s.writing(a[0], "truncation") })
	}),
	sentence(`wait until SERVER has written (records|the accepted epoch|the current epoch|truncation|a snapshot|a snapshot it was sent)`, func(s *scene, a []string) error {
		if err := s.until(func() bool { return s.writing(a[0], a[1]) }); err != nil {
			return err
		}
		return s.until(func() bool { return !s.writing(a[0], a[1]) })
	}),
}

// answers, serves, leads and looks are what servers may be waited for to do.
func answers(v *server) bool { return v.life != nil && v.life.told.serving }

// serves: it answers, and not only because it has not noticed yet that its leader is gone.
func serves(v *server) bool {
	if !answers(v) {
		return false
	}
	leader := v.life.r.Leader()
	return leads(v) || leader > 0 && leads(v.servers[leader-1])
}

func leads(v *server) bool {
	if v.life == nil {
		return false
	}
	role, _ := v.life.r.Role()
	return role == replica.Leading && v.life.r.Established()
}

func looks(v *server) bool {
	if v.life == nil {
		return false
	}
	role, _ := v.life.r.Role()
	return role == replica.Looking
}

func (s *scene) each(list string, do func(*server)) error {
	for _, v := range s.some(list) {
		do(v)
	}
	return nil
}

func (s *scene) untilAll(list string, is func(*server) bool) error {
	return s.until(func() bool {
		for _, v := range s.some(list) {
			if !is(v) {
				return false
			}
		}
		return true
	})
}

// untilSaid waits for a line of the trace.
func (s *scene) untilSaid(form string) error {
	re := regexp.MustCompile("^" + form)
	return s.until(func() bool {
		i := slices.IndexFunc(s.lines, re.MatchString)
		s.lines = slices.Delete(s.lines, 0, i+1)
		if i < 0 {
			s.lines = s.lines[:0]
		}
		return i >= 0
	})
}

// stop ends processes, with what they have under way on their disks not done, and the power of their machines if that goes, too.
func (s *scene) stop(list string, power bool, keep func(disk.Unsynced) bool) error {
	s.lines = s.lines[:0]
	for _, v := range s.some(list) {
		if v.life != nil {
			v.end(power)
		}
		v.booting++
		v.powered = power
		v.renew(keep)
		v.startLater = 0
	}
	return nil
}

// writing reports whether a server's disk is busy with something.
func (s *scene) writing(server, what string) bool {
	l := s.servers[number(server)-1].life
	if l == nil || !l.busy {
		return false
	}
	if !l.doing.isOp && l.doing.op.Kind == replica.DiskAppend { // a group of records, or a job of another kind
		switch what {
		case "records":
			return l.doing.bytes > 0 && l.doing.bytes != 1000 && l.doing.bytes != 50_000
		case "a snapshot it was sent":
			return l.taking && l.doing.bytes == 50_000
		case "a snapshot":
			return l.dump.writing()
		}
		return false
	}
	switch l.doing.op.Kind {
	case replica.DiskAcceptedEpoch:
		return what == "the accepted epoch"
	case replica.DiskCurrentEpoch:
		return what == "the current epoch"
	case replica.DiskTruncate:
		return what == "truncation"
	}
	return false
}

// fault has the next call of a kind fail.
func (s *scene) fault(what, server string) error {
	kind := map[string]disk.OpKind{"write": disk.OpWrite, "sync": disk.OpSync, "rename": disk.OpRename, "truncate": disk.OpTruncate}[what]
	v := s.servers[number(server)-1]
	failed := false
	v.startLater = 3600 * clock.Second
	v.fs.SetFault(func(op disk.Op) disk.Fault {
		if failed || op.Kind != kind {
			return disk.Fault{}
		}
		failed = true
		return disk.Fault{Err: errDevice, Drop: kind == disk.OpSync}
	})
	return nil
}

// damage does something to the newest file of a kind, of a server that does not run.
func (s *scene) damage(server, kind string, do func(*server, string) error) error {
	v := s.servers[number(server)-1]
	if v.life != nil {
		return errors.New("it runs")
	}
	names := slices.DeleteFunc(v.files(), func(name string) bool { return !strings.HasPrefix(filepath.Base(name), kind) })
	if len(names) == 0 {
		return fmt.Errorf("there is none among %v", v.files())
	}
	s.inv.Damage(int(v.id))
	if kind != "snapshot" {
		return do(v, names[len(names)-1])
	}
	for _, name := range names {
		if err := do(v, name); err != nil {
			return err
		}
	}
	return nil
}

func emptied(v *server, name string) error {
	f, err := v.fs.Edit(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(0), f.Sync(), f.Close())
}

func (s *scene) nodes(list string) (nodes []node) {
	for _, v := range s.some(list) {
		nodes = append(nodes, v.node())
	}
	return nodes
}

func (s *scene) block(cuts []cut) { s.net.block(&shape{cuts: cuts}) }

// cut cuts servers from others, both ways or only what the first send.
func (s *scene) cut(which, left, right string, both bool) error {
	on := map[string][]port{"servers": {electionPort, quorumPort}, "election": {electionPort}, "quorum": {quorumPort}}[which]
	if both {
		s.block(between(on, s.nodes(left), s.nodes(right)))
	} else {
		s.block(from(on, s.nodes(left), s.nodes(right)))
	}
	return nil
}

// reset breaks the connections between servers, once.
func (s *scene) reset(left, right string) error {
	l, r := s.nodes(left), s.nodes(right)
	for _, e := range slices.Clone(s.net.ends) {
		if e.port != clientPort && e.open && slices.Contains(l, e.at) && slices.Contains(r, e.peer.at) {
			e.reset()
		}
	}
	return nil
}

// slowdown makes what goes to servers, from other servers, take longer.
func (s *scene) slowdown(list string, span clock.Time) error {
	for _, to := range s.nodes(list) {
		for _, at := range s.nodes("all") {
			s.net.slow[[2]node{at, to}] += span
		}
	}
	s.down = append(s.down, func() { clear(s.net.slow) })
	return nil
}

// together says why servers do not hold the same; nil: they do, and it is all that is committed.
func (s *scene) together(list string) error {
	digest := uint64(0)
	for i, v := range s.some(list) {
		if !serves(v) {
			return fmt.Errorf("%d does not serve", v.id)
		}
		t := v.life.r.Tree()
		if top := s.inv.Committed(); t.Zxid() < top || v.life.r.Zxid() != t.Zxid() {
			return fmt.Errorf("%d has applied %v and logged %v, committed is %v", v.id, t.Zxid(), v.life.r.Zxid(), top)
		}
		if i == 0 {
			digest = t.Digest()
		} else if digest != t.Digest() {
			return fmt.Errorf("the tree of %d is another", v.id)
		}
	}
	return nil
}

// sceneExpectations is what a scenario may want to be so.
var sceneExpectations = []sceneCommand{
	sentence(`expect SERVERS to serve`, func(s *scene, a []string) error { return s.all(a[0], serves) }),
	sentence(`expect SERVERS not to serve`, func(s *scene, a []string) error {
		return s.all(a[0], func(v *server) bool { return !answers(v) })
	}),
	sentence(`expect leader SERVER`, func(s *scene, a []string) error { return s.all(a[0], leads) }),
	sentence(`expect no leader among SERVERS`, func(s *scene, a []string) error {
		return s.all(a[0], func(v *server) bool { return !leads(v) })
	}),
	sentence(`expect SERVERS down`, func(s *scene, a []string) error {
		return s.all(a[0], func(v *server) bool { return v.life == nil })
	}),
	sentence(`expect SERVERS up`, func(s *scene, a []string) error {
		return s.all(a[0], func(v *server) bool { return v.life != nil })
	}),
	sentence(`expect SERVERS untrusted`, func(s *scene, a []string) error {
		return s.all(a[0], func(v *server) bool { return v.life != nil && v.life.r.Untrusted() != nil })
	}),
	sentence(`expect SERVERS trusted`, func(s *scene, a []string) error {
		return s.all(a[0], func(v *server) bool { return v.life != nil && v.life.r.Untrusted() == nil })
	}),
	sentence(`expect the same tree on SERVERS`, func(s *scene, a []string) error { return s.together(a[0]) }),
	sentence(`expect PATH = WORD on SERVERS`, func(s *scene, a []string) error {
		return s.all(a[2], func(v *server) bool {
			n := v.node_(a[0])
			return n != nil && is(n, a[1])
		})
	}),
	sentence(`expect PATH on SERVERS`, func(s *scene, a []string) error {
		return s.all(a[1], func(v *server) bool { return v.node_(a[0]) != nil })
	}),
	sentence(`expect no PATH on SERVERS`, func(s *scene, a []string) error {
		return s.all(a[1], func(v *server) bool { return v.life != nil && v.node_(a[0]) == nil })
	}),
	sentence(`expect the current epoch of SERVER to be N`, func(s *scene, a []string) error {
		return s.all(a[0], func(v *server) bool {
			_, current := v.life.r.Epochs()
			return current == int64(number(a[1]))
		})
	}),
	sentence(`expect epoch N of transactions`, func(s *scene, a []string) error {
		if e := s.inv.Committed().Epoch(); int(e) != number(a[0]) {
			return fmt.Errorf("the newest committed is %v", s.inv.Committed())
		}
		return nil
	}),
	sentence(`expect at most N changes of leadership`, func(s *scene, a []string) error {
		if n := s.inv.LeaderChanges(); n > number(a[0]) {
			return fmt.Errorf("there were %d", n)
		}
		return nil
	}),
	sentence(`expect no empty snapshot on SERVERS`, func(s *scene, a []string) error {
		return s.all(a[0], func(v *server) bool {
			return !slices.ContainsFunc(v.files(), func(name string) bool {
				info, err := v.fs.Stat(name)
				return strings.HasPrefix(filepath.Base(name), "snapshot.") && (err != nil || info.Size == 0)
			})
		})
	}),
	sentence(`expect at least N transactions`, func(s *scene, a []string) error {
		if n := len(s.history.Txns); n < number(a[0]) {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	}),
}

// node_ is the data of a node of a server's tree, nil if it is not there.
func (s *server) node_(path string) []byte {
	if s.life == nil {
		return nil
	}
	n := s.life.r.Tree().Node(path)
	if n == nil {
		return nil
	}
	return append([]byte{}, n.Data()...)
}

// all wants something to be so of servers.
func (s *scene) all(list string, is func(*server) bool) error {
	for _, v := range s.some(list) {
		if !is(v) {
			return fmt.Errorf("it is not so of %d: %s", v.id, s.state())
		}
	}
	return nil
}
