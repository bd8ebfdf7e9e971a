// Quickstart shows the first thing people use a coordination service for: a lock that several programs pass on, that does not get
// stuck when one of them dies, and that does not notice when a server does.
//
//	go run ./examples/quickstart
//
// It needs nothing but Go. Three servers run inside this process, and so do three contenders; each has a connection and a session of
// its own, as three programs on three machines would. The story ends by itself after a few seconds.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble"
)

// lockPath is where the line of contenders stands in the tree.
const lockPath = "/locks/printer"

// sessionTimeout is how long the servers wait for a contender that fell silent. Three seconds keep the story short and are enough for a
// busy machine; 10 to 30 seconds are usual.
const sessionTimeout = 3 * time.Second

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run tells the whole story.
func run(ctx context.Context, out io.Writer) (err error) {
	s := &story{out: out, start: time.Now()}
	s.title("Bellwether quickstart: one printer, three programs, one lock")

	s.step("Three servers start inside this process, and elect one of them to lead. Their data lives in memory,",
		"nothing is left behind.")
	servers, err := ensemble.StartSeveral(ctx, 3, &ensemble.Options{TickTime: sessionTimeout / 5})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()
	for _, server := range servers.Servers() {
		s.say(nameOf(server), "is ready, as a %s. Any ZooKeeper client could talk to it.", server.Role())
	}

	s.step("Three programs connect. Each gets a session: the servers' promise to remember it as long as it",
		"gives a sign of life, here at least every three seconds.")
	var all []*contender
	for _, name := range []string{"anna", "ben", "carla"} {
		c, err := connect(ctx, name, servers.ConnectString(), servers.Dial)
		if err != nil {
			return err
		}
		defer c.client.Close()
		all = append(all, c)
		s.say(name, "has session %v.", c.client.Session())
	}
	if err := s.passOn(ctx, servers, all[0], all[1], all[2]); err != nil {
		return err
	}
	s.title("That is all. The same lock works across machines, on Bellwether's servers or on Apache ZooKeeper's,\n" +
		"beside programs in Java that use Curator's InterProcessMutex on the same path.")
	return nil
}

// passOn is the part about the lock: it goes from anna to ben by a release, stays with him when a server is lost, and goes from ben
// to carla by ben's death.
func (s *story) passOn(ctx context.Context, servers *ensemble.Several, anna, ben, carla *contender) error {
	s.step("All three want the printer. To ask for the lock is to stand in a line: each puts a node of its own into",
		"the directory "+lockPath+", and the servers number the nodes as they come.")
	if err := anna.lock(ctx); err != nil {
		return err
	}
	s.say("anna", "is first in the line, so she holds the lock. Token %d.", anna.hold.Token())
	for _, c := range []*contender{ben, carla} {
		c.lockLater(ctx)
		ahead, err := c.waitsFor(ctx)
		if err != nil {
			return err
		}
		s.say(c.name, "waits, and watches one node only: %s's.", ahead)
	}
	if err := s.showLine(ctx, anna); err != nil {
		return err
	}
	printer := &printer{story: s}
	printer.print(anna, anna.hold.Token(), "page 1")

	s.step("Anna releases the lock: her node goes. That wakes ben, who watched it, and nobody else.")
	if err := anna.hold.Release(ctx); err != nil {
		return err
	}
	if err := ben.locked(ctx); err != nil {
		return err
	}
	s.say("ben", "holds the lock. Token %d: every holder's token is greater than the one before.", ben.hold.Token())
	printer.print(ben, ben.hold.Token(), "page 2")

	if err := s.serverDies(ctx, servers, anna, ben); err != nil {
		return err
	}
	printer.print(ben, ben.hold.Token(), "page 3")
	return s.death(ctx, ben, carla, printer)
}

// death cuts the holder's connection and shows what becomes of the lock and of him.
func (s *story) death(ctx context.Context, ben, carla *contender, printer *printer) error {
	s.step("Now ben's network cable is pulled while he holds the lock. He releases nothing; it could as well be his",
		"power. The servers keep his place until his session has been silent for three seconds, then remove his node.")
	cut := time.Now()
	ben.cable.cut()
	if err := carla.locked(ctx); err != nil {
		return err
	}
	waited := time.Since(cut)
	s.say("carla", "holds the lock, %.1f s after the cut. Token %d. Nobody had to clean up after ben.", waited.Seconds(), carla.hold.Token())
	select {
	case <-ben.hold.Context().Done():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.say("ben", "is told by his own client: %v.", context.Cause(ben.hold.Context()))

	s.step("Ben did not notice in time, say: he was paused, and goes on printing as if the lock were his. This is what the",
		"token is for. The printer remembers the greatest it has seen and refuses smaller ones.")
	printer.print(carla, carla.hold.Token(), "page 4")
	printer.print(ben, ben.hold.Token(), "page 5")

	s.step("The cable is plugged in again. Ben gets a new session, and with it a new place at the end of the line.")
	ben.cable.plug()
	ben.lockLater(ctx)
	ahead, err := ben.waitsFor(ctx)
	if err != nil {
		return err
	}
	s.say("ben", "has session %v now, and waits for %s.", ben.client.Session(), ahead)
	if err := carla.hold.Release(ctx); err != nil {
		return err
	}
	if err := ben.locked(ctx); err != nil {
		return err
	}
	s.say("ben", "holds the lock again, after carla's release. Token %d.", ben.hold.Token())
	printer.print(ben, ben.hold.Token(), "page 5")
	return ben.hold.Release(ctx)
}

// printer is the thing the lock protects. It does its part of the protection: it knows the greatest token it has seen.
type printer struct {
	story    *story
	greatest int64
}

func (p *printer) print(c *contender, token int64, page string) {
	if token < p.greatest {
		p.story.say("printer", "refuses %s from %s: token %d is behind token %d.", page, c.name, token, p.greatest)
		return
	}
	p.greatest = token
	p.story.say("printer", "prints %s for %s (token %d).", page, c.name, token)
}

// showLine prints the directory as it is in the tree: what anybody with a ZooKeeper client would see.
func (s *story) showLine(ctx context.Context, c *contender) error {
	if err := c.client.Sync(ctx, lockPath); err != nil { // the server she is connected to may be a moment behind the others
		return err
	}
	state, err := c.mutex.Inspect(ctx)
	if err != nil {
		return err
	}
	s.note("In the tree, this is all there is to it:")
	for _, contender := range append(state.Holders, state.Waiters...) {
		s.note("  %s  %-5s of session 0x%x", contender.Name, contender.Data, uint64(contender.Session))
	}
	return nil
}
