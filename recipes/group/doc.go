// Package group tells who else is here: members of a group, each with an id and a payload, who see each other come, change and go.
//
//	g := group.New(c, "/search/members", nil)
//	me, err := g.Join(ctx, "anna", []byte("10.0.0.7:25"))
//	if err != nil {
//		return err
//	}
//	defer me.Leave(context.WithoutCancel(ctx))
//
//	all, err := g.Observe(ctx)
//	if err != nil {
//		return err
//	}
//	defer all.Close()
//	for event := range all.Events(ctx) {
//		fmt.Println(event.Kind, event.Member.ID)
//	}
//
// To be a member and to look on are two things: a [Membership] is this process's own, a [View] is of all members, and who has a View need
// not be one. A View has what the servers have: this process is in it when it is registered, and not because it wants to be.
//
// # Layout
//
// A member is an ephemeral node, that of Curator's GroupMember unless Options.Layout says otherwise:
//
//	<path>/<id>                       the data are the payload
//
// so Curator's and ours are members of one group. kazoo has two others, in which members have no payload, or none that kazoo knows of:
//
//	<path>/<32 hex>__party__          Party: the data are the id; older versions put a number of ten digits behind
//	<path>/<32 hex>-<id>              ShallowParty: kazoo puts the id into the data, too
//
// The path is made as a container where it is missing. Children that are not ephemeral, or not named like this, are nobody.
//
// # One id, one member
//
// Where the id is the node's name it is one member's: who comes second is refused with [ErrTaken], and nobody's data are
// overwritten. One who has died stays for its session's timeout, and may be the former life of who comes: [Group.Join] waits so long
// for it to go, see Options.Patience. (Curator's GroupMember is not so careful: one with the same id overwrites our data, which are put right,
// and again.) A Group's own members wait for each other in the same way; two Groups of one client do not know of each other, and must not be
// given one id. kazoo's layouts let many have one id.
//
// # What happens when
//
//	connection lost               the member stays for its session's timeout; Status says that nobody knows, and View.StaleSince since when
//	made again in that time       nothing: the node is looked at, and no observer hears of it
//	session lost                  the next session takes the node over, without a moment in which there is none; observers are told Left and
//	                              Joined, as it is another registration, with another token
//	the node is removed           it is made again
//	its data are overwritten      they are written again
//	id taken meanwhile            Status says ErrTaken, and the member is registered when the other one goes
//	ACL forbids it                Status says so, and it is tried again at intervals
//	Join's context ends           what it made is removed
//	process dies                  its node goes when the servers' timeout is over
//
// A membership does not end on suspicion, as nobody is kept out by it: [Membership.Status] and [Membership.Watch] tell at once that nobody knows
// whether it is listed, and what is to be done about that is the member's to say.
//
// That a member is listed is no proof that it works, or even lives; and that it is not, none that it has stopped: it may not know yet. What two
// must not do takes a lock.
//
// # Looking at it
//
// [Group.Inspect] asks the servers who is there, [Membership.Status] tells what is known of the own membership. With the client's
// TracerProvider each time in which this process wants to be a member and is none is a span, group.wait, and each in which it is one
// another, group.membership; with its MeterProvider there are bellwether.group.wait.duration and .count, bellwether.group.membership.duration,
// .count and .lost, bellwether.group.repairs, and of Views bellwether.group.members.
//
// # Cost
//
// To join takes two requests at once if the path exists, to change the payload three, to leave three; a member has one watch on its own node. A View
// takes a read and a list of the directory and one read for each member to open, and the servers keep two watches for it and one for each
// member. Who changes its payload costs each observer one request, who comes two, so a thousand who look on at a thousand who all come
// are two million.
package group
