package leader_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/leader"
)

func preferred(c *client.Client, id string, priority int) *leader.Election {
	return leader.NewElection(c, path, &leader.Options{ID: id, Priority: priority})
}

// A candidate whose turn it is lets those ahead who have a greater priority, in the order of their priorities, and of the line among equals. Who
// leads is not disturbed.
func TestPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c := srv.Connect(t)
		stands := map[string]*stand{}
		for _, who := range []struct {
			id       string
			priority int
		}{{"first", 0}, {"low", -3}, {"usual", 0}, {"high", 5}, {"high too", 5}, {"usual too", 0}, {"higher", 12}} {
			stands[who.id] = run(t, preferred(srv.Connect(t), who.id, who.priority))
		}
		var order []string
		token := int64(0)
		for len(stands) > 0 {
			synctest.Wait()
			for id, s := range stands {
				if len(s.terms) == 0 {
					continue
				}
				term := <-s.terms
				require.NoError(t, term.Context().Err())
				require.Greater(t, term.Token(), token)
				token = term.Token()
				order = append(order, id)
				s.mustEnd(t)
				delete(stands, id)
				break // until those who gave way are in line again
			}
		}
		require.Equal(t, []string{"first", "higher"}, order[:2])
		require.ElementsMatch(t, []string{"high", "high too"}, order[2:4])
		require.ElementsMatch(t, []string{"usual", "usual too"}, order[4:6])
		require.Equal(t, "low", order[6])
		mustStand(t, c)
	})
}

// A name that looks as if it told a priority, and does not, has none.
func TestPriorityOfStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startServer(t).Connect(t)
		const id = "_c_0c1d2e3f-0011-2233-4455-66778899aabb-"
		for _, name := range []string{"latch-", id + "latch-", id + "p7latch-", id + "p+7-latch-", id + "p07-latch-", id + "p0-latch-", id + "q7-latch-", "p7-latch-"} {
			_, err := c.Create(t.Context(), path+"/"+name, nil, &client.CreateOptions{Mode: client.EphemeralSequential, Parents: client.ContainerParents})
			require.NoError(t, err)
		}
		_, err := c.Create(t.Context(), path+"/"+id+"p7-latch-", nil, &client.CreateOptions{Mode: client.EphemeralSequential})
		require.NoError(t, err)
		all, err := election(c, "").Participants(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 9)
		for i, p := range all {
			require.Equal(t, i == 8, p.Priority == 7, p.Path)
			require.Equal(t, i == 8, p.Priority != 0, p.Path)
		}
	})
}

func TestHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c := srv.Connect(t)
		anna := run(t, election(c, "anna"))
		term := <-anna.terms
		ben := run(t, preferred(srv.Connect(t), "ben", 9))
		carl, dora, second := run(t, election(srv.Connect(t), "carl")), run(t, election(srv.Connect(t), "dora")), run(t, election(srv.Connect(t), "dora"))

		err := term.HandOver(t.Context(), "emil")
		require.ErrorIs(t, err, leader.ErrNoCandidate)
		require.ErrorIs(t, term.HandOver(t.Context(), "anna"), leader.ErrNoCandidate, "oneself")
		require.NoError(t, term.Context().Err())

		require.NoError(t, term.HandOver(t.Context(), "dora"))
		require.ErrorIs(t, context.Cause(term.Context()), leader.ErrResigned)
		require.ErrorIs(t, term.HandOver(t.Context(), "carl"), leader.ErrResigned, "it has nothing to give any more")
		next := <-dora.terms
		require.Greater(t, next.Token(), term.Token())
		synctest.Wait()
		for _, s := range []*stand{anna, ben, carl, second} {
			require.Empty(t, s.terms)
		}
		all, err := election(c, "").Participants(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 5)
		require.Equal(t, next.Token(), all[0].Token)

		dora.mustEnd(t)
		<-ben.terms // now priority decides again
		for _, s := range []*stand{ben, carl, second, anna} {
			s.mustEnd(t)
		}
		mustStand(t, c)
	})
}

// Whatever answer gets lost, a hand-over that is reported done was done, and so is one that was undone.
func TestHandOverWithLostAnswers(t *testing.T) {
	for _, m := range []proxy.Match{
		proxy.Request(proxy.OpMulti, ""), proxy.Reply(proxy.OpMulti, ""), proxy.Reply(proxy.OpMulti, "").Times(2),
		proxy.Reply(proxy.OpGetChildren, ""), proxy.Reply(proxy.OpGetData, ""),
	} {
		t.Run(m.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := startServer(t)
				c := srv.Connect(t)
				term := mustLead(t, election(c, "anna"))
				carl, dora := run(t, election(srv.Connect(t), "carl")), run(t, election(srv.Connect(t), "dora"))
				srv.Proxy(c).Lose(m)
				require.NoError(t, term.HandOver(t.Context(), "dora"))
				<-dora.terms
				require.Empty(t, carl.terms)
				dora.mustEnd(t)
				<-carl.terms
				carl.mustEnd(t)
			})
		})
	}
}

