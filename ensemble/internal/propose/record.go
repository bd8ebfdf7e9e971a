package propose

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// digestLen is the encoded length of a transaction's digest in bytes.
const digestLen = 12

// grow counts n more bytes of body, and the eight that frame a part of a multi, towards the transaction being planned.
// CodeMarshallingError says that nobody could read it any more: readers take records of jute.maxbuffer and as much again. A
// request that came in a frame is far below, unless scheme auth multiplied its ACLs.
func (p *Planner) grow(n int) znode.Code {
	if p.size += 8 + n; p.size > 2*p.cfg.MaxRecord {
		return znode.CodeMarshallingError
	}
	return znode.CodeOK
}

// checkEstate refuses the ephemeral after which the list in the session's closeSession would not fit into a record of
// jute.maxbuffer bytes. (Apache's server lets it be created and then cannot read the log that closed the session, ticket 4306.)
func (p *Planner) checkEstate(id znode.SessionID, path string) znode.Code {
	const fixed = txn.HeaderLen + 4 + digestLen
	if fixed+p.overlay.estate(id).bytes+4+len(path) > p.cfg.MaxRecord {
		return znode.CodeQuotaExceeded
	}
	return znode.CodeOK
}

func createLen(c *txn.Create) int {
	return 4 + len(c.Path) + 4 + len(c.Data) + aclLen(c.ACL) + 1 + 4 + 8
}

func aclLen(acl []znode.ACL) int {
	n := 4
	for i := range acl {
		n += 12 + len(acl[i].ID.Scheme) + len(acl[i].ID.Name)
	}
	return n
}
