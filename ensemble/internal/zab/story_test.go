package zab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// TestStories tells the stories in testdata. A story is a file of comments (#), of what a machine is told (>) and, indented, what it
// asks for in return. With -update the latter is written anew; read the difference before you believe it.
//
// Zxids are epoch:counter. A tick is 1000 ms, initLimit 10 and syncLimit 5 ticks. A link has the number of its server unless told.
//
//	> leader 1 of=1,2,3 accepted=1 current=1 last=1:3     the log is 1:1 to 1:3; remembers=1:2 drops what comes before from memory
//	> 2 connects [java] [observer] accepted=1 [link=12]
//	> 2: ACKEPOCH 1:3 epoch=1                              a packet of the link
//	> learner 2 of=1,2,3 [observer|untrusted] accepted=1 current=1 last=1:3 [uncut=2@1:2]
//	> DIFF 2:0                                             a packet of the leader
//	> saved accepted 2 / synced 2:1 / truncated 1:3 / truncation failed 1:3 / installed 2:1 / wait 1500 / …
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.story")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".story"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			told := tell(t, string(text))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(told), 0o644))
				return
			}
			require.Equal(t, string(text), told)
		})
	}
}

func tell(t *testing.T, text string) string {
	s := &theatre{t: t}
	var b strings.Builder
	for _, line := range strings.SplitAfter(text, "\n") {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		b.WriteString(line)
		if command, ok := strings.CutPrefix(line, "> "); ok {
			for _, said := range s.play(strings.TrimSpace(command)) {
				b.WriteString("  " + said + "\n")
			}
		}
	}
	return b.String()
}

// A theatre is where a story is played: one machine at a time.
type theatre struct {
	t       *testing.T
	leader  *Leader
	learner *Learner
	now     int64
}

// play does a command and says what came of it.
func (s *theatre) play(command string) []string {
	var out []Effect
	words := strings.Fields(command)
	said := s.act(words, &out)
	var all []string
	for i := range out {
		all = append(all, describe(&out[i], s.learner != nil))
	}
	if said != "" {
		all = append(all, said)
	}
	if len(all) == 0 {
		all = []string{"nothing"}
	}
	return all
}

func (s *theatre) act(words []string, out *[]Effect) string {
	rest := words[1:]
	switch {
	case words[0] == "leader":
		s.learner, s.leader = nil, NewLeader(s.leaderConfig(rest), s.now, out)
	case words[0] == "learner":
		s.leader, s.learner = nil, NewLearner(s.learnerConfig(rest), s.now, out)
	case words[0] == "wait":
		return s.wait(rest, out)
	case words[0] == "fresh":
		if s.leader != nil {
			return strconv.FormatBool(s.leader.Fresh(s.now))
		}
		return strconv.FormatBool(s.learner.Fresh(s.now))
	case words[0] == "saved":
		s.saved(rest, out)
	case words[0] == "synced" && s.leader != nil:
		s.leader.Synced(s.zxid(rest[0]), s.now, out)
	case words[0] == "synced":
		s.learner.Synced(s.zxid(rest[0]), s.now, out)
	case words[0] == "partial":
		return strconv.FormatBool(s.learner.Partial())
	case s.leader != nil:
		return s.lead(words, out)
	default:
		s.learn(words, out)
	}
	return ""
}

// wait lets the milliseconds pass, and the machine notices every half tick.
func (s *theatre) wait(rest []string, out *[]Effect) string {
	for end := s.now + s.number(rest[0]); s.now < end; {
		s.now = min(s.now+500, end)
		if s.leader != nil {
			s.leader.Tick(s.now, out)
		} else {
			s.learner.Tick(s.now, out)
		}
	}
	return ""
}

func (s *theatre) saved(rest []string, out *[]Effect) {
	file := AcceptedEpoch
	if rest[0] == "current" {
		file = CurrentEpoch
	}
	if s.leader != nil {
		s.leader.Saved(file, s.number(rest[1]), s.now, out)
	} else {
		s.learner.Saved(file, s.number(rest[1]), s.now, out)
	}
}

func (s *theatre) lead(words []string, out *[]Effect) string {
	l := s.leader
	rest := words[1:]
	switch words[0] {
	case "propose":
		r := s.record(rest[0])
		if err := l.Propose(r, s.now, out); err != nil {
			return "refused: " + err.Error()
		}
	case "next":
		if l.Exhausted() {
			return "exhausted"
		}
		return short(l.Next())
	case "applied":
		l.Applied(s.zxid(rest[0]))
	case "snapshot":
		l.SnapshotTaken(packet.LinkID(s.number(rest[0])), s.zxid(rest[1]), s.now, out)
	case "progress":
		l.Progress(packet.LinkID(s.number(rest[0])), s.now)
	case "drop":
		l.Drop(packet.LinkID(s.number(rest[0])), s.now, out)
	case "barrier":
		return fmt.Sprintf("round %d", l.Barrier(s.now, out))
	case "committed":
		return short(l.Committed())
	default:
		s.visit(words, out)
	}
	return ""
}

