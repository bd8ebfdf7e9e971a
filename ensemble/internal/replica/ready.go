package replica

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/election"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Ready is what a Replica wants done, in four lists, each in order. Nothing in one list has to wait for anything in another:
// where something may happen only after something is on disk, the Replica waits for [Replica.Written] before it asks for it.
type Ready struct {
	Disk    []DiskOp
	Votes   []election.Message // on the election port
	Links   []LinkOp           // on the quorum port
	Clients []ClientOp
}

// Empty reports whether there is nothing to do.
func (rd *Ready) Empty() bool {
	return len(rd.Disk) == 0 && len(rd.Votes) == 0 && len(rd.Links) == 0 && len(rd.Clients) == 0
}

// Reset empties rd once all of it has been taken.
func (rd *Ready) Reset() {
	clear(rd.Disk)
	clear(rd.Votes)
	clear(rd.Links)
	clear(rd.Clients)
	rd.Disk, rd.Votes, rd.Links, rd.Clients = rd.Disk[:0], rd.Votes[:0], rd.Links[:0], rd.Clients[:0]
}

// A DiskKind is something to be done with the store.
type DiskKind uint8

// Kinds of disk operations. Each is durable before it is reported with [Replica.Written], and they are done in order.
const (
	DiskAppend        DiskKind = iota // append Records and sync; several in a row may share the sync
	DiskAcceptedEpoch                 // save Epoch as the accepted one
	DiskCurrentEpoch                  // save Epoch as the current one
	DiskTruncate                      // take the log back to Zxid; with Reload, read the tree again afterwards
	DiskServed                        // note that this server has served
	DiskWhole                         // note that everything is there that belongs to a snapshot that was Partial
)

// A DiskOp is one of them.
type DiskOp struct {
	Kind    DiskKind
	Records *Records
	Epoch   int64
	Zxid    znode.Zxid // what to truncate to; of an append whoever has done it fills in the last record's
	Reload  bool
}

// A LinkKind is something to be done with a connection between servers.
type LinkKind uint8

// Kinds of link operations.
const (
	LinkSend     LinkKind = iota // send Packet on Link; its Data is only lent until the operation has been carried out
	LinkClose                    // close Link because of Err
	LinkDial                     // connect to the leader Server; report with Linked or LinkFailed
	LinkAccept                   // from now on take in learners; report each with Accepted
	LinkRefuse                   // no longer
	LinkSnapshot                 // begin a dump of the tree for Link, report its zxid with SnapshotTaken, and send it
)

// A LinkOp is one of them.
type LinkOp struct {
	Kind   LinkKind
	Link   packet.LinkID
	Server packet.ServerID
	Packet packet.Packet
	Err    error
}

// A ClientKind is something to be done with a client's connection.
type ClientKind uint8

// Kinds of client operations.
const (
	ClientGreet  ClientKind = iota // answer its handshake with Response
	ClientRefuse                   // close it without an answer to its handshake
	ClientClose                    // close it
)

// A ClientOp is one of them.
type ClientOp struct {
	Kind     ClientKind
	Conn     request.ConnID
	Response wire.ConnectResponse
}

// A Record is a transaction to be logged.
type Record struct {
	Zxid    znode.Zxid
	Payload []byte
}

// Records collects transactions for the log, in order. Reset makes the room usable again once the log has taken all.
type Records struct {
	List []Record
	room []byte
	lent bool // somebody keeps the payloads: the room is not to be used again
}

// keepRecords is for how many records, and keepRoom for how many bytes of them, a Records that was reset keeps room.
const (
	keepRecords = 4096
	keepRoom    = 1 << 20
)

// Reset empties rs.
func (rs *Records) Reset() {
	if rs.List, rs.room = rs.List[:0], rs.room[:0]; cap(rs.List) > keepRecords || cap(rs.room) > keepRoom {
		*rs = Records{}
	}
	if rs.lent {
		rs.room, rs.lent = nil, false
	}
}

// add encodes x behind the others.
func (rs *Records) add(x *txn.Txn) []byte {
	start := len(rs.room)
	rs.room = x.AppendPayload(rs.room)
	payload := rs.room[start:len(rs.room):len(rs.room)]
	rs.List = append(rs.List, Record{Zxid: x.Zxid, Payload: payload})
	return payload
}

// disk asks for an operation.
func (r *Replica) disk(op DiskOp) {
	r.writing++
	r.ready.Disk = append(r.ready.Disk, op)
}

// records is where the next record to be logged goes: what is asked for in one turn goes to the log in one group.
func (r *Replica) records() *Records {
	if n := len(r.ready.Disk); n > 0 && r.ready.Disk[n-1].Kind == DiskAppend {
		return r.ready.Disk[n-1].Records
	}
	var rs *Records
	if n := len(r.spare); n > 0 {
		rs, r.spare = r.spare[n-1], r.spare[:n-1]
	} else {
		rs = new(Records)
	}
	rs.lent = r.cfg.Quorum != nil // the history keeps them
	r.disk(DiskOp{Kind: DiskAppend, Records: rs})
	return rs
}

// spareMost is how many empty groups are kept to be filled again.
const spareMost = 4

func (r *Replica) link(op LinkOp)     { r.ready.Links = append(r.ready.Links, op) }
func (r *Replica) client(op ClientOp) { r.ready.Clients = append(r.ready.Clients, op) }

// Ready is what is to be done by now. The caller carries all of it out, in order within each list, and calls Reset before the next
// call of any other method but Tree and Answer.
func (r *Replica) Ready() *Ready { return &r.ready }
