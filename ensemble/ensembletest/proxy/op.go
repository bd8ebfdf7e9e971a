package proxy

import "github.com/bellwether-zk/bellwether/ensemble/internal/wire"

// An Op is what is asked of a server.
type Op int8

// The ops that users of a client ask for, and all of them together.
const (
	OpAny    Op = iota // each op from here to OpWhoAmI: what users of a client ask for
	OpCreate           // in all its forms
	OpDelete
	OpExists
	OpGetData
	OpSetData
	OpGetACL
	OpSetACL
	OpGetChildren // with and without a Stat
	OpSync
	OpCheck     // of a version, in a multi
	OpMulti     // several in one transaction
	OpMultiRead // several reads in one request
	OpReconfig  // of who is a member
	OpAddWatch  // a persistent one
	OpRemoveWatches
	OpCheckWatches
	OpEphemerals  // which nodes are the session's
	OpDescendants // how many nodes there are below one
	OpWhoAmI
)

// The ops that clients ask for by themselves.
const (
	OpConnect Op = iota + 32 // the first frame of a connection, which opens or moves a session
	OpAuth
	OpSASL
	OpSetWatches // after a new connection: the watches there are
	OpPing
	OpCloseSession
	OpAll // everything that goes this way, also what is in neither list
)

// forms are the names that ops have on the wire.
var forms = map[wire.Op]Op{
	wire.OpCreate: OpCreate, wire.OpCreate2: OpCreate, wire.OpCreateContainer: OpCreate, wire.OpCreateTTL: OpCreate,
	wire.OpDelete: OpDelete, wire.OpDeleteContainer: OpDelete, wire.OpExists: OpExists, wire.OpGetData: OpGetData,
	wire.OpSetData: OpSetData, wire.OpGetACL: OpGetACL, wire.OpSetACL: OpSetACL, wire.OpGetChildren: OpGetChildren,
	wire.OpGetChildren2: OpGetChildren, wire.OpSync: OpSync, wire.OpCheck: OpCheck, wire.OpMulti: OpMulti,
	wire.OpMultiRead: OpMultiRead, wire.OpReconfig: OpReconfig, wire.OpAddWatch: OpAddWatch, wire.OpRemoveWatches: OpRemoveWatches,
	wire.OpCheckWatches: OpCheckWatches, wire.OpGetEphemerals: OpEphemerals, wire.OpGetAllChildrenNumber: OpDescendants,
	wire.OpWhoAmI: OpWhoAmI,

	wire.OpCreateSession: OpConnect, wire.OpAuth: OpAuth, wire.OpSASL: OpSASL, wire.OpSetWatches: OpSetWatches,
	wire.OpSetWatches2: OpSetWatches, wire.OpPing: OpPing, wire.OpCloseSession: OpCloseSession,
}

var opNames = map[Op]string{
	OpAny: "any", OpCreate: "create", OpDelete: "delete", OpExists: "exists", OpGetData: "getData", OpSetData: "setData",
	OpGetACL: "getACL", OpSetACL: "setACL", OpGetChildren: "getChildren", OpSync: "sync", OpCheck: "check", OpMulti: "multi",
	OpMultiRead: "multiRead", OpReconfig: "reconfig", OpAddWatch: "addWatch", OpRemoveWatches: "removeWatches",
	OpCheckWatches: "checkWatches", OpEphemerals: "getEphemerals", OpDescendants: "getAllChildrenNumber", OpWhoAmI: "whoAmI",
	OpConnect: "connect", OpAuth: "auth", OpSASL: "sasl", OpSetWatches: "setWatches", OpPing: "ping",
	OpCloseSession: "closeSession", OpAll: "all",
}

// String is ZooKeeper's name of the op.
func (o Op) String() string { return opNames[o] }

// covers reports whether o is the op of that name on the wire, or one of several.
func (o Op) covers(w wire.Op) bool {
	is, known := forms[w]
	switch o {
	case OpAll:
		return true
	case OpAny:
		return known && is <= OpWhoAmI
	}
	return known && is == o
}