// visit is what comes from a learner.
func (s *theatre) visit(words []string, out *[]Effect) {
	l := s.leader
	if number, ok := strings.CutSuffix(words[0], ":"); ok {
		p := s.packet(words[1:])
		l.Receive(packet.LinkID(s.number(number)), &p, s.now, out)
		return
	}
	require.Equal(s.t, "connects", words[1], "%v", words)
	options := s.options(words[2:])
	server := s.number(words[0])
	link := packet.LinkID(server)
	if at, ok := options["link"]; ok {
		link = packet.LinkID(s.number(at))
	}
	l.Accept(link, s.now, out)
	info := packet.LearnerInfo{ServerID: packet.ServerID(server), Protocol: packet.Protocol, Ours: true}
	if _, ok := options["java"]; ok {
		info.Ours = false
	}
	if v, ok := options["config"]; ok {
		info.ConfigVersion = s.number(v)
	}
	p := packet.Packet{Type: packet.TypeFollowerInfo, Zxid: znode.MakeZxid(uint32(s.number(options["accepted"])), 0), Data: info.AppendJute(nil)}
	if _, ok := options["observer"]; ok {
		p.Type = packet.TypeObserverInfo
	}
	l.Receive(link, &p, s.now, out)
}

func (s *theatre) learn(words []string, out *[]Effect) {
	l := s.learner
	switch words[0] {
	case "connected":
		l.Connected(s.now, out)
	case "truncated":
		l.Truncated(s.zxid(words[1]), true, s.now, out)
	case "truncation":
		l.Truncated(s.zxid(words[2]), false, s.now, out)
	case "installed":
		l.Installed(s.zxid(words[1]), s.now, out)
	case "progress":
		l.Progress(s.now)
	case "pingreply":
		l.PingReply(nil, s.now, out)
	default:
		p := s.packet(words)
		l.Receive(&p, s.now, out)
	}
}

var typesByName = func() map[string]packet.Type {
	m := map[string]packet.Type{"MYSTERY": 77}
	for typ := packet.TypeRequest; typ <= packet.TypeInformAndActivate; typ++ {
		m[typ.String()] = typ
	}
	return m
}()

// packet is TYPE zxid and options: epoch= of ACKEPOCH, answers= of a PING of ours, java for a LEADERINFO of Apache's, text= for data.
func (s *theatre) packet(words []string) packet.Packet {
	typ, ok := typesByName[words[0]]
	require.True(s.t, ok, "%v", words)
	p := packet.Packet{Type: typ, Zxid: -1}
	words = words[1:]
	if len(words) > 0 && strings.ContainsRune(words[0], ':') {
		p.Zxid, words = s.zxid(words[0]), words[1:]
	}
	options := s.options(words)
	_, java := options["java"]
	switch typ {
	case packet.TypeProposal, packet.TypeInform:
		p.Data = s.record(short(p.Zxid)).Payload
	case packet.TypeLeaderInfo:
		info := packet.LeaderInfo{Protocol: packet.Protocol, Ours: !java}
		p.Data = info.AppendJute(nil)
	case packet.TypeAckEpoch:
		p.Data = binary.BigEndian.AppendUint32(nil, uint32(s.number(options["epoch"])))
	case packet.TypePing:
		p.Data = []byte{}
		if n, ok := options["answers"]; ok {
			p.Data = binary.BigEndian.AppendUint64(nil, uint64(s.number(n)))
		}
	case packet.TypeCommitAndActivate, packet.TypeInformAndActivate:
		p.Data = make([]byte, 8)
	}
	if text, ok := options["text"]; ok {
		p.Data = []byte(strings.ReplaceAll(text, "\\n", "\n"))
	}
	return p
}

func (s *theatre) leaderConfig(words []string) LeaderConfig {
	options := s.options(words[1:])
	h, last := s.history(options)
	members := s.members(options["of"], options["observers"])
	cfg := LeaderConfig{
		Self: packet.ServerID(s.number(words[0])), Quorum: members, Tick: 1000, InitLimit: 10, SyncLimit: 5,
		AcceptedEpoch: s.number(options["accepted"]), CurrentEpoch: s.number(options["current"]), Last: last, History: h,
	}
	if start, ok := options["start"]; ok {
		cfg.CounterStart = uint32(s.number(start))
	}
	return cfg
}

