// Failover shows what three servers do when the one that leads them ends: who notices what and when, how the others agree on a new
// leader, and what a program that writes all the while sees of it.
//
//	go run ./examples/failover
//
// It needs nothing but Go; the servers run inside this process and keep their data in memory. Everything it prints comes from the
// public packages: what the servers become from ensemble's Hooks, what was written from client's answers.
//
// Every transaction has a number, the zxid: an epoch, which begins with each leader, and a counter within it, here written 2:17. Who
// compares two zxids knows which came first, across all leaders there ever were. How a new epoch begins:
//
//	election         the servers that are left tell each other their last zxid; who has the highest is to lead
//	discovery        it asks which epochs the others have promised to follow, takes a higher one, and gets a majority's promise
//	synchronization  it gives the others what they lack of its history, and takes away what nobody else has; a majority has all
//	                 of it on disk before anything goes on
//	broadcast        clients are served, and the counter begins anew
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble"
)

// writesBefore is how many writes are acknowledged before the leader is lost, writesAfter how many afterwards.
const (
	writesBefore = 1000
	writesAfter  = 500
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1)
	}
}

// run tells the whole story.
func run(ctx context.Context, out io.Writer) (err error) {
	var log chronicle
	fmt.Fprint(out, "Three servers start. Nobody leads yet, and nobody has any history.\n\n")
	begun := time.Now()
	servers, err := ensemble.StartSeveral(ctx, 3, &ensemble.Options{Hooks: ensemble.Hooks{RoleChanged: log.add}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()
	log.print(out, begun)

	w, err := startWriter(ctx, servers)
	if err != nil {
		return err
	}
	defer w.stop()
	if err := w.await(ctx, writesBefore); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nA program writes, one write after the other; %d have been acknowledged. Now server %d, which leads, is closed.\n\n",
		writesBefore, w.leader.ServerID())
	lost := time.Now()
	if err := w.leader.Close(); err != nil {
		return err
	}
	if err := w.await(ctx, w.count()+writesAfter); err != nil {
		return err
	}
	for _, s := range servers.Servers() {
		if s != w.leader {
			if err := s.Serving(ctx); err != nil {
				return err
			}
		}
	}
	log.print(out, lost)
	if err := w.report(out, lost); err != nil {
		return err
	}

	fmt.Fprintf(out, "\nServer %d is started again, from what it had. It follows, and is given what it has missed.\n\n", w.leader.ServerID())
	begun = time.Now()
	back, err := servers.Restart(ctx, w.leader.ServerID())
	if err != nil {
		return err
	}
	if err := back.Serving(ctx); err != nil {
		return err
	}
	log.print(out, begun)
	w.stop()
	return w.check(ctx, out, back)
}

// print shows what has been told since the last time, with the time since begun.
func (c *chronicle) print(out io.Writer, begun time.Time) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "       ms\tserver\trole\tphase\tepoch promised\tepoch of history\tlast zxid\t")
	for _, e := range c.take() {
		fmt.Fprintf(t, "%9.3f\t%d\t%s\t%s\t%d\t%d\t%s\t\n",
			milliseconds(e.Time.Sub(begun)), e.Server, e.Role, e.Phase, e.AcceptedEpoch, e.Epoch, zxid(e.Zxid))
	}
	t.Flush()
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// zxid is a zxid as people read it: the epoch, and the counter within it.
func zxid(z int64) string { return fmt.Sprintf("%d:%d", z>>32, z&0xffffffff) }
