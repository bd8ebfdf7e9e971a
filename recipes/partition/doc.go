// Package partition divides parts among the members of a group: shards among servers, queues among workers. Each part is one member's at a
// time; when members come and go as few parts move as possible, and those that move are handed over.
//
//	p := partition.New(c, "/search", []string{"a-h", "i-p", "q-z"}, &partition.Options{ID: "host-7"})
//	err := p.Run(ctx, func(ctx context.Context, part *partition.Part) error {
//		return serve(ctx, part.Name(), part.Token())
//	})
//
// Run calls the function for each part that is this member's, for as long as it is. [Partition.Join] gives the same in the hand: a [Share], and
// [Part] after Part from it. The parts are a fixed list, or the children of a node (NewOfChildren), which may come and go.
//
// # Whose a part is
//
// Who is to have a part follows from who is there, by rendezvous hashing: every member draws lots for the part, by its id and the part's name,
// as many as its weight says, and the greatest lot wins ([Choose]). All who see the same members come to the same result, without a word.
// Only the parts of a member that goes move, to where they belong without it; one that comes gets its parts from everybody, and
// no other part moves.
//
// Who has a part is another question, and decided by a lock: to own a part is to hold its lock, see package lock for what that is worth.
// So members who do not see the same for a while, or are cut off, disagree about who should own a part, and never about who does. A
// part's [Part.Token] grows from owner to owner, and [Part.Guard] makes a multi fail if the part is not owned at that moment.
//
// # How a part moves
//
//  1. Somebody comes, goes, or changes its weight. Members act upon that when nothing of the kind has happened for Options.Settle, so
//     that one who is back by then, with the same id, finds its parts where they were: a restart moves nothing.
//  2. Who is to have the part waits for its lock. Who has it works on until that one is there.
//  3. The owner is told: [Part.Moving] is closed. It may work on for Options.Notice.
//  4. The context of the part ends, with [ErrMoved]. The owner lets go: the function returns, or calls [Part.Release].
//  5. The lock is released, and the next one's function is called.
//
// An owner who does not let go within Options.Grace of the end of the context is not waited for any longer: Options.Overdue is called, and the
// lock released. From then on only tokens keep the two apart. Its function is not called again for this part before it has returned.
//
// [Share.Drain] hands all parts over before a member goes for good, one by one and without a gap; [Share.Leave], and the end of Run's
// context, let go at once.
//
// # Layout
//
//	<path>/members/<id>                                 the members, see package group; the data are the weight and a sum of the parts
//	<path>/locks/<part>/_c_<uuid>-lock-<number>         the owner of a part, and who waits for it; the data are the id
//
// Curator has nothing like it, and kazoo's SetPartitioner neither shares the layout nor the rule.
//
// # What happens when
//
//	connection lost, made again within T/3    nothing; T is the session's timeout
//	not made again, or the session expires    the contexts of all parts end before anybody else owns them; the member is registered again in the
//	                                          next session, and gets them back as soon as its functions have returned
//	a member dies                             its parts are taken when the servers have ended its session, and the others have settled
//	it comes back before that                 with the same id: it gets its parts again, and nothing else moves
//	the members keep changing                 it is acted upon after five times Options.Settle all the same
//	two have one id                           the second is refused with group.ErrTaken; one that comes back to find its id taken owns nothing more
//	an owner's node is removed by somebody    its context ends, which may be after another owns the part; it stands in line again
//	a part is removed from the list           it is given up, with notice
//	its node is known to some members only    each member divides the parts it sees; it is owned by one of those who see it
//	the function returns nil too early        the part is given up, and taken again a second later
//	it returns an error                       all is given up, and Run returns the error
//	Run's context ends                        the contexts of all parts end; each is given up when its function has returned
//
// Nothing is given up on suspicion: a part is its owner's while nobody else can have it. Whose work makes no sense without the servers, and who
// would rather stop at once, follows client.Client.States and calls [Part.Release] when the connection is suspended.
//
// # Looking at it
//
// [Partition.Inspect] asks the servers whose each part is. With the client's TracerProvider the time from when a part is meant for this member
// until it is its own is a span, partition.wait, and as long as it is its own another, partition.part; with its MeterProvider there are
// bellwether.partition.wait.duration and .count, and bellwether.partition.part.duration, .count and .lost, which tell how many parts it owns, and
// by their ends how many have moved. Its membership is seen as that of package group, and its locks as locks.
//
// # Cost
//
// A member is a member of a group and looks at it, see package group. To get a part takes what a lock takes, three requests
// in one round trip if nobody has it; an owner has one watch on its own node. While a part is to move its owner has one more, on the part's
// directory, and reads the nodes of those who wait there; who waits has one on the owner's node, and is woken when that goes. To choose
// takes one step for each part, member and unit of weight, whenever the members change: a thousand parts among a hundred members of weight 1 take a
// few milliseconds.
package partition
