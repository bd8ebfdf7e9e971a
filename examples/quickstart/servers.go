package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// notePath is what anna writes to, to see whether writes are acknowledged.
const notePath = "/note"

func nameOf(s *ensemble.Server) string { return fmt.Sprint("server ", s.ServerID()) }

// serverDies takes the leader away while ben holds the lock, and brings it back.
func (s *story) serverDies(ctx context.Context, servers *ensemble.Several, anna, ben *contender) error {
	s.step("The server that leads is switched off while ben holds the lock. The two others see their connections to it end,",
		"and elect one of them; a program that was connected to it goes to another one, with the same session.")
	if err := write(ctx, anna, "all is well"); err != nil {
		return err
	}
	lost, session := servers.Leader(), ben.client.Session()
	if lost == nil {
		return errors.New("there is no leader")
	}
	begun := time.Now()
	if err := lost.Close(); err != nil {
		return err
	}
	s.say(nameOf(lost), "is gone.")
	if err := write(ctx, anna, "one of them is gone"); err != nil {
		return err
	}
	s.say("anna", "wrote a note, which was acknowledged %.1f ms after the loss.", float64(time.Since(begun).Microseconds())/1000)
	if leader := servers.Leader(); leader != nil {
		s.say(nameOf(leader), "leads now.")
	}
	if ben.hold.Context().Err() != nil || ben.client.Session() != session {
		return errors.Join(errors.New("ben lost the lock"), context.Cause(ben.hold.Context()))
	}
	s.say("ben", "has still got his session %v, and with it the lock.", session)

	back, err := servers.Restart(ctx, lost.ServerID())
	if err != nil {
		return err
	}
	if err := back.Serving(ctx); err != nil {
		return err
	}
	s.say(nameOf(back), "is on again, has caught up, and is a %s.", back.Role())
	return nil
}

// write writes the note. When the connection is lost nobody can say whether that was before or after the write; writing the same
// text again does no harm.
func write(ctx context.Context, c *contender, text string) error {
	for {
		_, err := c.client.Create(ctx, notePath, []byte(text), nil)
		if errors.Is(err, client.ErrNodeExists) {
			_, err = c.client.Set(ctx, notePath, []byte(text), client.AnyVersion)
		}
		if !errors.Is(err, client.ErrUnknown) || ctx.Err() != nil {
			return err
		}
	}
}
