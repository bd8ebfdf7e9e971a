package link_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/link"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// An auditor is a Handler that knows what may be heard when: one Opened, what was sent in its order without a gap, one Closed; one end
// of each dial.
type auditor struct {
	t *testing.T

	mu     sync.Mutex
	links  map[*link.Conn]*audited
	dials  int // begun and not ended
	closed int
	most   znode.Zxid
}

type audited struct {
	next znode.Zxid
	over bool
}

func newAuditor(t *testing.T) *auditor { return &auditor{t: t, links: map[*link.Conn]*audited{}} }

func (a *auditor) Opened(c *link.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.links[c] != nil {
		a.t.Errorf("%d opened twice", c.ID())
	}
	a.links[c] = &audited{next: 1}
	if _, dialled := c.Leader(); dialled {
		a.dials--
	}
}

// of is what is known of c, which must be open.
func (a *auditor) of(c *link.Conn) *audited {
	l := a.links[c]
	if l == nil || l.over {
		a.t.Errorf("%d is heard of and not open", c.ID())
		return &audited{}
	}
	return l
}

func (a *auditor) Received(c *link.Conn, batch []packet.Packet) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.of(c)
	for i := range batch {
		if batch[i].Type == packet.TypeFollowerInfo {
			continue
		}
		a.sees(c, l, batch[i].Zxid)
	}
}

func (a *auditor) sees(c *link.Conn, l *audited, zxid znode.Zxid) {
	if zxid != l.next {
		a.t.Errorf("%d hears %v instead of %v", c.ID(), zxid, l.next)
	}
	l.next = zxid + 1
	a.most = max(a.most, zxid)
}

// Snapshot reads a stream that begins with its length and ends with the packet's zxid.
func (a *auditor) Snapshot(c *link.Conn, zxid znode.Zxid, data []byte, r io.Reader) error {
	buf := make([]byte, int(data[0])<<8|int(data[1]))
	if _, err := io.ReadFull(r, buf); err != nil {
		return err
	}
	for i, b := range buf {
		if b != byte(i) {
			a.t.Errorf("%d: the snapshot of %v is not what was sent", c.ID(), zxid)
			break
		}
	}
	return nil
}

func (a *auditor) Progress(*link.Conn) {}

func (a *auditor) Closed(c *link.Conn, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.t.Errorf("%d closed for no reason", c.ID())
	}
	a.of(c).over = true
	a.closed++
}

func (a *auditor) Failed(packet.ServerID, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dials--
}

func (a *auditor) open() []*link.Conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	var open []*link.Conn
	for c, l := range a.links {
		if !l.over {
			open = append(open, c)
		}
	}
	return open
}

// A talker sends numbered packets and snapshots on one link.
type talker struct {
	c    *link.Conn
	last znode.Zxid
}

func (s *talker) talk(rng *rand.Rand) {
	for range rng.IntN(20) {
		s.last++
		p := packet.Packet{Type: packet.TypeProposal, Zxid: s.last, Data: make([]byte, rng.IntN(3000))}
		if _, dialled := s.c.Leader(); dialled || rng.IntN(10) > 0 {
			s.c.Send(&p)
			continue
		}
		length := rng.IntN(1 << 13)
		p.Type, p.Data = packet.TypeSnap, []byte{byte(length >> 8), byte(length)}
		s.c.Send(&p)
		_ = s.c.SendStream(func(w io.Writer) error {
			buf := make([]byte, length)
			for i := range buf {
				buf[i] = byte(i)
			}
			_, err := w.Write(buf)
			return err
		})
	}
	s.c.Flush()
}

// Under any faults each link shows its handler a prefix of what was sent, in order, and one end; and after all of them are gone
// nothing is left.
func TestLinksUnderFaults(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { linksUnderFaults(t, rand.New(rand.NewPCG(seed, 3))) })
		})
	}
}

