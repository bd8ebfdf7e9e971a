package client_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// minority is a server that has no majority and only reads, as Apache's do with readonlymode.enabled: what they answer, written down, since
// ours have no such mode. The integration tests use theirs.
type minority struct {
	takes   bool   // sessions that others opened too: Apache's did so before 3.7
	refuses bool   // to open sessions: Apache's do unless localSessionsEnabled is set
	hangsUp bool   // on each client, once it has a session
	isro    string // the answer to isro, if not "ro"
	writes  int32  // the answer to writes, if not -119
}

func (m *minority) Dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() { // ends with the pipe
		defer far.Close()
		m.serve(far)
	}()
	return near, nil
}

func (m *minority) serve(conn net.Conn) {
	word := make([]byte, 4)
	if _, err := io.ReadFull(conn, word); err != nil {
		return
	}
	if string(word) == "isro" {
		_, _ = io.WriteString(conn, cmp.Or(m.isro, "ro"))
		return
	}
	greeting := make([]byte, binary.BigEndian.Uint32(word))
	if _, err := io.ReadFull(conn, greeting); err != nil {
		return
	}
	if len(greeting) != 45 || greeting[44] != 1 || m.isro == "rw" {
		return // version 4, zxid 8, timeout 4, session 8, password 20, read-only 1; or it does what is refused in silence
	}
	timeout, id := binary.BigEndian.Uint32(greeting[12:]), binary.BigEndian.Uint64(greeting[16:])
	switch {
	case id == 0 && m.refuses:
		_, _ = conn.Write(reply(0, -119, nil))
		_, _ = io.Copy(io.Discard, conn)
		return
	case id == 0:
		id = 0x5e55
	case id != 0x5e55 && !m.takes:
		return
	}
	answer := binary.BigEndian.AppendUint32(make([]byte, 4), timeout)
	answer = binary.BigEndian.AppendUint64(answer, id)
	answer = append(append(binary.BigEndian.AppendUint32(answer, 16), greeting[28:44]...), 1)
	if _, err := conn.Write(framed(answer)); err != nil || m.hangsUp {
		return
	}
	for {
		if _, err := io.ReadFull(conn, word); err != nil {
			return
		}
		request := make([]byte, binary.BigEndian.Uint32(word))
		if _, err := io.ReadFull(conn, request); err != nil {
			return
		}
		if _, err := conn.Write(m.answer(request)); err != nil {
			return
		}
	}
}

func (m *minority) answer(request []byte) []byte {
	xid, op := int32(binary.BigEndian.Uint32(request)), int32(binary.BigEndian.Uint32(request[4:]))
	stat := make([]byte, 68)
	switch op {
	case 3: // exists
		return reply(xid, 0, stat)
	case 4: // getData
		return reply(xid, 0, append([]byte("\x00\x00\x00\x03old"), stat...))
	case 12: // getChildren with Stat
		return reply(xid, 0, append(make([]byte, 4), stat...))
	case 11, 100, -11: // ping, auth, closeSession
		if op == -11 && m.takes {
			return reply(xid, -119, nil)
		}
		return reply(xid, 0, nil)
	}
	return reply(xid, cmp.Or(m.writes, -119), nil)
}

func reply(xid, code int32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(xid))
	b = binary.BigEndian.AppendUint64(b, 1)
	return framed(append(binary.BigEndian.AppendUint32(b, uint32(code)), body...))
}

func framed(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// hosts are servers at addresses, where one may stand instead of another at any time.
type hosts struct {
	mu      sync.Mutex
	at      map[string]dialer
	conns   map[string][]net.Conn
	dials   int
	dialing int // at this moment
	most    int // of dialing
}

type dialer interface {
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// dial takes its time, so that two at once would be seen.
func (h *hosts) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	h.mu.Lock()
	h.dials++
	h.dialing++
	h.most = max(h.most, h.dialing)
	h.mu.Unlock()
	time.Sleep(20 * time.Millisecond)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dialing--
	d := h.at[addr]
	if d == nil {
		return nil, errDown
	}
	conn, err := d.Dial(ctx, network, addr)
	if err == nil {
		h.conns[addr] = append(h.conns[addr], conn)
	}
	return conn, err
}

// put replaces who is at an address, and ends the connections to who was. nil is nobody.
func (h *hosts) put(addr string, d dialer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at[addr] = d
	for _, conn := range h.conns[addr] {
		conn.Close()
	}
	delete(h.conns, addr)
}

func (h *hosts) dialed() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dials
}

