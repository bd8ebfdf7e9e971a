// Package counter is a number, or another value, that many may change, and each change counts once.
//
//	orders := counter.New(c, "/orders/count", nil)
//	n, err := orders.Add(ctx, 1)
//
//	limits := counter.NewValue[Limits](c, "/limits", nil)
//	now, err := limits.Update(ctx, func(l Limits) (Limits, error) { l.Users++; return l, nil })
//
//	ids := counter.NewIDs(c, "/orders/ids", nil)
//	id, err := ids.Next(ctx)
//
// # Layout
//
// One node, whose data are the value. A number is there most significant byte first: in eight bytes, as Curator's DistributedAtomicLong
// has it, or four with Options.Bits, as DistributedAtomicInteger, SharedCount and kazoo's Counter in Curator's form do. Other values are
// there as ValueOptions.Codec writes them; with typed.Bytes they are those of Curator's DistributedAtomicValue and SharedValue. What does
// not exist is 0, or ValueOptions.Initial, and is made, with its parents as containers, by the first change; a number without data, as kazoo
// makes it, is 0.
//
//	<path>           persistent: the value
//	<path>-marks     a container, with an ephemeral node for each change under way
//	<path>-lock      a container, with the line of those who were beaten
//
// Curator and kazoo use the first alone, and share it: they see our changes and we see theirs, and no change is lost, as each is conditional on
// the version it was made of. What they count twice they count twice.
//
// # Exactly once
//
// A change reads the value and writes another on the condition that nobody wrote in between; else it does so again. When the answer to a
// write is lost, nobody can tell by the value whether it counted: to add once more may count twice, which is what Curator and kazoo do. Here
// each write makes a mark in its own transaction, so that it is found out. Only when the session ends in that moment, or ctx, is it
// left open, with client.ErrUnknown.
//
// A change that was beaten by others several times goes on under a lock, in a line with all who were: so the unlucky get their turn.
// Those who come meanwhile, and those of Curator and kazoo, are not kept out; so it only gets more likely, and ctx is the bound.
//
// Versions have 32 bits, and one of them means any: a change that would come to it goes past it in the same transaction, so that nobody is
// tempted to ask for it. Those of Curator and kazoo do not, and may lose a change in that moment, once in 2^32.
//
// What is counted is not deleted while it is in use: a new node begins its versions anew, and a change that was read from the old one could be
// taken for one of the new.
//
// # Identifiers
//
// [IDs] gives out numbers that were given to nobody before. It reserves a block of them by one change of a counter, and gives them out from
// memory, as Curator's CachedAtomicLong does, with which it shares a path. What is left of a block when its process ends is lost, and
// so is a block whose reservation nobody knows the outcome of: there are gaps, and never a number twice. Numbers of one IDs grow; between two
// processes they say nothing about who was first.
//
// # What happens when
//
//	the connection is lost              a change waits for the next one, and finds out what became of it
//	the session expires under way       client.ErrUnknown if the change had been sent, else it goes on in the next session
//	ctx ends                            at once; client.ErrUnknown if the change had been sent
//	the process dies                    what it had sent counts or not; its mark and its place in line go with its session
//	somebody else writes data           a change fails with typed.ErrDecode if they are no value, and overwrites nothing
//
// # Cost
//
// A change costs two round trips where nobody interferes, and the removal of the mark behind it; one that is beaten a round trip or two
// more each time, and from the fifth time on a place in line, see package lock. One that is refused, by CompareAndSwap or by the function that
// was to compute it, costs three and writes nothing. An id costs 1/Block of that. Watch has one watch.
//
// # Looking at it
//
// Inspect tells the value, since when, and what changes are under way. With the client's TracerProvider a change is a span, such as
// counter.add; with its MeterProvider there are bellwether.counter.operation.duration, and bellwether.counter.conflicts for those who were
// beaten.
package counter
