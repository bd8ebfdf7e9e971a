package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// patience bounds everything a test outside of a bubble waits for, on a machine that may be busy with other things.
const patience = 2 * time.Minute

// sessionTimeout is that of clients outside of a bubble: the longest a server grants, so that no session ends because the machine is
// busy.
const sessionTimeout = 40 * time.Second

// mustStart starts several servers; the end of the test closes them.
func mustStart(t testing.TB, n int, opts ensemble.Options) *ensemble.Several {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if opts.Logger == nil {
		opts.Logger = logger()
	}
	e, err := ensemble.StartSeveral(ctx, n, &opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// logger shows what servers log, for those who ask for it.
func logger() *slog.Logger {
	if os.Getenv("BELLWETHER_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// mustConnect connects a client to any of the servers, or to those given. The end of the test closes it.
func mustConnect(t testing.TB, e *ensemble.Several, to ...*ensemble.Server) *client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	addrs := e.ConnectString()
	if len(to) > 0 {
		all := make([]string, len(to))
		for i, s := range to {
			all[i] = s.ConnectString()
		}
		addrs = strings.Join(all, ",")
	}
	c, err := client.Connect(ctx, addrs, &client.Options{
		Dialer: e.Dial, SessionTimeout: sessionTimeout, Reconnect: quickly, Retry: quickly,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() }) // where no server is left, the session cannot be closed
	return c
}

func quickly() backoff.BackOff { return backoff.NewConstantBackOff(5 * time.Millisecond) }

// short is for one operation.
func short(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func mustCreate(t testing.TB, c *client.Client, path string, mode client.Mode) {
	t.Helper()
	_, err := c.Create(short(t), path, []byte(path), &client.CreateOptions{Mode: mode})
	require.NoError(t, err)
}

// mustRead reads a node as the ensemble has it, not as the server lags.
func mustRead(t testing.TB, c *client.Client, path string) string {
	t.Helper()
	require.NoError(t, c.Sync(short(t), path))
	data, _, err := c.Get(short(t), path)
	require.NoError(t, err)
	return string(data)
}

// mustBeThere makes a node, as often as it takes to be told that it is there: an answer may be lost with the server that was to give it.
func mustBeThere(t testing.TB, c *client.Client, path string) {
	t.Helper()
	for {
		_, err := c.Create(short(t), path, nil, nil)
		if err == nil || errors.Is(err, client.ErrNodeExists) {
			return
		}
		require.ErrorIs(t, err, client.ErrUnknown)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
	}
}

// mustSet writes a node, as often as it takes to be told that it was written.
func mustSet(t testing.TB, c *client.Client, path, data string) client.Stat {
	t.Helper()
	for {
		stat, err := c.Set(short(t), path, []byte(data), client.AnyVersion)
		if err == nil {
			return stat
		}
		require.ErrorIs(t, err, client.ErrUnknown)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
	}
}

func mustServe(t testing.TB, s *ensemble.Server) {
	t.Helper()
	require.NoError(t, s.Serving(short(t)))
}

// follower is a server that does not lead.
func follower(t testing.TB, e *ensemble.Several) *ensemble.Server {
	t.Helper()
	leader := e.Leader()
	require.NotNil(t, leader)
	for _, s := range e.Servers() {
		if s != leader {
			return s
		}
	}
	return nil
}

func TestServersAgree(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			e := mustStart(t, n, ensemble.Options{})
			require.NotNil(t, e.Leader())
			require.Equal(t, "leader", e.Leader().Role())
			var clients []*client.Client
			for i, s := range e.Servers() {
				require.Equal(t, i+1, s.ServerID())
				c := mustConnect(t, e, s)
				mustCreate(t, c, fmt.Sprint("/by-", i), client.Persistent)
				clients = append(clients, c)
			}
			for i := range clients {
				for _, c := range clients {
					require.Equal(t, fmt.Sprint("/by-", i), mustRead(t, c, fmt.Sprint("/by-", i)))
				}
			}
			roles := map[string]int{}
			for _, s := range e.Servers() {
				roles[s.Role()]++
			}
			require.Equal(t, 1, roles["leader"])
			require.Equal(t, n-1, roles["follower"])
		})
	}
}

// On disk, with TCP for clients: what was written is there when all have been started again.
func TestSeveralOnDisk(t *testing.T) {
	opts := ensemble.Options{Dir: t.TempDir(), LogDir: t.TempDir(), Addr: "127.0.0.1:0"}
	epoch := int64(0)
	for run := range 3 {
		e := mustStart(t, 3, opts)
		c, err := client.Connect(short(t), e.ConnectString(), nil)
		require.NoError(t, err)
		mustCreate(t, c, fmt.Sprint("/run-", run), client.Persistent)
		for before := range run {
			require.Equal(t, fmt.Sprint("/run-", before), mustRead(t, c, fmt.Sprint("/run-", before)))
		}
		_, stat, err := c.Get(short(t), fmt.Sprint("/run-", run))
		require.NoError(t, err)
		require.Greater(t, stat.Czxid>>32, epoch, "each run has an epoch of its own")
		epoch = stat.Czxid >> 32
		require.NoError(t, c.Close())
		require.NoError(t, e.Close())
	}
}

// What is in memory outlives the servers that wrote it, as long as there is the ensemble.
func TestRestartOfAll(t *testing.T) {
	e := mustStart(t, 3, ensemble.Options{})
	c := mustConnect(t, e)
	mustCreate(t, c, "/kept", client.Persistent)
	mustCreate(t, c, "/mine", client.Ephemeral)
	session := c.Session()
	for _, s := range e.Servers() {
		require.NoError(t, s.Close())
	}
	require.Nil(t, e.Leader())
	for _, s := range e.Servers() {
		_, err := e.Restart(t.Context(), s.ServerID())
		require.NoError(t, err)
	}
	for _, s := range e.Servers() {
		mustServe(t, s)
	}
	require.Equal(t, "/kept", mustRead(t, c, "/kept"))
	require.Equal(t, "/mine", mustRead(t, c, "/mine"), "the session has lived on")
	require.Equal(t, session, c.Session())
}

// Every server is lost once, one after the other, and comes back. Nothing that was acknowledged is lost, the writes go on, and
// everybody has everything in the end.
func TestRestartOfOne(t *testing.T) {
	e := mustStart(t, 3, ensemble.Options{})
	c := mustConnect(t, e)
	mustCreate(t, c, "/n", client.Persistent)
	for id := range 3 {
		require.NoError(t, e.Servers()[id].Close())
		mustSet(t, c, "/n", fmt.Sprint("without ", id+1))
		s, err := e.Restart(t.Context(), id+1)
		require.NoError(t, err)
		mustServe(t, s)
		require.Equal(t, fmt.Sprint("without ", id+1), mustRead(t, mustConnect(t, e, s), "/n"))
	}
	_, err := e.Restart(t.Context(), 4)
	require.ErrorContains(t, err, "no server 4 among 3")
}

// A server that missed more than anybody remembers is given the leader's tree.
func TestRestartOfOneThatMissedMuch(t *testing.T) {
	e := mustStart(t, 3, ensemble.Options{Storage: ensemble.Storage{SnapCount: 20}, Quorum: ensemble.Quorum{CommitLogCount: 1}})
	behind := follower(t, e)
	require.NoError(t, behind.Close())
	c := mustConnect(t, e)
	mustCreate(t, c, "/n", client.Persistent)
	for i := range 200 {
		mustSet(t, c, "/n", strconv.Itoa(i))
	}
	s, err := e.Restart(t.Context(), behind.ServerID())
	require.NoError(t, err)
	mustServe(t, s)
	mine := mustConnect(t, e, s)
	require.Equal(t, "199", mustRead(t, mine, "/n"))
	mustCreate(t, mine, "/on", client.Persistent)
}

// The leader is closed while clients are at work. Those of the others keep their connections, all keep their sessions, nothing is
// lost.
func TestLeaderCloses(t *testing.T) {
	e := mustStart(t, 3, ensemble.Options{})
	leader := e.Leader()
	elsewhere, there := mustConnect(t, e, follower(t, e)), mustConnect(t, e)
	states := make(chan client.StateChange, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { // ends with ctx
		for s := range elsewhere.States(ctx) {
			states <- s
		}
	})
	mustCreate(t, elsewhere, "/n", client.Persistent)
	mustCreate(t, elsewhere, "/mine", client.Ephemeral)
	mustCreate(t, there, "/theirs", client.Ephemeral)
	theirs, _, err := there.Exists(short(t), "/theirs")
	require.NoError(t, err)
	_, _, watch, err := elsewhere.ExistsW(short(t), "/later")
	require.NoError(t, err)
	sessions := []*client.Session{elsewhere.Session(), there.Session()}

	require.NoError(t, leader.Close())
	stat := mustSet(t, elsewhere, "/n", "after")
	require.Greater(t, stat.Mzxid>>32, theirs.Czxid>>32, "another epoch")
	require.NotNil(t, e.Leader())
	require.NotEqual(t, leader, e.Leader())
	mustBeThere(t, there, "/later")
	_, err = watch.Wait(short(t))
	require.NoError(t, err)
	for _, path := range []string{"/mine", "/theirs"} {
		require.Equal(t, path, mustRead(t, there, path))
	}
	require.Equal(t, sessions, []*client.Session{elsewhere.Session(), there.Session()})
	cancel()
	watching.Wait()
	close(states)
	for s := range states {
		require.Equal(t, client.StateConnected, s.State, "the connection to a follower was held")
	}
}

// Without a majority nothing is promised: writes wait, and are done once there is one again.
func TestNoMajority(t *testing.T) {
	e := mustStart(t, 3, ensemble.Options{})
	left := follower(t, e)
	c := mustConnect(t, e)
	mustCreate(t, c, "/n", client.Persistent)
	for _, s := range e.Servers() {
		if s != left {
			require.NoError(t, s.Close())
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Set(ctx, "/n", []byte("lost?"), client.AnyVersion)
	require.Error(t, err)
	awaitNoLeader(t, e) // the one that is left may have led for a moment, and then believes for a tick that the other one comes back
	for _, s := range e.Servers() {
		if s != left {
			_, err := e.Restart(t.Context(), s.ServerID())
			require.NoError(t, err)
			break
		}
	}
	mustSet(t, c, "/n", "done")
	require.Equal(t, "done", mustRead(t, c, "/n"))
}

// awaitNoLeader waits until nobody says that it leads.
func awaitNoLeader(t testing.TB, e *ensemble.Several) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for ctx := short(t); e.Leader() != nil; {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatal("somebody leads without a majority")
		}
	}
}

func TestStartSeveralRefuses(t *testing.T) {
	for _, n := range []int{0, -1, 256} {
		_, err := ensemble.StartSeveral(t.Context(), n, nil)
		require.ErrorContains(t, err, "not between 1 and 255")
	}
	_, err := ensemble.StartSeveral(t.Context(), 3, &ensemble.Options{TickTime: -1})
	require.ErrorContains(t, err, "TickTime")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrClosedPipe)
	_, err = ensemble.StartSeveral(ctx, 3, nil)
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

// Who the servers are is told by every one of them, and cannot be changed.
func TestConfiguration(t *testing.T) {
	const text = "server.1=127.0.0.1:2888:3888:participant;127.0.0.1:2181\nserver.2=127.0.0.2:2888:3888:participant;127.0.0.2:2181\n" +
		"server.3=127.0.0.3:2888:3888:participant;127.0.0.3:2181\nversion=0"
	for _, enabled := range []bool{false, true} {
		e := mustStart(t, 3, ensemble.Options{ReconfigEnabled: enabled, FourLetterWords: []string{"*"}})
		for _, s := range e.Servers() {
			data, stat, err := mustConnect(t, e, s).Get(short(t), "/zookeeper/config")
			require.NoError(t, err)
			require.Equal(t, text, string(data))
			require.EqualValues(t, -1, stat.Version)
			require.Zero(t, stat.Mzxid)
			require.True(t, strings.HasSuffix(word(t, s, "conf"), "\npeerType=0\nmembership: \n"+text))

			conn := quiet(t, s)
			_, err = conn.IncrementalReconfig(nil, []string{"3"}, -1)
			if enabled {
				require.EqualError(t, err, "unknown error: -6", "UNIMPLEMENTED, which that client has no name for")
			} else {
				require.ErrorIs(t, err, zk.ErrReconfigDisabled)
			}
			_, err = conn.Set("/zookeeper/config", []byte("mine"), -1)
			require.ErrorIs(t, err, zk.ErrNoAuth)
			conn.Close()
		}
		require.NoError(t, e.Close())
	}
}

// word is what a server answers to a four-letter word.
func word(t testing.TB, s *ensemble.Server, word string) string {
	t.Helper()
	conn, err := s.Dial(short(t), "", "")
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, word)
	require.NoError(t, err)
	text, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(text)
}

