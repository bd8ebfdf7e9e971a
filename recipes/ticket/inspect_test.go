package ticket_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// What stands in a directory is told in order, strangers apart, and what goes away meanwhile is left out.
func TestInspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		srv := startServer(t)
		c, _ := connect(t, srv)
		admin, l := connect(t, srv)
		line, others, err := ticket.Inspect(ctx, admin, dir, marker)
		require.NoError(t, err)
		require.Empty(t, line)
		require.Empty(t, others)

		require.NoError(t, c.AddAuth(ctx, "digest", []byte("nobody:knows")))
		since := time.Now()
		a := mustTake(t, c, nil)
		time.Sleep(time.Minute)
		b := mustTake(t, c, &ticket.Options{Data: []byte("b")})
		empty := mustTake(t, c, &ticket.Options{Data: []byte{}})
		hidden := mustTake(t, c, &ticket.Options{ACL: client.DigestACL(client.PermAll, "nobody", "knows")})
		for _, name := range []string{"z", "_c_short"} {
			_, err := c.Create(ctx, dir+"/"+name, []byte(name), nil)
			require.NoError(t, err)
		}
		line, others, err = ticket.Inspect(ctx, admin, dir, marker)
		require.NoError(t, err)
		require.Len(t, line, 4)
		for i, tk := range []*ticket.Ticket{a, b, empty, hidden} {
			require.Equal(t, tk.Place(), line[i].Place)
			require.Equal(t, tk.Path(), line[i].Path)
		}
		host, _ := os.Hostname()
		require.Equal(t, ticket.Contender{
			Place: a.Place(), Path: a.Path(), Data: fmt.Appendf(nil, "%s-%d", host, os.Getpid()),
			Session: c.Session().ID(), Token: a.Token(), Since: line[0].Since,
		}, line[0])
		require.True(t, since.Equal(line[0].Since), "%v", line[0].Since)
		require.True(t, since.Add(time.Minute).Equal(line[1].Since))
		require.Equal(t, "b", string(line[1].Data))
		require.Empty(t, line[2].Data)
		require.Nil(t, line[3].Data, "it may not be read")
		require.Equal(t, "_c_short", others[0].Name)
		require.Equal(t, "z", others[1].Name)
		require.Equal(t, "z", string(others[1].Data))
		require.Zero(t, others[1].Session)

		freeze := l.p.Freeze(proxy.Request(proxy.OpGetData, b.Path()))
		go func() { // ends when the ticket is returned
			<-freeze.Struck()
			if err := b.Return(ctx); err != nil {
				t.Error(err)
			}
			freeze.End()
		}()
		line, _, err = ticket.Inspect(ctx, admin, dir, marker)
		require.NoError(t, err)
		require.Len(t, line, 3)
		require.NoError(t, admin.Close())
		_, _, err = ticket.Inspect(ctx, admin, dir, marker)
		require.ErrorIs(t, err, client.ErrClosed)
	})
}

// A ticket's owner hears what others write to its node, also before it waited, over a break, and in its new place.
func TestWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		srv := startServer(t)
		c, l := connect(t, srv)
		admin, _ := connect(t, srv)
		told := make(chan string, 10)
		opts := &ticket.Options{Others: []string{"guest-"}, Written: func(data []byte) { told <- string(data) }}
		tk := mustTake(t, c, opts)
		write := func(text string) {
			t.Helper()
			_, err := admin.Set(ctx, tk.Path(), []byte(text), client.AnyVersion)
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Empty(t, told)
		for _, text := range []string{"one", "two"} {
			write(text)
			require.Equal(t, text, <-told)
		}
		l.cut()
		write("while cut off")
		time.Sleep(time.Second)
		l.plug()
		require.Equal(t, "while cut off", <-told)
		l.p.Drop()
		time.Sleep(time.Second)
		require.Empty(t, told, "nothing was written")
		require.NoError(t, tk.Exchange(ctx, "guest-"))
		time.Sleep(time.Second)
		for len(told) > 0 { // its own data, written anew
			require.Equal(t, ticket.Identity(), <-told)
		}
		write("in its new place")
		require.Equal(t, "in its new place", <-told)
		require.NoError(t, tk.Return(ctx))

		freeze := l.p.Freeze(proxy.Reply(proxy.OpCreate, ""))
		go func() { // ends with the write
			<-freeze.Struck()
			line, err := ticket.Line(ctx, admin, dir, marker)
			if err == nil {
				_, err = admin.Set(ctx, dir+"/"+line[0].Name, []byte("at once"), client.AnyVersion)
			}
			if err != nil {
				t.Error(err)
			}
			freeze.End()
		}()
		mustTake(t, c, opts)
		require.Equal(t, "at once", <-told)
	})
}

// What is to be done before a node is removed is done for a ticket that is returned, and for no other.
func TestLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		srv := startServer(t)
		c, _ := connect(t, srv)
		admin, _ := connect(t, srv)
		left := 0
		var tk *ticket.Ticket
		opts := &ticket.Options{Leaving: func(context.Context) {
			left++
			mustLine(t, admin, tk)
		}}
		tk = mustTake(t, c, opts)
		require.NoError(t, tk.Return(ctx))
		require.NoError(t, tk.Return(ctx))
		require.Equal(t, 1, left)
		mustLine(t, admin)

		why := errors.New("enough")
		tk = mustTake(t, c, opts)
		tk.Abandon(why)
		require.ErrorIs(t, context.Cause(tk.Context()), why)
		tk.Abandon(errors.New("again"))
		require.NoError(t, tk.Return(ctx))
		mustLine(t, admin)
		require.ErrorIs(t, context.Cause(tk.Context()), why)

		tk = mustTake(t, c, opts)
		require.NoError(t, admin.Delete(ctx, tk.Path(), client.AnyVersion))
		<-tk.Context().Done()
		require.NoError(t, tk.Return(ctx))
		tk = mustTake(t, c, opts)
		require.NoError(t, c.Close())
		require.NoError(t, tk.Return(ctx))
		tk.Abandon(why)
		require.Equal(t, 1, left)
	})
}

// Nobody is told any more of a node that is gone: no watch stays on it, whoever removed it and however often it was exchanged.
func TestNoWatchIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		srv := startServer(t)
		c, l := connect(t, srv)
		for range 3 {
			l.p.Delay(proxy.Reply(proxy.OpMulti, ""), time.Second) // the look behind the event meets neither the one node nor the other
			tk := mustTake(t, c, &ticket.Options{Others: []string{"guest-"}})
			require.NoError(t, tk.Wait(ctx))
			require.NoError(t, tk.Exchange(ctx, "guest-"))
			synctest.Wait()
			require.Len(t, srv.Watches(), 1)
			require.NoError(t, c.Delete(ctx, tk.Path(), client.AnyVersion))
			<-tk.Context().Done()
			synctest.Wait()
			require.Empty(t, srv.Watches())
		}
	})
}