// startMajority starts a server that is one by itself, and says so when it is asked.
func startMajority(t *testing.T) *ensemble.Server {
	t.Helper()
	return startServer(t, &ensemble.Options{FourLetterWords: []string{"isro"}})
}

const readOnlyTimeout = 12 * time.Second

// connectAmong opens a client of the servers a:1, b:1 and so on, which are those given. The test's end closes it.
func connectAmong(t *testing.T, o client.Options, servers ...dialer) (*client.Client, *hosts, error) {
	t.Helper()
	h := &hosts{at: map[string]dialer{}, conns: map[string][]net.Conn{}}
	list := ""
	for i, s := range servers {
		addr := string(rune('a'+i)) + ":1"
		list += addr + ","
		if s != nil {
			h.at[addr] = s
		}
	}
	o.SessionTimeout, o.Dialer = readOnlyTimeout, h.dial
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := client.Connect(ctx, list, &o)
	if err == nil {
		t.Cleanup(func() {
			c.Close()
			require.Equal(t, 1, h.most, "the Dialer was called by two at once")
		})
	}
	return c, h, err
}

func mustConnectAmong(t *testing.T, servers ...dialer) (*client.Client, *hosts) {
	t.Helper()
	c, h, err := connectAmong(t, client.Options{ReadOnly: true, Auth: []client.Auth{{Scheme: "digest", Credential: []byte("a:b")}}}, servers...)
	require.NoError(t, err)
	return c, h
}

// mustBecome waits for a state and returns the change, and those it came by.
func mustBecome(t *testing.T, c *client.Client, state client.State, within time.Duration) client.StateChange {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for change := range c.States(ctx) {
		if change.State == state {
			return change
		}
	}
	require.FailNow(t, "the state has not come", "%v within %v; it is %v", state, within, c.State())
	return client.StateChange{}
}

// statesOf collects the states of a client until the end of the test.
func statesOf(t *testing.T, c *client.Client) func() []client.State {
	var mu sync.Mutex
	var seen []client.State
	go func() { // ends with the test
		for change := range c.States(t.Context()) {
			mu.Lock()
			seen = append(seen, change.State)
			mu.Unlock()
		}
	}()
	synctest.Wait()
	return func() []client.State {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

// A server without a majority is taken by who asks for it, and turns everybody else away.
func TestReadOnlyIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := connectAmong(t, client.Options{}, &minority{})
		require.ErrorIs(t, err, context.DeadlineExceeded)

		r := &recorder{}
		c, h, err := connectAmong(t, client.Options{ReadOnly: true, MeterProvider: meters{recorder: r}}, nil, &minority{}, nil)
		require.NoError(t, err)
		require.Equal(t, client.StateReadOnly, c.State())
		require.Equal(t, "read-only", c.State().String())
		time.Sleep(10 * time.Minute)
		require.Equal(t, client.StateReadOnly, c.State(), "it is asked for pings as long as need be")
		require.Equal(t, 1, c.Session().Generation())
		require.Greater(t, h.dialed(), 3*10*60/3, "each asked every other second")
		require.Less(t, h.dialed(), 3*10*60)
		require.Equal(t, []float64{1}, r.values("db.client.connection.count"), "it is one, and stays")
	})
}

// What takes a majority fails at once, and has not happened; reads are answered.
func TestReadOnlyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c, _ := mustConnectAmong(t, &minority{})
		data, _, err := c.Get(ctx, "/a")
		require.NoError(t, err)
		require.Equal(t, "old", string(data))
		_, exists, err := c.Exists(ctx, "/a")
		require.NoError(t, err)
		require.True(t, exists)
		names, _, err := c.Children(ctx, "/a")
		require.NoError(t, err)
		require.Empty(t, names)
		require.NoError(t, c.AddAuth(ctx, "digest", []byte("c:d")))
		for name, write := range map[string]func() error{
			"create":    func() error { _, err := c.Create(ctx, "/a/b", nil, nil); return err },
			"protected": func() error { _, err := c.Create(ctx, "/a/b", nil, &client.CreateOptions{Protected: true}); return err },
			"parents": func() error {
				_, err := c.Create(ctx, "/a/b", nil, &client.CreateOptions{Parents: client.ContainerParents})
				return err
			},
			"delete": func() error { return c.Delete(ctx, "/a", client.AnyVersion) },
			"set":    func() error { _, err := c.Set(ctx, "/a", nil, client.AnyVersion); return err },
			"acl":    func() error { _, err := c.SetACL(ctx, "/a", client.WorldACL(client.PermAll), 0); return err },
			"multi":  func() error { _, err := c.Multi(ctx, client.DeleteOp("/a", 0)); return err },
			"sync":   func() error { return c.Sync(ctx, "/a") },
			"keep":   func() error { _, err := c.Session().Keep(ctx); return err },
		} {
			begun := time.Now()
			err := write()
			require.ErrorIs(t, err, client.ErrNotReadOnly, name)
			require.NotErrorIs(t, err, client.ErrUnknown, name)
			require.Less(t, time.Since(begun), time.Second, name)
		}
		require.True(t, c.Session().Deadline().IsZero())
		begun := time.Now()
		require.NoError(t, c.Close(), "it ends its sessions")
		require.Less(t, time.Since(begun), time.Second)
	})
}

