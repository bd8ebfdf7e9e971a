//go:build interop

package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// holders is how many locks one process holds, each in a session of its own.
const holders = 50

// holdersEnv tells a process that it is to hold locks of the server at that address, see holdLocks.
const holdersEnv = "BELLWETHER_HOLDERS"

func pausedLock(i int) string { return fmt.Sprintf("/pause/%d", i) }

// shortSession is that of a client which nothing but a pause is to end, and that soon: a busy machine is forgiven two seconds.
func shortSession(ctx context.Context, addr string) (*bwclient.Client, error) {
	const tick = process.TickTime * time.Millisecond
	return bwclient.Connect(ctx, addr, &bwclient.Options{SessionTimeout: 8 * tick, TickTime: tick, MaxFrame: 4 << 10})
}

// A process stands still for longer than its sessions live, and goes on as if nothing had happened: no look at a hold that begins when
// somebody else holds the lock finds that it is held, and nothing that is guarded by it takes effect.
func TestPausedHoldersKnow(t *testing.T) {
	onEnsembles(t, func(t *testing.T, k process.Kind) {
		pauses := 2
		if full() {
			pauses = 20
		}
		s := startPeer(t, k)
		child := startHolders(t, s.Addr)
		others := make([]*bwclient.Client, holders)
		for i := range others {
			c, err := shortSession(t.Context(), s.Addr)
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.Close() })
			others[i] = c
		}
		for pause := range pauses {
			child.await(t, "held", nil)
			require.NoError(t, child.process.Signal(syscall.SIGSTOP))
			taken := make([]time.Time, holders)
			holds := make([]*lock.Hold, holders)
			var all sync.WaitGroup
			for i, c := range others {
				all.Go(func() {
					var err error
					if holds[i], err = lock.NewMutex(c, pausedLock(i), nil).Lock(t.Context()); err != nil {
						t.Error(err)
					}
					taken[i] = time.Now()
				})
			}
			all.Wait()
			require.False(t, t.Failed())
			require.NoError(t, child.process.Signal(syscall.SIGCONT))
			child.await(t, "lost", func(i int, last int64) {
				require.Less(t, last, taken[i].UnixNano(), "pause %d, lock %d: it is held, says who has lost it", pause, i)
			})
			for _, h := range holds {
				require.NoError(t, h.Context().Err())
				require.NoError(t, h.Release(t.Context()))
			}
		}
		t.Logf("%s: %d pauses of a process that held %d locks", k.Name, pauses, holders)
	})
}

// A holdersProcess is a process of holdLocks.
type holdersProcess struct {
	process *os.Process
	lines   *bufio.Scanner
}

func startHolders(t *testing.T, addr string) *holdersProcess {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(self)
	command.Env = append(os.Environ(), holdersEnv+"="+addr)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may stand still
		_ = command.Wait()
	})
	return &holdersProcess{command.Process, bufio.NewScanner(out)}
}

// await reads what each of the holders has to say next.
func (p *holdersProcess) await(t *testing.T, what string, heard func(i int, number int64)) {
	t.Helper()
	for range holders {
		require.True(t, p.lines.Scan(), "the holders have ended: %v", p.lines.Err())
		var word string
		var i int
		var number int64
		_, err := fmt.Sscan(p.lines.Text(), &word, &i, &number)
		require.NoError(t, err, p.lines.Text())
		require.Equal(t, what, word, p.lines.Text())
		if heard != nil {
			heard(i, number)
		}
	}
}

// holdLocks holds locks, each again when it is lost, until the process is killed. It says "held" of each, and, when it is lost, "lost"
// with the time in Unix nanoseconds at which the last look began that found it held.
func holdLocks(addr string, out io.Writer) error {
	failed := make(chan error)
	var saying sync.Mutex
	for i := range holders {
		go func() { failed <- holdLock(addr, i, out, &saying) }() // ends with the process
	}
	return <-failed
}

func holdLock(addr string, i int, out io.Writer, saying *sync.Mutex) error {
	ctx := context.Background()
	c, err := shortSession(ctx, addr)
	if err != nil {
		return err
	}
	say := func(what string, number int64) {
		saying.Lock()
		defer saying.Unlock()
		fmt.Fprintln(out, what, i, number)
	}
	again := time.NewTicker(time.Millisecond)
	for n := 0; ; n++ {
		hold, err := lock.NewMutex(c, pausedLock(i), nil).Lock(ctx)
		if err != nil {
			return err
		}
		say("held", 0)
		last := int64(0)
		for {
			began := time.Now().UnixNano()
			if hold.Context().Err() != nil {
				break
			}
			last = began
			<-again.C
		}
		proof := fmt.Sprintf("%s/%d", pausedLock(i), n)
		if _, err := c.Multi(ctx, hold.Guard(), bwclient.CreateOp(proof, nil, nil)); err == nil {
			return errors.New("what a hold guards that is lost has taken effect")
		}
		say("lost", last)
	}
}