func TestFourLetterWords(t *testing.T) {
	e := mustStart(t, 3, ensemble.Options{FourLetterWords: []string{"*"}})
	leader, other := e.Leader(), follower(t, e)
	c := mustConnect(t, e, other)
	mustCreate(t, c, "/e", client.Ephemeral)
	awaitWord(t, leader, "Zxid: 0x100000002\n") // what is acknowledged need not be applied there yet
	require.Regexp(t, `Zxid: 0x100000002\nMode: leader\nNode count: 6\nProposal sizes last/min/max: \d\d+/\d\d+/\d\d+\n$`, word(t, leader, "srvr"))
	require.Regexp(t, `Zxid: 0x100000002\nMode: follower\nNode count: 6\n$`, word(t, other, "srvr"))
	require.Regexp(t, `^SessionTracker dump:\nSession Sets \(1\)/\(1\):`, word(t, leader, "dump"))
	require.Contains(t, word(t, other, "dump"), fmt.Sprintf("Global Sessions(1):\n%#x\t%dms\n", c.Session().ID(), sessionTimeout.Milliseconds()))
	require.Contains(t, word(t, leader, "mntr"), "\nzk_synced_followers\t2\n")
	require.Contains(t, word(t, leader, "mntr"), "\nzk_proposal_count\t2\n")
	require.Contains(t, word(t, other, "mntr"), "\nzk_peer_state\tfollowing - broadcast\n")
	require.Equal(t, "Server stats reset.\n", word(t, leader, "srst"))
	require.Contains(t, word(t, leader, "srvr"), "Proposal sizes last/min/max: -1/-1/-1\n")

	require.NoError(t, leader.Close())
	require.NoError(t, follower2(e, leader, other).Close())
	awaitWord(t, other, "This ZooKeeper instance is not currently serving requests\n")
	require.Equal(t, "imok", word(t, other, "ruok"))
	require.Equal(t, "null", word(t, other, "isro"))
}

