package server

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// stall makes the disk hang in every call of a kind until the function it returns is called.
func (r *rig) stall(kind disk.OpKind) (release func()) {
	hold := make(chan struct{})
	r.fs.SetFault(func(op disk.Op) disk.Fault {
		if op.Kind == kind {
			<-hold
		}
		return disk.Fault{}
	})
	return func() {
		r.fs.SetFault(nil)
		close(hold)
	}
}

// reattach takes u's session over to a connection of its own.
func (u *user) reattach() (*user, error) {
	o := u.options()
	o.Session, o.Password = u.Session(), u.Password()
	c, err := rawclient.Dial(u.Context(), o)
	return &user{u.rig, c}, err
}

func (u *user) mustReattach() *user {
	u.Helper()
	again, err := u.reattach()
	require.NoError(u, err)
	return again
}

func TestStalledDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u, other := r.mustDial(), r.mustDial()
		u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
		u.mustCall(wire.OpExists, &wire.WatchRequest{Path: "/a", Watch: true})
		release := r.stall(disk.OpSync)
		const n = 300
		for i := range n {
			u.Send(wire.OpSetData, set("/a", fmt.Sprint(i)))
		}
		require.NoError(t, u.Flush(t.Context()))
		for range 100 { // ten times its session's timeout
			time.Sleep(tick)
			require.Equal(t, "d", other.data("/a"), "reads go on, and see nothing that may still be lost")
			u.Send(wire.OpPing, nil)
			require.NoError(t, u.Flush(t.Context()))
		}
		require.Contains(t, r.word("srvr"), "Outstanding: 300\n")
		require.Contains(t, r.word("dump"), "Session Sets (")
		release()
		m, err := u.Receive(t.Context())
		require.NoError(t, err)
		require.NotNil(t, m.Event(), "nothing was said before the disk was back, and the event is first")
		for i := range n {
			m, err := u.Receive(t.Context())
			require.NoError(t, err)
			require.NoError(t, m.Err())
			require.Equal(t, int32(i+1), m.Record.(*wire.StatResponse).Stat.Version)
		}
		require.Equal(t, fmt.Sprint(n-1), other.data("/a"))
	})
}

func TestCloseWaitsForAStalledDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u := r.mustDial()
		release := r.stall(disk.OpSync)
		u.Send(wire.OpCreate, create("/a", znode.ModePersistent))
		require.NoError(t, u.Flush(t.Context()))
		synctest.Wait()
		go func() { _ = r.Server.Close() }() // ends when the disk is back
		_, err := u.Receive(t.Context())
		require.ErrorIs(t, err, io.EOF, "clients are cut off at once")
		_, err = rawclient.Dial(t.Context(), r.options())
		require.Error(t, err)
		time.Sleep(time.Hour)
		select {
		case <-r.Done():
			t.Fatal("closed while its disk was at work")
		default:
		}
		release()
		<-r.Done()
		require.NoError(t, r.Err())
	})
}

func TestStalledDiskBoundsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil), func(c *Config) {
			c.Sweep = replica.Sweep{Interval: 1000, PerMinute: 60_000}
			c.Front.SessionlessTimeout = time.Second
		})
		u := r.mustDial()
		for i := range 10 {
			u.mustCall(wire.OpCreateContainer, create(fmt.Sprint("/c", i), znode.ModeContainer))
			u.mustCall(wire.OpCreate, create(fmt.Sprint("/c", i, "/child"), znode.ModePersistent))
			u.mustCall(wire.OpDelete, &wire.DeleteRequest{Path: fmt.Sprint("/c", i, "/child"), Version: -1})
		}
		release := r.stall(disk.OpSync)
		for range 3 * 1000 {
			c, err := r.net.Dial(t.Context(), "127.0.0.1:2181")
			require.NoError(t, err)
			b, start := wire.BeginFrame(nil)
			b = wire.EndFrame((&wire.ConnectRequest{Timeout: 1000, Password: make([]byte, wire.PasswordLen)}).AppendJute(b), start)
			_, err = c.Write(b)
			require.NoError(t, err)
			synctest.Wait()
			require.NoError(t, c.Close())
		}
		time.Sleep(time.Minute)
		waiting := 0
		r.inCore(func() { waiting = r.replica.Waiting() })
		require.LessOrEqual(t, waiting, 2*1000+10+1, "the sessions begun, their ends, the containers, and the end of u's")
		r.connsMu.RLock()
		require.Empty(t, r.conns)
		r.connsMu.RUnlock()
		release()
		u = r.mustDial()
		require.Equal(t, znode.CodeNoNode, u.code(wire.OpExists, &wire.WatchRequest{Path: "/c9"}))
	})
}

func TestReattachedSessionSeesItsEarlierWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u, other := r.mustDial(), r.mustDial()
		u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
		release := r.stall(disk.OpSync)
		u.Send(wire.OpSetData, set("/a", "new"))
		require.NoError(t, u.Flush(t.Context()))
		synctest.Wait()
		seen := make(chan string, 1)
		go func() { // ends when the disk is back
			again, err := u.reattach()
			if err != nil {
				seen <- err.Error()
				return
			}
			m, err := again.Call(t.Context(), wire.OpGetData, &wire.WatchRequest{Path: "/a"})
			if err != nil {
				seen <- err.Error()
				return
			}
			seen <- string(m.Record.(*wire.DataResponse).Data)
		}()
		synctest.Wait()
		require.Equal(t, "d", other.mustReattach().data("/a"), "who waits for no write does not wait for the disk")
		release()
		require.Equal(t, "new", <-seen, "what a session asked for on its last connection comes before what it asks on the next")
	})
}

func TestLateWritesOfACutOffConnectionAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u, other := r.mustDial(), r.mustDial()
		u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
		id, password := u.Session(), u.Password()
		r.inCore(func() { // as if the goroutine of the old connection had been held up just before it hands over
			old, next := r.speaker(id), r.speaker(other.Session())
			r.replica.Connect(next.ID(), &wire.ConnectRequest{Session: id, Password: password, Timeout: 1000}, r.now())
			r.replica.Ready().Reset() // nobody waits for the answer
			late := request.Request{Conn: old.ID(), Session: id, Xid: 2, Op: wire.OpSetData, Record: set("/a", "late")}
			backend{r.Server}.Submit(old, []request.Request{late})
		})
		synctest.Wait()
		require.Equal(t, "d", other.data("/a"))
	})
}

func TestNobodyExpiresWhoseHandshakeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil), func(c *Config) { c.Store.Log.Prealloc = -1 })
		u, other := r.mustDial(), r.mustDial()
		u.mustCall(wire.OpCreate, create("/e", znode.ModeEphemeral))
		require.NoError(t, u.Close())
		release := r.stall(disk.OpReserve) // which the core waits for
		other.Send(wire.OpSetData, set("/e", "x"))
		require.NoError(t, other.Flush(t.Context()))
		time.Sleep(9 * tick)
		attached := make(chan error, 1)
		go func() { // ends when the core goes on
			_, err := u.reattach()
			attached <- err
		}()
		time.Sleep(2 * tick)
		release()
		require.NoError(t, <-attached)
	})
}

func TestLastWordBeforeADisconnectCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u, other := r.mustDial(), r.mustDial()
		u.mustCall(wire.OpCreate, create("/e", znode.ModeEphemeral))
		time.Sleep(5*tick + time.Millisecond) // just after the core has looked at the clock
		u.mustCall(wire.OpPing, nil)
		require.NoError(t, u.Close())
		heard := time.Now()
		for other.code(wire.OpExists, &wire.WatchRequest{Path: "/e"}) == znode.CodeOK {
			time.Sleep(tick / 2)
		}
		require.GreaterOrEqual(t, time.Since(heard), 10*tick, "its timeout counts from its last request")
		require.LessOrEqual(t, time.Since(heard), 12*tick)
	})
}

func TestEndOfASessionIsNotForgottenOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil), func(c *Config) { c.Store.Log.Prealloc = -1 })
		u := r.mustDial()
		name := make([]byte, 50<<10)
		for i := range name {
			name[i] = 'x'
		}
		for i := range 10 {
			u.mustCall(wire.OpCreate, create(fmt.Sprintf("/e%d-%s", i, name), znode.ModeEphemeral))
		}
		require.NoError(t, u.Close())
		r.fs.SetBudget(r.fs.Used() + 4*64<<10) // room to go on, none for so long a list
		time.Sleep(20 * tick)
		r.fs.SetBudget(0)
		time.Sleep(tick)
		synctest.Wait()
		v := r.mustDial()
		require.Equal(t, int32(baseNodes), v.mustCall(wire.OpGetAllChildrenNumber, &wire.PathRequest{Path: "/"}).Record.(*wire.CountResponse).Count)
	})
}

func TestEndOfASessionIsWeighedWithWhatIsStillOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil), func(c *Config) { c.Store.Log.Prealloc = -1 })
		u, other := r.mustDial(), r.mustDial()
		release := r.stall(disk.OpSync)
		for i := range 10 {
			u.Send(wire.OpCreate, create(fmt.Sprintf("/e%d-%050000d", i, 0), znode.ModeEphemeral))
			require.NoError(t, u.Flush(t.Context()))
			synctest.Wait()
		}
		r.fs.SetBudget(r.fs.Used()) // what the log has allocated ahead is more than a list without them would take
		u.Send(wire.OpCloseSession, nil)
		require.NoError(t, u.Flush(t.Context()))
		synctest.Wait()
		release()
		for range 10 {
			m, err := u.Receive(t.Context())
			require.NoError(t, err)
			require.NoError(t, m.Err())
		}
		m, err := u.Receive(t.Context())
		require.NoError(t, err)
		require.ErrorIs(t, m.Err(), znode.CodeSystemError, "refused: a place in the order without space in the log would stop the server")
		require.Equal(t, znode.CodeNoNode, other.code(wire.OpExists, &wire.WatchRequest{Path: "/x"}))
		require.NoError(t, r.Err())
		r.fs.SetBudget(0)
		time.Sleep(12 * tick)
		count := r.mustDial().mustCall(wire.OpGetAllChildrenNumber, &wire.PathRequest{Path: "/"}).Record.(*wire.CountResponse).Count
		require.Equal(t, int32(baseNodes), count, "it has expired")
	})
}

// baseNodes are the nodes below the root of an empty tree.
const baseNodes = 3

func TestPurgesDoNotStepOnEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil), func(c *Config) { c.SnapCount, c.PurgeInterval = 10, tick/4 })
		u := r.mustDial()
		u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
		slow := false // the first reading of a snapshot takes long
		r.fs.SetFault(func(op disk.Op) disk.Fault {
			if op.Kind == disk.OpOpen && !slow {
				slow = true
				time.Sleep(5 * tick)
			}
			return disk.Fault{}
		})
		for i := range 1000 {
			u.mustCall(wire.OpSetData, set("/a", fmt.Sprint(i)))
			time.Sleep(tick / 100)
		}
		require.NoError(t, r.Err())
		require.True(t, slow)
	})
}
