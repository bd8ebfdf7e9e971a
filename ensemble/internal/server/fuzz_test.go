package server

import (
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// asked is a request as a fuzzer is given it.
type asked struct {
	op  wire.Op
	rec wire.Record
}

// conversation has every operation a client may ask for, and some it may not.
func conversation() []asked {
	acl := []znode.ACL{{Perms: 31, ID: znode.ID{Scheme: "digest", Name: "u:p"}}, {Perms: 1, ID: znode.ID{Scheme: "auth"}}, {Perms: 3, ID: znode.ID{Scheme: "ip", Name: "127.0.0.0/8"}}}
	quota := create("/zookeeper/quota/a/zookeeper_limits", znode.ModePersistent)
	quota.Data = []byte("count=3,bytes=9=;byteHardLimit=9;countHardLimit=2")
	return []asked{
		{wire.OpAuth, &wire.AuthRequest{Scheme: "digest", Auth: []byte("u:p")}},
		{wire.OpWhoAmI, nil}, {wire.OpPing, nil},
		{wire.OpCreate, create("/a", znode.ModePersistent)},
		{wire.OpCreate2, create("/a/e-", znode.ModeEphemeralSequential)},
		{wire.OpCreateContainer, create("/c", znode.ModeContainer)},
		{wire.OpCreateTTL, &wire.CreateRequest{Path: "/t", ACL: acl, Mode: znode.ModeTTL, TTL: 900, HasTTL: true}},
		{wire.OpCreate, create("/zookeeper/quota/a", znode.ModePersistent)}, {wire.OpCreate, quota},
		{wire.OpExists, &wire.WatchRequest{Path: "/none", Watch: true}},
		{wire.OpGetData, &wire.WatchRequest{Path: "/a", Watch: true}},
		{wire.OpGetChildren, &wire.WatchRequest{Path: "/a", Watch: true}},
		{wire.OpGetChildren2, &wire.WatchRequest{Path: ""}},
		{wire.OpGetACL, &wire.PathRequest{Path: "/a"}}, {wire.OpGetAllChildrenNumber, &wire.PathRequest{Path: "/"}},
		{wire.OpGetEphemerals, &wire.PrefixRequest{Prefix: "/"}},
		{wire.OpAddWatch, &wire.AddWatchRequest{Path: "/a", Mode: wire.WatchPersistentRecursive}},
		{wire.OpSetData, set("/a", "12")}, {wire.OpSetData, set("/a", "1234567890")},
		{wire.OpSetACL, &wire.SetACLRequest{Path: "/a", ACL: acl, Version: -1}},
		{wire.OpCheckWatches, &wire.WatcherRequest{Path: "/a", Type: wire.WatcherAny}},
		{wire.OpRemoveWatches, &wire.WatcherRequest{Path: "/a", Type: wire.WatcherPersistentRecursive}},
		{wire.OpSetWatches, &wire.SetWatchesRequest{Data: []string{"/a", "/none"}, Exist: []string{"/a"}, Child: []string{"/"}}},
		{wire.OpSetWatches2, &wire.SetWatchesRequest{Two: true, Persistent: []string{"/"}, PersistentRecursive: []string{"/a"}}},
		{wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{
			{Op: wire.OpCreate2, Record: create("/a/m", znode.ModePersistent)},
			{Op: wire.OpSetData, Record: set("/a/m", "x")},
			{Op: wire.OpCheck, Record: &wire.CheckRequest{Path: "/a/m", Version: 1}},
			{Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "/a/m", Version: -1}},
		}}},
		{wire.OpMultiRead, &wire.MultiRequest{Read: true, Ops: []wire.MultiOp{{Op: wire.OpGetData, Record: &wire.WatchRequest{Path: "/a"}}}}},
		{wire.OpSync, &wire.SyncRequest{Path: []byte("/")}}, {wire.OpReconfig, &wire.ReconfigRequest{ConfigID: -1}},
		{wire.OpSASL, &wire.SASLToken{Token: []byte{}}},
		{wire.OpCreateSession, &wire.CreateSessionRequest{Timeout: 4000}}, {wire.OpDeleteContainer, &wire.PathRequest{Path: "/c"}},
		{wire.OpDelete, &wire.DeleteRequest{Path: "/c", Version: -1}},
		{wire.OpCloseSession, nil},
	}
}

func (a asked) body() []byte {
	if a.rec == nil {
		return nil
	}
	return a.rec.AppendJute(nil)
}

// appendRequest appends a request's frame, with the xid that goes with its op.
func appendRequest(b []byte, xid int32, op wire.Op, body []byte) []byte {
	switch op {
	case wire.OpPing:
		xid = wire.XidPing
	case wire.OpAuth:
		xid = wire.XidAuth
	case wire.OpSetWatches, wire.OpSetWatches2:
		xid = wire.XidSetWatches
	}
	b, start := wire.BeginFrame(b)
	b = wire.RequestHeader{Xid: xid, Op: op}.AppendJute(b)
	return wire.EndFrame(append(b, body...), start)
}