// awaitWord asks a server for srvr until the answer has something in it.
func awaitWord(t testing.TB, s *ensemble.Server, text string) {
	t.Helper()
	for ctx := short(t); !strings.Contains(word(t, s, "srvr"), text); {
		require.NoError(t, ctx.Err(), word(t, s, "srvr"))
	}
}

func follower2(e *ensemble.Several, not ...*ensemble.Server) *ensemble.Server {
	for _, s := range e.Servers() {
		if !slices.Contains(not, s) {
			return s
		}
	}
	return nil
}

// What servers become is told in order, and makes sense.
func TestRoleChanges(t *testing.T) {
	var mu sync.Mutex
	told := map[int][]ensemble.RoleChange{}
	e := mustStart(t, 3, ensemble.Options{Hooks: ensemble.Hooks{RoleChanged: func(c ensemble.RoleChange) {
		mu.Lock()
		told[c.Server] = append(told[c.Server], c)
		mu.Unlock()
	}}})
	c := mustConnect(t, e)
	mustCreate(t, c, "/n", client.Persistent)
	for _, s := range e.Servers() { // all have something of this epoch
		require.Equal(t, "/n", mustRead(t, mustConnect(t, e, s), "/n"))
	}
	old := e.Leader()
	mu.Lock()
	first := map[int]int{} // of each server's changes after the loss
	for id, changes := range told {
		first[id] = len(changes)
	}
	mu.Unlock()
	require.NoError(t, old.Close())
	mustSet(t, c, "/n", "2")
	for _, s := range e.Servers() {
		if s != old {
			mustServe(t, s)
		}
	}
	mu.Lock()
	defer mu.Unlock()

	phases := []string{ensemble.PhaseElection, ensemble.PhaseDiscovery, ensemble.PhaseSynchronization, ensemble.PhaseBroadcast}
	for id, changes := range told {
		require.Equal(t, "looking", changes[0].Role)
		require.NoError(t, changes[0].Cause, "it has just started")
		last := changes[0]
		for i, c := range changes {
			at := slices.Index(phases, c.Phase)
			require.GreaterOrEqual(t, at, 0, c.Phase)
			require.Equal(t, c.Role == "looking", at == 0)
			require.Equal(t, c.Role == "looking", c.Leader == 0)
			require.Equal(t, c.Role == "leader", c.Leader == id)
			require.LessOrEqual(t, c.Epoch, c.AcceptedEpoch)
			require.False(t, c.Time.Before(last.Time))
			require.GreaterOrEqual(t, c.AcceptedEpoch, last.AcceptedEpoch)
			require.GreaterOrEqual(t, c.Epoch, last.Epoch)
			if at > 0 && i > 0 && c.Role == last.Role {
				require.Greater(t, at, slices.Index(phases, last.Phase))
			}
			last = c
		}
		if id != old.ServerID() {
			require.Greater(t, len(changes), first[id])
			lost, before := changes[first[id]], changes[first[id]-1]
			require.Equal(t, "looking", lost.Role)
			require.Error(t, lost.Cause)
			require.Equal(t, before.Epoch, lost.Zxid>>32)
			require.Equal(t, ensemble.PhaseBroadcast, last.Phase)
			require.Greater(t, last.Epoch, before.Epoch)
		}
	}
	require.Len(t, told, 3)
}

