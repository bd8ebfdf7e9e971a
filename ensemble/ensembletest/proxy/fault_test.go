package proxy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// A request that is lost has not happened, and the client does not claim that it has.
func TestLoseRequest(t *testing.T) {
	staged(t, func(t *stage) {
		f := t.p.Lose(proxy.Request(proxy.OpCreate, "/n"))
		require.NoError(t, <-t.create("/other"), "another node")
		require.Zero(t, f.Strikes())
		require.ErrorIs(t, <-t.create("/n"), client.ErrUnknown)
		t.mustStrike(f, 1)
		require.False(t, t.there("/n"))
		require.NoError(t, <-t.create("/n"), "the next one only")
	})
}

// A reply that is lost is that of something that has happened, once.
func TestLoseReply(t *testing.T) {
	staged(t, func(t *stage) {
		f := t.p.Lose(proxy.Reply(proxy.OpCreate, "/n"))
		require.ErrorIs(t, <-t.create("/n"), client.ErrUnknown)
		t.mustStrike(f, 1)
		require.True(t, t.there("/n"))
		require.ErrorIs(t, <-t.create("/n"), client.ErrNodeExists)

		f = t.p.Lose(proxy.Reply(proxy.OpCreate, "/n/*"))
		path, err := t.c.Create(soon(t), "/n/seq-", nil, &client.CreateOptions{Mode: client.EphemeralSequential, Protected: true})
		require.NoError(t, err, "it is looked up")
		t.mustStrike(f, 1)
		names, _, err := t.c.Children(soon(t), "/n")
		require.NoError(t, err)
		require.Equal(t, []string{strings.TrimPrefix(path, "/n/")}, names)
	})
}

// A read whose reply is lost is read again.
func TestLoseTheReplyToARead(t *testing.T) {
	staged(t, func(t *stage) {
		f := t.p.Lose(proxy.Reply(proxy.OpGetData, "/").Times(3))
		_, _, err := t.c.Get(soon(t), "/")
		require.NoError(t, err)
		t.mustStrike(f, 3)
	})
}

// What is asked before the connection is cut arrives, and its answer does not.
func TestCut(t *testing.T) {
	staged(t, func(t *stage) {
		f := t.p.Cut(proxy.Request(proxy.OpCreate, "/n"))
		session := t.c.Session()
		require.ErrorIs(t, <-t.create("/n"), client.ErrUnknown)
		t.mustStrike(f, 1)
		t.mustHave("/n")

		_, _, w, err := t.c.GetW(soon(t), "/n")
		require.NoError(t, err)
		f = t.p.Cut(proxy.Reply(proxy.OpCreate, "/m"))
		require.NoError(t, <-t.create("/m"))
		t.mustStrike(f, 1)
		require.Equal(t, client.EventReconnected, mustFire(t, w), "it has arrived, and the connection is gone")
		require.NoError(t, session.Err())
	})
}

func mustFire(t *stage, w *client.Watch) client.EventType {
	t.Helper()
	e, err := w.Wait(soon(t))
	require.NoError(t, err)
	return e.Type
}

// A request that is swallowed has not happened; who asked waits as long as it likes, and the connection goes on.
func TestSwallow(t *testing.T) {
	staged(t, func(t *stage) {
		require.NoError(t, <-t.create("/w"))
		_, _, w, err := t.c.GetW(soon(t), "/w")
		require.NoError(t, err)
		impatient := func(f *proxy.Fault) {
			ctx, cancel := context.WithCancel(soon(t))
			outcome := make(chan error)
			go func() { // ends with ctx
				_, err := t.c.Create(ctx, "/n", nil, nil)
				outcome <- err
			}()
			t.mustStrike(f, 1)
			t.mustWait(outcome)
			cancel()
			require.ErrorIs(t, <-outcome, context.Canceled)
		}
		impatient(t.p.Swallow(proxy.Request(proxy.OpCreate, "/n")))
		require.False(t, t.there("/n"))
		impatient(t.p.Swallow(proxy.Reply(proxy.OpCreate, "/n")))
		require.True(t, t.there("/n"))

		f := t.p.Swallow(proxy.Event("/w"))
		_, err = t.other.Set(soon(t), "/w", []byte("new"), client.AnyVersion)
		require.NoError(t, err)
		t.mustStrike(f, 1)
		data, _, err := t.c.Get(soon(t), "/w")
		require.NoError(t, err)
		require.Equal(t, "new", string(data), "the connection is in order")
		select {
		case <-w.Done():
			t.Fatal("the event has arrived, or the connection was made anew")
		default:
		}
	})
}

