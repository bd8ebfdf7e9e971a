package link_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/ensemble/internal/link"
	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A diary is a Handler that writes down what it hears.
type diary struct {
	snapshot func(c *link.Conn, data []byte, r io.Reader) error // nil: a snapshot is an error
	received func(c *link.Conn, p *packet.Packet)               // called for each packet, if not nil

	mu       sync.Mutex
	lines    []string
	conns    []*link.Conn
	progress int
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) Opened(c *link.Conn) {
	d.note("%d opened", c.ID())
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns = append(d.conns, c)
}

func (d *diary) Received(c *link.Conn, batch []packet.Packet) {
	for i := range batch {
		if d.received != nil {
			d.received(c, &batch[i])
		} else {
			d.note("%d %v", c.ID(), &batch[i])
		}
	}
}

func (d *diary) Snapshot(c *link.Conn, zxid znode.Zxid, data []byte, r io.Reader) error {
	if d.snapshot == nil {
		return errors.New("no snapshot was expected")
	}
	d.note("%d snapshot %v", c.ID(), zxid)
	return d.snapshot(c, data, r)
}

func (d *diary) Progress(*link.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.progress++
}

func (d *diary) Closed(c *link.Conn, err error) { d.note("%d closed: %v", c.ID(), err) }

func (d *diary) Failed(leader packet.ServerID, err error) {
	d.note("server %d failed: %v", leader, err)
}

// made is how often there was progress.
func (d *diary) made() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.progress
}

// read returns what was written since the last call.
func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.lines
	d.lines = nil
	return lines
}

// last is the link opened last.
func (d *diary) last(t testing.TB) *link.Conn {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	require.NotEmpty(t, d.conns, "no link was opened")
	return d.conns[len(d.conns)-1]
}

// A pair is a leader and a learner that are not connected yet.
type pair struct {
	t               testing.TB
	network         *memnet.Network
	addr            string
	leader, learner *link.Links
	atLeader        diary
	atLearner       diary
}

func newPair(t testing.TB, limits link.Limits) *pair {
	p := &pair{t: t, network: new(memnet.Network)}
	l, err := p.network.Listen("10.0.0.1:2888")
	require.NoError(t, err)
	p.addr = l.Addr().String()
	p.leader = link.NewLinks(link.LinksOptions{Listener: l, Handler: &p.atLeader, Limits: limits})
	p.learner = link.NewLinks(link.LinksOptions{Dial: p.dialer("10.0.0.2"), Handler: &p.atLearner, Limits: limits})
	t.Cleanup(func() {
		p.leader.Close()
		p.learner.Close()
	})
	return p
}

func (p *pair) dialer(from string) link.Dialer {
	return func(ctx context.Context, addr string) (net.Conn, error) { return p.network.DialFrom(ctx, from, addr) }
}

// stranger is a connection to the leader that is not one of ours.
func (p *pair) stranger() net.Conn {
	p.t.Helper()
	nc, err := p.network.DialFrom(p.t.Context(), "10.0.0.66", p.addr)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = nc.Close() })
	return nc
}

// mustFlow sends a packet each way.
func (p *pair) mustFlow(learner, leader *link.Conn) {
	p.t.Helper()
	p.atLearner.read()
	p.atLeader.read()
	learner.Send(&packet.Packet{Type: packet.TypeAck, Zxid: 99})
	learner.Flush()
	leader.Send(&packet.Packet{Type: packet.TypeCommit, Zxid: 100})
	leader.Flush()
	synctest.Wait()
	require.Equal(p.t, []string{fmt.Sprintf("%d ACK 0x63", leader.ID())}, p.atLeader.read())
	require.Equal(p.t, []string{fmt.Sprintf("%d COMMIT 0x64", learner.ID())}, p.atLearner.read())
}

// mustEnd waits for the other side to close.
func mustEnd(t testing.TB, nc net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, nc)
	if err != nil {
		require.ErrorIs(t, err, syscall.ECONNRESET)
	}
}

var followerInfo = packet.Packet{Type: packet.TypeFollowerInfo, Data: make([]byte, 20)}