// BenchmarkFirstWriteToSeveral is what a test pays for three servers in memory: start them, connect, write, close all.
func BenchmarkFirstWriteToSeveral(b *testing.B) {
	for b.Loop() {
		e, err := ensemble.StartSeveral(b.Context(), 3, nil)
		require.NoError(b, err)
		c, err := client.Connect(b.Context(), e.ConnectString(), &client.Options{Dialer: e.Dial})
		require.NoError(b, err)
		_, err = c.Create(b.Context(), "/first", nil, nil)
		require.NoError(b, err)
		require.NoError(b, c.Close())
		require.NoError(b, e.Close())
	}
}

// BenchmarkLeaderLost is how long the writes of a client of a follower stand still when the leader ends.
func BenchmarkLeaderLost(b *testing.B) {
	e := mustStart(b, 3, ensemble.Options{})
	for b.Loop() {
		b.StopTimer()
		leader := e.Leader()
		c := mustConnect(b, e, follower(b, e))
		path, err := c.Create(b.Context(), "/n-", nil, &client.CreateOptions{Mode: client.EphemeralSequential})
		require.NoError(b, err)
		b.StartTimer()
		require.NoError(b, leader.Close())
		mustSet(b, c, path, "next")
		b.StopTimer()
		require.NoError(b, c.Close())
		s, err := e.Restart(b.Context(), leader.ServerID())
		require.NoError(b, err)
		mustServe(b, s)
		b.StartTimer()
	}
}