// Once there is a majority the client goes there, and the session that nobody there knows is over.
func TestReadOnlyFindsTheMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c, h := mustConnectAmong(t, nil, &minority{}, nil)
		states := statesOf(t, c)
		old := c.Session()
		_, _, watch, err := c.GetW(ctx, "/zookeeper")
		require.NoError(t, err)
		var seen []string
		following, leave := context.WithCancel(ctx)
		var loop sync.WaitGroup
		loop.Go(func() {
			for node := range c.WatchNode(following, "/zookeeper") {
				seen = append(seen, string(node.Data))
			}
		})
		time.Sleep(time.Hour)
		h.put("c:1", startMajority(t))
		begun := time.Now()
		s := mustBecome(t, c, client.StateReconnected, 10*time.Second).Session
		require.Less(t, time.Since(begun), 4*time.Second, "the longest pause and the way there")
		require.Equal(t, 2, s.Generation())
		require.ErrorIs(t, old.Err(), client.ErrSessionExpired)
		require.ErrorContains(t, old.Err(), "no other knows it")
		_, err = watch.Wait(ctx)
		require.ErrorIs(t, err, client.ErrSessionExpired)
		_, err = c.Create(ctx, "/a", nil, nil)
		require.NoError(t, err)
		time.Sleep(time.Second)
		leave()
		loop.Wait()
		require.Equal(t, []string{"old", ""}, seen, "the loop goes on in the next session")
		dials := h.dialed()
		time.Sleep(time.Hour)
		require.Equal(t, dials, h.dialed(), "nobody looks for what is there")
		require.Equal(t, []client.State{client.StateReadOnly, client.StateLost, client.StateReconnected}, states())
	})
}

// A session that a majority opened goes on, if the servers let it and one with a majority is found in time.
func TestReadOnlyKeepsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		majority := startMajority(t)
		c, h := mustConnectAmong(t, majority, nil)
		states := statesOf(t, c)
		s := c.Session()
		mustCreate(t, c, "/e", &client.CreateOptions{Mode: client.Ephemeral})
		_, _, watch, err := c.GetW(ctx, "/e")
		require.NoError(t, err)
		h.put("b:1", &minority{takes: true})
		h.put("a:1", nil)
		require.Same(t, s, mustBecome(t, c, client.StateReadOnly, 4*time.Second).Session)
		event, err := watch.Wait(ctx)
		require.NoError(t, err)
		require.Equal(t, client.EventReconnected, event.Type)
		time.Sleep(2 * time.Second)
		h.put("a:1", majority)
		require.Same(t, s, mustBecome(t, c, client.StateReconnected, 4*time.Second).Session)
		stat, exists, err := c.Exists(ctx, "/e")
		require.NoError(t, err)
		require.True(t, exists)
		require.Equal(t, s.ID(), stat.EphemeralOwner)
		time.Sleep(time.Hour)
		require.NoError(t, s.Err())
		require.Equal(t, []client.State{
			client.StateConnected, client.StateSuspended, client.StateReadOnly, client.StateSuspended, client.StateReconnected,
		}, states())
	})
}