func linksUnderFaults(t *testing.T, rng *rand.Rand) {
	p := newPair(t, link.Limits{WriteTimeout: 2 * time.Second, MaxOutput: 4 << 20})
	atLeader, atLearner := newAuditor(t), newAuditor(t)
	l, err := p.network.Listen("10.0.0.1:2889")
	require.NoError(t, err)
	leaders := link.NewLinks(link.LinksOptions{Listener: l, Handler: atLeader, Limits: link.Limits{WriteTimeout: 2 * time.Second}})
	learners := link.NewLinks(link.LinksOptions{Dial: p.dialer("10.0.0.2"), Handler: atLearner, Limits: link.Limits{WriteTimeout: 2 * time.Second}})
	leaders.Serve(true)
	talkers := map[*link.Conn]*talker{}
	for range 100 {
		switch rng.IntN(12) {
		case 0, 1:
			if len(atLearner.open()) > 3 {
				break
			}
			atLearner.mu.Lock()
			atLearner.dials++
			atLearner.mu.Unlock()
			learners.Dial(t.Context(), 1, l.Addr().String())
		case 2:
			p.network.Cut("10.0.0.1", "10.0.0.2")
		case 3:
			p.network.Delay("10.0.0.2", "10.0.0.1", time.Duration(rng.IntN(300))*time.Millisecond)
		case 4, 5:
			p.network.Heal("", "")
		case 6:
			if rng.IntN(4) == 0 {
				p.network.Reset("10.0.0.1", "10.0.0.2")
			}
		case 7:
			if rng.IntN(10) == 0 {
				leaders.Serve(false)
				leaders.Serve(rng.IntN(2) == 0)
			} else {
				leaders.Serve(true)
			}
		case 8:
			if rng.IntN(3) == 0 {
				for _, c := range append(atLeader.open(), atLearner.open()...) {
					c.Close(errors.New("at random"))
					break
				}
			}
		}
		for _, c := range append(atLeader.open(), atLearner.open()...) {
			s := talkers[c]
			if s == nil {
				s = &talker{c: c}
				talkers[c] = s
				if _, dialled := c.Leader(); dialled {
					c.Send(&followerInfo)
				}
			}
			s.talk(rng)
		}
		time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
		if rng.IntN(4) == 0 {
			synctest.Wait()
		}
	}
	p.network.Heal("", "")
	time.Sleep(10 * time.Second)
	leaders.Close()
	synctest.Wait()
	learners.Close()
	require.Empty(t, atLeader.open())
	require.Empty(t, atLearner.open())
	require.Zero(t, atLearner.dials)
	require.Positive(t, atLearner.most)
	require.Positive(t, atLeader.most)
	require.Positive(t, atLeader.closed)
}

// Everything at once, in real time, for the race detector.
func TestCloseRaces(t *testing.T) {
	for seed := range uint64(10) {
		p := newPair(t, link.Limits{})
		atLeader, atLearner := newAuditor(t), newAuditor(t)
		l, err := p.network.Listen("10.0.0.1:2889")
		require.NoError(t, err)
		leaders := link.NewLinks(link.LinksOptions{Listener: l, Handler: atLeader})
		learners := link.NewLinks(link.LinksOptions{Dial: p.dialer("10.0.0.2"), Handler: atLearner})
		leaders.Serve(true)
		var all sync.WaitGroup
		atLearner.dials = 8
		for range 8 {
			all.Go(func() { learners.Dial(t.Context(), 1, l.Addr().String()) })
		}
		for g := range uint64(4) {
			all.Go(func() {
				rng := rand.New(rand.NewPCG(seed, g))
				for range 200 {
					for _, c := range atLearner.open() {
						switch rng.IntN(8) {
						case 0:
							_ = c.SendStream(func(w io.Writer) error { _, err := w.Write(followerInfo.AppendJute(nil)); return err })
						case 1:
							c.Flush()
						case 2:
							if rng.IntN(50) == 0 {
								c.Close(nil)
							}
						default:
							c.Send(&followerInfo)
						}
					}
				}
			})
		}
		all.Go(func() { leaders.Serve(false); leaders.Serve(true) })
		all.Wait()
		all.Go(leaders.Close)
		all.Go(learners.Close)
		all.Go(learners.Close)
		all.Wait()
		require.Empty(t, atLearner.open())
		require.Empty(t, atLeader.open())
		require.Zero(t, atLearner.dials)
		p.leader.Close()
		p.learner.Close()
	}
}