func appendGreeting(b []byte) []byte {
	b, start := wire.BeginFrame(b)
	return wire.EndFrame((&wire.ConnectRequest{Timeout: 1000, Password: make([]byte, 16)}).AppendJute(b), start)
}

// FuzzBytes sends a server whatever it likes, with or without a handshake before it.
func FuzzBytes(f *testing.F) {
	for _, w := range []string{"conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst", "srvr", "stat",
		"stmk\x00\x00\x00\x00\x00\x00\x00\x07", "wchc", "wchp", "wchs", "\xff\xf4\xff\xfd", "none"} {
		f.Add(false, byte(255), []byte(w))
	}
	var all []byte
	for i, a := range conversation() {
		one := appendRequest(nil, int32(i), a.op, a.body())
		all = append(all, one...)
		f.Add(true, byte(200), one)
	}
	f.Add(true, byte(50), all)
	f.Add(false, byte(255), append(appendGreeting(nil), all...))
	f.Add(true, byte(3), []byte("\xff\xff\xff\xff"))
	f.Add(true, byte(0), []byte("\x00\x0f\xff\xff12345678"))
	f.Fuzz(func(t *testing.T, joined bool, cut byte, data []byte) {
		synctest.Test(t, func(t *testing.T) { mustSurvive(t, joined, int(cut)+1, data) })
	})
}

// FuzzRequests sends a session's requests whose frames are as they should be and whose bodies are anything: op, length, body.
func FuzzRequests(f *testing.F) {
	var all []byte
	for _, a := range conversation() {
		body := a.body()
		one := append([]byte{byte(a.op), byte(len(body))}, body...)
		f.Add(one)
		all = append(all, one...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, data []byte) {
		var b []byte
		for xid := int32(1); len(data) >= 2; xid++ {
			op, n := wire.Op(int8(data[0])), min(int(data[1]), len(data)-2)
			b = appendRequest(b, xid, op, data[2:2+n])
			data = data[2+n:]
		}
		synctest.Test(t, func(t *testing.T) { mustSurvive(t, true, 1<<16, b) })
	})
}

// mustSurvive sends data to a server, so many bytes at a time, and checks that the server bears it: what comes back is framed,
// no more memory is asked for than the input paid for, another session is served as before, nothing of the connection
// stays, and what is on the disk becomes the same tree again.
func mustSurvive(t *testing.T, joined bool, step int, data []byte) {
	r := newRig(t, disk.NewMem(nil), func(c *Config) {
		c.SnapCount = 20
		c.Front.MaxOutput = 64 << 10
	})
	other := r.mustDial()
	other.mustCall(wire.OpCreate, create("/e", znode.ModeEphemeral))
	other.mustCall(wire.OpGetData, &wire.WatchRequest{Path: "/e", Watch: true})
	synctest.Wait()

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	send(t, other, joined, step, data)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20+4<<10*len(data)), "bytes allocated for %d bytes of input", len(data))

	require.NoError(t, r.Err())
	other.code(wire.OpCreate, create("/another", znode.ModePersistent)) // refused if data said so; answered anyway
	require.Equal(t, 1, r.front.Totals().Connections)
	require.NoError(t, other.CloseSession(t.Context()))
	synctest.Wait()
	want := r.state()
	require.Zero(t, want.sessions)
	require.NoError(t, r.Server.Close())
	r.start()
	require.Equal(t, want, r.state())
}

// send is a client that sends data, listens for longer than any session lives in silence, and goes. All the while, other is
// served.
func send(t *testing.T, other *user, joined bool, step int, data []byte) {
	c, err := other.DialContext(t.Context(), "", "127.0.0.1:2181")
	require.NoError(t, err)
	defer c.Close()
	if joined {
		_, err = c.Write(appendGreeting(nil))
		require.NoError(t, err)
		require.NoError(t, readFrame(c, 4+4+8+4+wire.PasswordLen+1))
	}
	done := make(chan error, 1)
	go func() { // ends with the connection
		err := error(nil)
		for err == nil && joined {
			err = readFrame(c, wire.ReplyHeaderLen)
		}
		_, _ = io.Copy(io.Discard, c)
		done <- err
	}()
	for len(data) > 0 {
		n := min(len(data), step)
		if _, err := c.Write(data[:n]); err != nil {
			break
		}
		data = data[n:]
		synctest.Wait()
	}
	_ = c.(interface{ CloseWrite() error }).CloseWrite()
	for range 6 {
		require.Equal(t, znode.CodeOK, other.code(wire.OpExists, &wire.WatchRequest{Path: "/"}))
		time.Sleep(5 * tick)
	}
	if err := <-done; joined {
		require.Equal(t, io.EOF, err, "what is sent is whole frames")
	}
}

// readFrame reads a frame of at least so many bytes and forgets it; at the end of the connection it returns io.EOF.
func readFrame(c net.Conn, atLeast int) error {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	n := int32(binary.BigEndian.Uint32(head[:]))
	if n < int32(atLeast) {
		return jute.ErrMalformed
	}
	_, err := io.CopyN(io.Discard, c, int64(n))
	return err
}