// connect makes a link and returns both ends.
func (p *pair) connect() (learner, leader *link.Conn) {
	p.t.Helper()
	p.leader.Serve(true)
	p.learner.Dial(p.t.Context(), 1, p.addr)
	synctest.Wait()
	learner = p.atLearner.last(p.t)
	learner.Send(&followerInfo)
	learner.Flush()
	synctest.Wait()
	leader = p.atLeader.last(p.t)
	p.atLearner.read()
	p.atLeader.read()
	return learner, leader
}

func bubble(t *testing.T, test func(t *testing.T)) { synctest.Test(t, test) }

func TestPacketsBothWays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{})
		p.leader.Serve(true)
		p.learner.Dial(t.Context(), 1, p.addr)
		synctest.Wait()
		require.Equal(t, []string{"1 opened"}, p.atLearner.read())
		require.Empty(t, p.atLeader.read(), "nobody has said who it is")
		learner := p.atLearner.last(t)
		id, dialled := learner.Leader()
		require.Equal(t, packet.ServerID(1), id)
		require.True(t, dialled)

		learner.Send(&followerInfo)
		synctest.Wait()
		require.Empty(t, p.atLeader.read(), "nothing leaves before it is flushed")
		learner.Send(&packet.Packet{Type: packet.TypeAckEpoch, Zxid: 7, Data: make([]byte, 4)})
		learner.Flush()
		synctest.Wait()
		require.Equal(t, []string{"1 opened", "1 FOLLOWERINFO 0x0 20 bytes", "1 ACKEPOCH 0x7 4 bytes"}, p.atLeader.read())
		leader := p.atLeader.last(t)
		_, dialled = leader.Leader()
		require.False(t, dialled)
		require.Equal(t, "10.0.0.2", host(leader.Remote()))

		for z := range znode.Zxid(1000) {
			leader.Send(&packet.Packet{Type: packet.TypeCommit, Zxid: z})
		}
		leader.Flush()
		synctest.Wait()
		got := p.atLearner.read()
		require.Len(t, got, 1000)
		require.Equal(t, "1 COMMIT 0x3e7", got[999])

		leader.Close(nil)
		synctest.Wait()
		require.Equal(t, []string{"1 closed: link: closed"}, p.atLeader.read())
		require.Equal(t, []string{"1 closed: EOF"}, p.atLearner.read())
		learner.Send(&followerInfo)
		learner.Flush()
		require.ErrorIs(t, learner.SendStream(nil), io.EOF)
	})
}

func host(a net.Addr) string {
	h, _, _ := net.SplitHostPort(a.String())
	return h
}

// A snapshot goes between the packets before and those behind, however it is cut into pieces.
func TestSnapshotBetweenPackets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{})
		_, leader := p.connect()
		image := bytes.Repeat([]byte("0123456789"), 100_000)
		p.atLearner.snapshot = func(c *link.Conn, data []byte, r io.Reader) error {
			require.Equal(t, "digest", string(data))
			got := make([]byte, len(image))
			for rest := got; len(rest) > 0; {
				n, err := r.Read(rest[:min(len(rest), 7)])
				if err != nil {
					return err
				}
				rest = rest[n:]
			}
			require.Equal(t, image, got)
			return nil
		}
		leader.Send(&packet.Packet{Type: packet.TypeSnap, Zxid: 5, Data: []byte("digest")})
		require.NoError(t, leader.SendStream(func(w io.Writer) error {
			for rest := image; len(rest) > 0; {
				n, err := w.Write(rest[:min(len(rest), 999)])
				if err != nil {
					return err
				}
				rest = rest[n:]
			}
			return nil
		}))
		leader.Send(&packet.Packet{Type: packet.TypeNewLeader, Zxid: 6})
		leader.Flush()
		synctest.Wait()
		require.Equal(t, []string{"1 SNAP 0x5 6 bytes", "1 snapshot 0x5", "1 NEWLEADER 0x6"}, p.atLearner.read())
		require.Equal(t, 1, p.atLearner.made(), "in no time at all, once")
		require.Equal(t, 1, p.atLeader.made())
		leader.Send(&packet.Packet{Type: packet.TypeUpToDate})
		leader.Flush()
		synctest.Wait()
		require.Equal(t, []string{"1 UPTODATE 0x0"}, p.atLearner.read())
	})
}