// What is frozen waits until the fault ends, and all behind it; others do not.
func TestFreeze(t *testing.T) {
	staged(t, func(t *stage) {
		f := t.p.Freeze(proxy.Request(proxy.OpCreate, "/n"))
		first := t.create("/n")
		t.mustStrike(f, 1)
		second := t.create("/m")
		t.mustWait(first)
		t.mustWait(second)
		require.False(t, t.there("/n"))
		require.False(t, t.there("/m"), "it is behind")
		f.End()
		require.NoError(t, <-first)
		require.NoError(t, <-second)

		f = t.p.Freeze(proxy.Reply(proxy.OpCreate, "/r"))
		first = t.create("/r")
		t.mustStrike(f, 1)
		require.True(t, t.there("/r"))
		second = t.create("/s")
		t.mustHave("/s") // the other way is open
		t.mustWait(first)
		t.mustWait(second)
		f.End()
		f.End()
		require.NoError(t, <-first)
		require.NoError(t, <-second)
		require.NoError(t, <-t.create("/r/s"), "it strikes no more")
	})
}

// A watch fires when its event is let go, and not before; a reply behind it waits too.
func TestFreezeAnEvent(t *testing.T) {
	staged(t, func(t *stage) {
		_, _, w, err := t.c.ExistsW(soon(t), "/n")
		require.NoError(t, err)
		f := t.p.Freeze(proxy.Event("/n"))
		_, err = t.other.Create(soon(t), "/n", nil, nil)
		require.NoError(t, err)
		t.mustStrike(f, 1)
		behind := t.create("/m")
		t.mustHave("/m")
		t.mustWait(behind)
		select {
		case <-w.Done():
			t.Fatal("it is not frozen")
		default:
		}
		f.End()
		require.Equal(t, client.EventCreated, mustFire(t, w))
		require.NoError(t, <-behind)
	})
}

// What is late is late by exactly that, and several at once are late together.
func TestDelay(t *testing.T) {
	staged(t, func(t *stage) {
		d := 30 * time.Millisecond
		for _, m := range []proxy.Match{proxy.Request(proxy.OpGetData, "/"), proxy.Reply(proxy.OpGetData, "/")} {
			f := t.p.Delay(m.Always(), d)
			begun := time.Now()
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() { // ends with its read
					_, _, err := t.c.Get(soon(t), "/")
					require.NoError(t, err)
				})
			}
			all.Wait()
			took := time.Since(begun)
			require.GreaterOrEqual(t, took, d)
			if t.virtual {
				require.Equal(t, d, took)
			}
			t.mustStrike(f, 10)
			f.End()
		}

		f := t.p.Delay(proxy.Request(proxy.OpCreate, "/n"), time.Hour)
		outcome := t.create("/n")
		t.mustStrike(f, 1)
		t.mustWait(outcome)
		f.End()
		require.NoError(t, <-outcome)
	})
}

// Some pass, some are met, the rest pass.
func TestSkipAndTimes(t *testing.T) {
	staged(t, func(t *stage) {
		f := t.p.Lose(proxy.Request(proxy.OpCreate, "/n-*").Skip(2).Times(2))
		var lost []int
		for i := range 6 {
			if <-t.create(fmt.Sprintf("/n-%d", i)) != nil {
				lost = append(lost, i)
			}
		}
		require.Equal(t, []int{2, 3}, lost)
		t.mustStrike(f, 2)

		f = t.p.Lose(proxy.Request(proxy.OpDelete, "/n-0").Always())
		for range 3 {
			require.ErrorIs(t, t.c.Delete(soon(t), "/n-0", client.AnyVersion), client.ErrUnknown)
		}
		t.mustStrike(f, 3)
		f.End()
		require.NoError(t, t.c.Delete(soon(t), "/n-0", client.AnyVersion))
	})
}

