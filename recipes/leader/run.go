package leader

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Run is a candidate for as long as it runs: it stands in line, calls lead when it is its turn, gives the place up when lead has
// returned, and stands in line again, at the end. It calls lead on its own goroutine, so never a second time before the first has
// returned, and never with a term that is over already.
//
// The context that lead is given is the term's: it ends, with a cause, before anybody else can lead, when ctx ends, and when lead has
// returned; it carries ctx's values. lead should return soon after. Where the end is of this side's making, by ctx, Options.MaxTerm or
// Options.EndWhenSuspended, nobody else leads before lead has returned, as long as the session lives; where the session was lost or
// the node removed others may, which is why what lead does outside should carry Term.Token.
//
// When lead returns nil, Run goes on. When it returns an error while its term lasts, Run resigns and returns that error. An error
// that comes when the term is over is taken for a consequence: it is logged, and Run goes on. An error by which lead has learned from
// Term.Guard that its node is gone is one while the term lasts, if the context has not been told yet: who would rather stand again returns
// nil then.
//
// Run ends with ctx's cause, with client.ErrClosed, for a view with the cause of its session's end, with lead's error, and with an error
// of the servers that would come again, such as client.ErrNoAuth. Its node is then gone, or known to be going.
func (e *Election) Run(ctx context.Context, lead func(ctx context.Context, term *Term) error) error {
	for {
		term, err := e.lead(ctx, "run", ctx)
		if err != nil {
			return err
		}
		if err := e.serve(ctx, term, lead); err != nil {
			return err
		}
	}
}

// serve calls the function for a term, and gives the place up behind it, also if the function panics.
func (e *Election) serve(ctx context.Context, term *Term, lead func(context.Context, *Term) error) (err error) {
	defer func() {
		term.end(ErrResigned)
		if stuck := e.giveBack(ctx, term.leave); stuck != nil && err == nil {
			err = e.failed("run", stuck)
		}
	}()
	defer context.AfterFunc(ctx, func() {
		term.hold.End(ctx.Err()) // the cause may be anything
		term.end(context.Cause(ctx))
	})()
	defer e.guardTime(term)()
	if term.Context().Err() != nil {
		return nil
	}
	err = lead(term.Context(), term)
	if err == nil || term.Context().Err() == nil {
		return err
	}
	cause := context.Cause(term.Context())
	if !errors.Is(err, cause) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		e.opts.Logger.Warn("leader's function failed when its term was over", "path", e.path, "cause", cause, "error", err)
	}
	return nil
}

// guardTime calls Options.Overdue for a function that goes on when its term is over. What it returns is for when the function has returned.
func (e *Election) guardTime(term *Term) (returned func()) {
	if e.opts.Overdue == nil {
		return func() {}
	}
	var (
		done  = make(chan struct{})
		guard sync.WaitGroup
	)
	guard.Go(func() { // ends soon after the function, which serve waits for
		select {
		case <-term.Context().Done():
		case <-done:
			return
		}
		grace := time.NewTimer(e.opts.Grace)
		defer grace.Stop()
		select {
		case <-grace.C:
			e.opts.Overdue(term)
		case <-done:
		}
	})
	return func() {
		close(done)
		guard.Wait()
	}
}
