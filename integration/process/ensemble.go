//go:build unix

package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options say what an ensemble is made of.
type Options struct {
	// Kinds of the servers 1, 2 and so on; the last one counts for the rest.
	Kinds []Kind
	// Size is how many servers there are; 0: as many as Kinds.
	Size int
	// Observers is how many of the last servers have no vote.
	Observers int
	// Proxied puts a Network between the servers.
	Proxied bool
	// ClientAddrs lets the configuration say where clients reach the servers.
	ClientAddrs bool
	// Lines are added to every zoo.cfg, and Flags to every command line.
	Lines, Flags []string
}

// An Ensemble is several servers that know one another. Server i has the number i+1.
type Ensemble struct {
	Servers []*Server
	// Network is between the servers, or nil.
	Network *Network

	dirs  []string
	peers [][2]string // quorum and election address of each
}

// TickTime is every server's tick in milliseconds: sessions live 1 to 10 s, and a silent peer is given up after SyncLimit ticks.
const (
	TickTime  = 500
	InitLimit = 10
	SyncLimit = 5
)

// StartEnsemble starts servers and returns when all of them serve. The test's end kills them.
func StartEnsemble(t testing.TB, o Options) *Ensemble {
	t.Helper()
	for try := 1; ; try++ {
		e := newEnsemble(t, o)
		err := e.StartAll(t.Context())
		if err == nil {
			return e
		}
		collided := false
		for _, s := range e.Servers {
			s.Kill()
			collided = collided || s.collided()
		}
		if !collided || try == 5 {
			t.Fatalf("the ensemble does not serve: %v", err)
		}
	}
}

func newEnsemble(t testing.TB, o Options) *Ensemble {
	t.Helper()
	n := max(o.Size, len(o.Kinds))
	e := &Ensemble{}
	quorum, election, clients := make([]int, n), make([]int, n), make([]int, n)
	for i := range n {
		quorum[i], election[i], clients[i] = FreePort(t), FreePort(t), FreePort(t)
	}
	if o.Proxied {
		e.Network = newNetwork(t, quorum, election)
	}
	root := keptDir(t)
	for i := range n {
		k := o.Kinds[min(i, len(o.Kinds)-1)]
		dir := filepath.Join(root, fmt.Sprint(i+1))
		data := filepath.Join(dir, "data")
		if err := os.MkdirAll(data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(data, "myid"), fmt.Appendln(nil, i+1), 0o600); err != nil {
			t.Fatal(err)
		}
		port := clients[i]
		var lines []string
		for j := range n {
			q, v := quorum[j], election[j]
			if e.Network != nil && i != j {
				q, v = e.Network.ports(i, j)
			}
			role := "participant"
			if n-j <= o.Observers {
				role = "observer"
			}
			line := fmt.Sprintf("server.%d=127.0.0.1:%d:%d:%s", j+1, q, v, role)
			if o.ClientAddrs {
				line += fmt.Sprintf(";127.0.0.1:%d", clients[j])
			}
			lines = append(lines, line)
		}
		if n-i <= o.Observers {
			lines = append(lines, "peerType=observer")
		}
		config := ServerConfig(data, port, append(lines, o.Lines...)...)
		e.Servers = append(e.Servers, newServer(t, k, k.CommandLine(t, o.Flags...), dir, port, config))
		e.dirs = append(e.dirs, data)
		e.peers = append(e.peers, [2]string{fmt.Sprintf("127.0.0.1:%d", quorum[i]), fmt.Sprintf("127.0.0.1:%d", election[i])})
	}
	return e
}

// ServerConfig is a zoo.cfg for tests, of a server alone unless lines say otherwise.
func ServerConfig(dataDir string, port int, lines ...string) string {
	return fmt.Sprintf("tickTime=%d\ninitLimit=%d\nsyncLimit=%d\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\n"+
		"maxClientCnxns=0\n4lw.commands.whitelist=*\nadmin.enableServer=false\n%s\n",
		TickTime, InitLimit, SyncLimit, dataDir, port, strings.Join(lines, "\n"))
}

// DataDir is where a server keeps its data.
func (e *Ensemble) DataDir(i int) string { return e.dirs[i] }

// PeerAddrs are where a server listens for the others, whether there is a Network between them or not. Only a leader listens on
// its quorum port.
func (e *Ensemble) PeerAddrs(i int) (quorum, election string) { return e.peers[i][0], e.peers[i][1] }

// StartAll starts every server that is not running and returns when all serve.
func (e *Ensemble) StartAll(ctx context.Context) error {
	for _, s := range e.Servers {
		select {
		case <-s.Ended():
			if err := s.start(); err != nil {
				return err
			}
		default:
		}
	}
	return e.AwaitServing(ctx)
}

// AwaitServing returns when all servers serve.
func (e *Ensemble) AwaitServing(ctx context.Context) error {
	for _, s := range e.Servers {
		if err := s.AwaitServing(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Addrs are where clients reach the servers, joined by commas; without those that are named.
func (e *Ensemble) Addrs(without ...int) string {
	var addrs []string
	for i, s := range e.Servers {
		if !slices.Contains(without, i) {
			addrs = append(addrs, s.Addr)
		}
	}
	return strings.Join(addrs, ",")
}

// Leader is the server that says it leads, or -1.
func (e *Ensemble) Leader() int {
	var asking sync.WaitGroup
	modes := make([]string, len(e.Servers))
	for i, s := range e.Servers {
		asking.Go(func() { modes[i] = s.Mode() }) // ends with the answer, within a second
	}
	asking.Wait()
	return slices.Index(modes, "leader")
}

// MustLeader waits until a server leads.
func (e *Ensemble) MustLeader(t testing.TB) int {
	t.Helper()
	patience := time.NewTimer(startPatience)
	defer patience.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if i := e.Leader(); i >= 0 {
			return i
		}
		select {
		case <-again.C:
		case <-patience.C:
			t.Fatal("nobody leads")
		}
	}
}