// A multi is met as what it is, and as each operation in it.
func TestMulti(t *testing.T) {
	staged(t, func(t *stage) {
		require.NoError(t, <-t.create("/n"))
		for i, m := range []proxy.Match{
			proxy.Request(proxy.OpMulti, ""), proxy.Reply(proxy.OpMulti, "/n"), proxy.Request(proxy.OpSetData, "/n"), proxy.Reply(proxy.OpCreate, "/m*"),
			proxy.Request(proxy.OpAny, "/n"),
		} {
			f := t.p.Lose(m)
			none := t.p.Lose(proxy.Request(proxy.OpDelete, "/n"))
			_, err := t.c.Multi(soon(t), client.SetOp("/n", nil, client.AnyVersion), client.CreateOp(fmt.Sprintf("/m%d", i), nil, nil))
			require.ErrorIs(t, err, client.ErrUnknown, "%v", f)
			t.mustStrike(f, 1)
			require.Zero(t, none.Strikes())
			require.Equal(t, strings.HasPrefix(m.String(), "reply"), t.there(fmt.Sprintf("/m%d", i)), "%v", f)
			none.End()
		}
	})
}

// What clients do by themselves can be met too, and is not met by chance.
func TestOwnAccord(t *testing.T) {
	staged(t, func(t *stage) {
		_, _, w, err := t.c.GetW(soon(t), "/")
		require.NoError(t, err)
		session := t.c.Session()
		chance := t.p.Lose(proxy.Request(proxy.OpAny, ""))
		greeting := t.p.Lose(proxy.Reply(proxy.OpConnect, ""))
		t.p.Drop()
		t.mustStrike(greeting, 1)
		require.Equal(t, client.EventReconnected, mustFire(t, w))
		require.NoError(t, session.Err(), "it has tried again")
		if t.virtual { // in real time a ping comes after seconds
			ping := t.p.Swallow(proxy.Reply(proxy.OpPing, ""))
			t.mustStrike(ping, 1)
		}
		require.Zero(t, chance.Strikes())
		require.ErrorIs(t, <-t.create("/n"), client.ErrUnknown)
		t.mustStrike(chance, 1)
		end := t.p.Lose(proxy.Request(proxy.OpCloseSession, ""))
		require.NoError(t, <-t.create("/n"))
		_ = t.c.Close() // it cannot say so
		t.mustStrike(end, 1)
	})
}

// Several faults meet one frame.
func TestTogether(t *testing.T) {
	staged(t, func(t *stage) {
		d := 20 * time.Millisecond
		late := t.p.Delay(proxy.Request(proxy.OpCreate, "/n"), d)
		lost := t.p.Lose(proxy.Request(proxy.OpCreate, "/n"))
		again := t.p.Lose(proxy.Request(proxy.OpCreate, "/n"))
		begun := time.Now()
		require.ErrorIs(t, <-t.create("/n"), client.ErrUnknown)
		require.GreaterOrEqual(t, time.Since(begun), d, "it breaks when it is its turn")
		t.mustStrike(late, 1)
		t.mustStrike(lost, 1)
		require.Zero(t, again.Strikes(), "one is enough")
		require.ErrorIs(t, <-t.create("/n"), client.ErrUnknown)
		t.mustStrike(again, 1)
	})
}

// Healing ends everything, what has struck and what has not.
func TestHeal(t *testing.T) {
	staged(t, func(t *stage) {
		frozen := t.p.Freeze(proxy.Request(proxy.OpCreate, "/n").Always())
		pending := t.p.Lose(proxy.Request(proxy.OpCreate, "/m"))
		outcome := t.create("/n")
		t.mustStrike(frozen, 1)
		t.p.Heal()
		require.NoError(t, <-outcome)
		require.NoError(t, <-t.create("/m"))
		require.NoError(t, <-t.create("/n/n"))
		require.Zero(t, pending.Strikes())
	})
}

// What is dropped is on its way in neither direction.
func TestDrop(t *testing.T) {
	staged(t, func(t *stage) {
		f := t.p.Freeze(proxy.Request(proxy.OpCreate, "/n"))
		outcome := t.create("/n")
		t.mustStrike(f, 1)
		t.p.Drop()
		require.ErrorIs(t, <-outcome, client.ErrUnknown)
		f.End()
		require.NoError(t, <-t.create("/m"))
		require.False(t, t.there("/n"))
	})
}