// What a server without a majority says is no sign of life: the majority, wherever it is, ends the session.
func TestReadOnlyIsNoSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := mustConnectAmong(t, startMajority(t), nil)
		states := statesOf(t, c)
		s := c.Session()
		time.Sleep(time.Hour)
		h.put("b:1", &minority{takes: true})
		h.put("a:1", nil)
		begun := time.Now()
		mustBecome(t, c, client.StateReadOnly, 4*time.Second)
		<-s.Context().Done()
		require.LessOrEqual(t, time.Since(begun), readOnlyTimeout)
		require.GreaterOrEqual(t, time.Since(begun), readOnlyTimeout*2/3)
		require.ErrorContains(t, s.Err(), "no majority answered")
		next, err := c.AwaitSession(t.Context())
		require.NoError(t, err)
		require.NotSame(t, s, next)
		require.Equal(t, []client.State{
			client.StateConnected, client.StateSuspended, client.StateReadOnly, client.StateLost, client.StateReadOnly,
		}, states())
	})
}

// A session that is kept ends at the same moment as if no server had been found, whatever this one answers to writes.
func TestReadOnlyProlongsNoLease(t *testing.T) {
	for name, m := range map[string]*minority{"refused": {takes: true}, "answered": {takes: true, writes: -103}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, h := mustConnectAmong(t, startMajority(t), nil)
				s := c.Session()
				release, err := s.Keep(t.Context())
				require.NoError(t, err)
				defer release()
				time.Sleep(time.Hour)
				h.put("b:1", m)
				h.put("a:1", nil)
				deadline := s.Deadline()
				mustBecome(t, c, client.StateReadOnly, time.Until(deadline))
				time.Sleep(time.Until(deadline) - 1)
				require.NoError(t, s.Err())
				<-s.Context().Done()
				require.Equal(t, deadline, time.Now())
			})
		})
	}
}

// Apache's servers open no sessions while they only read, unless they have local ones. Nobody mistakes the answer for a session.
func TestReadOnlyWithoutSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := connectAmong(t, client.Options{ReadOnly: true}, &minority{refuses: true})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, client.ErrNotReadOnly, "the reason")

		majority := startMajority(t)
		c, h := mustConnectAmong(t, majority, nil)
		s := c.Session()
		h.put("b:1", &minority{refuses: true})
		h.put("a:1", nil)
		time.Sleep(readOnlyTimeout / 2)
		require.Equal(t, client.StateSuspended, c.State())
		h.put("a:1", majority)
		require.Same(t, s, mustBecome(t, c, client.StateReconnected, 4*time.Second).Session)
	})
}

// To close a session that others opened takes a majority.
func TestReadOnlyEndsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := mustConnectAmong(t, startMajority(t), nil)
		h.put("b:1", &minority{takes: true})
		h.put("a:1", nil)
		mustBecome(t, c, client.StateReadOnly, 4*time.Second)
		require.ErrorIs(t, c.Close(), client.ErrUnknown)
	})
}

// The search is for the time of one connection, and the next one waits until the Dialer is free: connectAmong sees to that.
func TestReadOnlyDialsOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h, err := connectAmong(t, client.Options{ReadOnly: true, Reconnect: constantly(time.Millisecond)}, startMajority(t), nil)
		require.NoError(t, err)
		s := c.Session()
		m := &minority{takes: true}
		h.put("b:1", m)
		h.put("a:1", nil)
		for i := range 50 {
			mustBecome(t, c, client.StateReadOnly, time.Second)
			time.Sleep(time.Duration(i) * time.Millisecond)
			h.put("b:1", m)
			synctest.Wait()
		}
		require.NoError(t, s.Err())
	})
}

func constantly(d time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff { return backoff.NewConstantBackOff(d) }
}

// Servers that let the client in and put it out again, or say that they have a majority and do not take it, are asked ever less.
func TestReadOnlyDoesNotRunInCircles(t *testing.T) {
	for name, servers := range map[string][]dialer{
		"put out":        {&minority{hangsUp: true}},
		"sent about":     {&minority{}, &minority{isro: "rw"}},
		"in one session": {&minority{takes: true}, &minority{isro: "rw"}, (*ensemble.Server)(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				own := len(servers) == 3
				if own {
					servers[2] = startMajority(t)
				}
				_, h, err := connectAmong(t, client.Options{ReadOnly: true}, servers...)
				require.NoError(t, err)
				if own {
					h.put("c:1", nil)
				}
				for range 6 {
					dials := h.dialed()
					time.Sleep(10 * time.Second)
					require.Less(t, h.dialed()-dials, 100)
				}
			})
		})
	}
}
