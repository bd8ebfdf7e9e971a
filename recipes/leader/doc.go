// Package leader lets one of many lead, among all processes that use the same ZooKeeper ensemble.
//
//	e := leader.NewElection(c, "/scheduler/leader", &leader.Options{ID: host})
//	err := e.Run(ctx, func(ctx context.Context, term *leader.Term) error {
//		return schedule(ctx, term.Token()) // leads until ctx ends or this returns
//	})
//
// An [Election] is the description of an election. To stand for it is to call [Election.Run], which calls a function each time it
// leads, or [Election.Lead], which returns a [Term] once. A term is the time in which one candidate leads; it is over once and for all,
// and who leads again has another one, with a greater token. To look on, with [Election.Leader], [Election.Participants] and
// [Election.Watch], takes no candidacy.
//
// # How it works
//
// The candidates stand in line, each as an ephemeral sequential node in the election's directory; the first leads. The layout is that of
// Curator's LeaderLatch, to the byte, or with [SelectorLayout] that of its LeaderSelector, which is its InterProcessMutex's and that of
// package lock, or with [KazooLayout] that of kazoo's Election, which is its Lock's:
//
//	<path>/_c_<uuid>-latch-<number>     its data: the candidate's id, as text
//	<path>/_c_<uuid>-lock-<number>
//	<path>/_c_<uuid>-__lock__<number>
//
// so these and candidates of ours on the same path elect one leader, first come first served, and read each other's ids. Those of another
// layout on that path are not in the same election, and nobody waits for them. Package ticket has the details of the line: who watches
// whom, how numbers wrap, what happens to a create whose answer was lost; kazoo's own order ends where numbers do. The directory is a
// container and may vanish whenever it is empty.
//
// # What leading is worth
//
// To lead means: the server accepted this node, nobody was ahead of it, and a majority of the servers has confirmed, lately enough, that the
// session which owns it lives. The session is kept, see client.Session.Keep, and the term's context ends before the servers can give
// the lead to the next. Its Err reads the clocks, so that it is right after the process was stopped, too. What remains is the time
// between looking at the context and the effect of what is done then: for that there is [Term.Token], which grows from term to
// term, and [Term.Guard], which makes a multi fail if the term is over at the moment of the change. Who removes the leader's node, or
// ends its session by force, ends the term behind its back: then the context ends when the client has been told, and only
// token and guard are exact. With a client of client.Wrap, whose session cannot be kept, nobody leads: client.ErrWrapped.
//
// # What happens when
//
//   - The connection is interrupted: nothing, while nobody else can lead. The term goes on with the same node if the client is connected
//     again within a third of the session's timeout (see client.Session.Keep for when longer), and otherwise ends by itself. With
//     Options.EndWhenSuspended it ends at once. Curator does that by default, and must: it has no other way to be in time. Choose it for
//     work that would rather pause for each lost packet than be led, for seconds, by one who cannot reach the servers.
//   - The session is lost, or somebody removes the node: the term ends, with the cause. Run waits for its function, and stands again at
//     the end of the line. One who was waiting stands again too.
//   - The function of Run does not return when its context has ended: Run waits, and Options.Overdue is called. The lead is not given to
//     another as long as the session lives, unless the session was what ended.
//   - The caller's context ends: the function is told, and when it has returned the node is removed. This is waited for, up to
//     Options.Cleanup, and goes on in the background until it is certain.
//   - The process dies: its node goes when the servers end its session, a timeout later, and the next leads.
//   - The servers refuse something for good, such as by ErrNoAuth: Run and Lead end with it. A candidacy never ends in silence.
//
// # Who comes next
//
// The order of the line decides who leads, always. Two things change that order, and both in the same way: a candidate whose turn it is
// leaves the line and joins it again at the end, before it leads. It does so if the last leader has handed over to one behind it
// ([Term.HandOver]), of which a note is kept in the directory's data; otherwise if one behind it has a greater Options.Priority, which
// stands in its name before the marker, as in "_c_<uuid>-p7-latch-<number>". Only who is in line at that moment counts, and nobody who
// leads is disturbed. Those of Curator and kazoo have priority 0, give way to nobody, and are let ahead as others are. One who is let ahead and
// dies delays the election by its session's timeout.
//
// # What it costs
//
// To stand and to lead is four requests, five if somebody is behind, and up to two to be sure of a session that was idle; to wait, two,
// and again when the one ahead has gone; to resign, one. A candidate has one watch on its own node, and while it waits one on the node
// ahead, so that who leaves wakes one other. A leader's session costs the servers eight transactions per session timeout, which change
// nothing. Who looks on with Watch has one watch, on the leader's node, and asks two requests when the leader changes: all who look on do
// so at once.
//
// # Looking at it
//
// [Election.Inspect] tells who stands and who leads, since when, from where, and [Term.Context] why a term ended. With the client's
// TracerProvider a candidacy is a span, leader.wait, and a term another, leader.term, linked to it; with its MeterProvider there are
// bellwether.leader.wait.duration and .count, bellwether.leader.term.duration, .count and .lost, and bellwether.leader.changes.
package leader