// A hand-over that cannot be done leaves nobody waiting.
func TestHandOverFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, admin := srv.Connect(t), srv.Connect(t)
		term := mustLead(t, election(c, "anna"))
		dora := run(t, election(srv.Connect(t), "dora"))
		_, err := admin.Set(t.Context(), path, []byte("what this is about"), client.AnyVersion)
		require.NoError(t, err)
		err = term.HandOver(t.Context(), "dora")
		require.ErrorIs(t, err, client.ErrBadArguments)
		require.NoError(t, term.Context().Err(), "it could not begin")
		data, _, err := admin.Get(t.Context(), path)
		require.NoError(t, err)
		require.Equal(t, "what this is about", string(data))
		_, err = admin.Set(t.Context(), path, nil, client.AnyVersion)
		require.NoError(t, err)

		// The connection breaks for longer than the caller has time.
		srv.CutClient(c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = term.HandOver(ctx, "dora")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		srv.Heal()
		require.NoError(t, term.Resign(t.Context()))
		<-dora.terms

		// The successor leaves while it is named.
		last := mustLead(t, leader.NewElection(c, path+"/other", &leader.Options{ID: "anna"}))
		gone, err := admin.Create(t.Context(), path+"/other/_c_x-latch-", []byte("emil"), &client.CreateOptions{Mode: client.EphemeralSequential})
		require.NoError(t, err)
		p := srv.Proxy(c)
		held := p.Freeze(proxy.Request(proxy.OpMulti, ""))
		go func() { // ends at once
			<-held.Struck()
			if err := admin.Delete(t.Context(), gone, client.AnyVersion); err != nil {
				t.Error(err)
			}
			held.End()
		}()
		err = last.HandOver(t.Context(), "emil")
		require.ErrorIs(t, err, leader.ErrNoCandidate)
		require.Error(t, last.Context().Err())
		dora.mustEnd(t)
		mustStand(t, admin)
	})
}

// When the leader's node is gone, and with it the answer whether it was handed over, only the note tells.
func TestHandOverThatNobodyKnowsOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, admin := srv.Connect(t), srv.Connect(t)
		for i, again := range []bool{false, true} { // the second time the note is there, from before
			term := mustLead(t, election(c, "anna"))
			dora, err := admin.Create(t.Context(), path+"/_c_dora-latch-", []byte("dora"), &client.CreateOptions{Mode: client.EphemeralSequential})
			require.NoError(t, err)
			if again {
				_, err := admin.Set(t.Context(), path, []byte("next="+dora[len(path)+1:]), client.AnyVersion)
				require.NoError(t, err)
			}
			p := srv.Proxy(c)
			lost := p.Lose(proxy.Request(proxy.OpMulti, ""))
			down := p.Lose(proxy.Request(proxy.OpConnect, "").Always())
			go func() { // ends at once
				<-lost.Struck()
				if err := admin.Delete(t.Context(), term.Path(), client.AnyVersion); err != nil {
					t.Error(err)
				}
				down.End()
			}()
			err = term.HandOver(t.Context(), "dora")
			require.ErrorIs(t, err, client.ErrUnknown, "round %d", i)
			require.NoError(t, admin.Delete(t.Context(), dora, client.AnyVersion))
		}
	})
}

// A note about who is gone, and a candidate who went without a word, hold up nobody for longer than a session's timeout.
func TestNobodyGivesWayToTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, dying := srv.Connect(t), srv.Connect(t)
		term := mustLead(t, election(c, "anna"))
		_ = run(t, preferred(dying, "dead", 9))
		ben := run(t, election(srv.Connect(t), "ben"))
		carl := run(t, election(srv.Connect(t), "carl"))
		srv.CutClient(dying)
		start := time.Now()
		require.NoError(t, term.HandOver(t.Context(), "dead"))
		select {
		case <-ben.terms:
		case <-carl.terms:
		}
		require.Less(t, time.Since(start), 15*time.Second)
		data, _, err := c.Get(t.Context(), path)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(data), "next=_c_"))
		ben.mustEnd(t)
		carl.mustEnd(t)
		again := mustLead(t, election(c, "anna"))
		require.NoError(t, again.Resign(t.Context()))
	})
}

// Those who hand over to each other, at random, stay one leader at a time, and each hand-over reaches whom it was meant for.
func TestHandOversInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		const n = 5
		stands := make([]*stand, n)
		for i := range stands {
			stands[i] = run(t, preferred(srv.Connect(t), fmt.Sprint(i), i%3))
		}
		at := 0
		for i := range 40 {
			term := <-stands[at].terms
			next := (at + 1 + i*i%(n-1)) % n
			synctest.Wait()
			require.NoError(t, term.HandOver(t.Context(), fmt.Sprint(next)))
			at = next
		}
		<-stands[at].terms
		synctest.Wait()
		for _, s := range stands {
			require.Empty(t, s.terms)
		}
		for _, s := range stands {
			s.stop(errStopped)
		}
		for _, s := range stands {
			if err := <-s.ended; !errors.Is(err, errStopped) {
				t.Error(err)
			}
		}
	})
}