func (s *theatre) learnerConfig(words []string) LearnerConfig {
	options := s.options(words[1:])
	h, last := s.history(options)
	_, observer := options["observer"]
	_, untrusted := options["untrusted"]
	var uncut Uncut
	if epoch, at, ok := strings.Cut(options["uncut"], "@"); ok {
		uncut = Uncut{Epoch: s.number(epoch), Zxid: s.zxid(at)}
	}
	return LearnerConfig{
		Uncut: uncut,
		Self:  packet.ServerID(s.number(words[0])), Leader: 1, Quorum: s.members(options["of"], ""), Observer: observer, Untrusted: untrusted,
		Tick: 1000, InitLimit: 10, SyncLimit: 5,
		AcceptedEpoch: s.number(options["accepted"]), CurrentEpoch: s.number(options["current"]), Last: last, History: h,
	}
}

// history is a log of one epoch up to last, after more epochs in log=1:5,2:3 (each with its last).
func (s *theatre) history(options map[string]string) (*History, znode.Zxid) {
	h := NewHistory(0, 1000, 1<<20)
	for _, end := range strings.Split(options["log"]+","+options["last"], ",") {
		if end == "" || s.zxid(end) == 0 {
			continue
		}
		z := s.zxid(end)
		for c := znode.MakeZxid(z.Epoch(), 1); c <= z; c++ {
			require.NoError(s.t, h.Add(s.record(short(c))))
		}
	}
	last := h.Last()
	if from, ok := options["remembers"]; ok {
		short := NewHistory(s.zxid(from), 1000, 1<<20)
		for i := h.After(s.zxid(from)); i < h.Len(); i++ {
			require.NoError(s.t, short.Add(h.At(i)))
		}
		h = short
	}
	return h, last
}

func (s *theatre) members(voters, observers string) *quorum.Config {
	c := &quorum.Config{}
	for i, list := range []string{voters, observers} {
		for _, id := range strings.Split(list, ",") {
			if id != "" {
				c.Members = append(c.Members, quorum.Member{ID: packet.ServerID(s.number(id)), Observer: i == 1})
			}
		}
	}
	return c
}

// options are words: key=value, and flags.
func (s *theatre) options(words []string) map[string]string {
	m := map[string]string{}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		m[key] = value
	}
	return m
}

func (s *theatre) number(text string) int64 {
	n, err := strconv.ParseInt(text, 0, 64)
	require.NoError(s.t, err)
	return n
}

func (s *theatre) zxid(text string) znode.Zxid {
	epoch, counter, ok := strings.Cut(text, ":")
	require.True(s.t, ok, "%q is no zxid", text)
	return znode.MakeZxid(uint32(s.number(epoch)), uint32(s.number(counter)))
}

func (s *theatre) record(zxid string) Record {
	return Record{Zxid: s.zxid(zxid), Payload: []byte("transaction " + zxid)}
}

func short(z znode.Zxid) string {
	if z == -1 {
		return "-1"
	}
	return fmt.Sprintf("%d:%d", z.Epoch(), z.Counter())
}

// describe is an effect in a line.
func describe(e *Effect, learner bool) string {
	to := ""
	if !learner {
		to = fmt.Sprintf(" to %d", e.Link)
	}
	switch e.Kind {
	case Send:
		return fmt.Sprintf("send%s %s", to, describePacket(&e.Packet))
	case Pass:
		return "pass " + describePacket(&e.Packet)
	case Close:
		return fmt.Sprintf("close %d: %s", e.Link, cause(e.Err))
	case Abdicate, Abandon:
		return fmt.Sprintf("%v: %s", e.Kind, cause(e.Err))
	case SaveAcceptedEpoch, SaveCurrentEpoch:
		return fmt.Sprintf("%v %d", e.Kind, e.Epoch)
	case Established:
		return fmt.Sprintf("established %d", e.Epoch)
	case TakeSnapshot:
		return fmt.Sprintf("take snapshot for %d", e.Link)
	case Confirmed:
		return fmt.Sprintf("confirmed %d", e.Round)
	case Append:
		return "append " + short(e.Record.Zxid)
	}
	return fmt.Sprintf("%v %s", e.Kind, short(e.Zxid))
}

func cause(err error) string {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err.Error()
	}
	s := e.Kind.Error()
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	return s
}

func describePacket(p *packet.Packet) string {
	s := p.Type.String()
	if p.Type != packet.TypeUpToDate {
		s += " " + short(p.Zxid)
	}
	switch {
	case p.Type == packet.TypeAckEpoch:
		s += fmt.Sprintf(" epoch=%d", int32(binary.BigEndian.Uint32(p.Data)))
	case p.Type == packet.TypePing && len(p.Data) == 8:
		s += fmt.Sprintf(" answers=%d", binary.BigEndian.Uint64(p.Data))
	case p.Type == packet.TypePing && p.Data == nil:
		s += " null"
	case p.Type == packet.TypeNewLeader && p.Data != nil:
		s += " with configuration"
	}
	return s
}
