package session

import (
	"encoding/binary"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Negotiate is the timeout a client gets that asks for one: the nearest within [lo, hi], all in milliseconds.
func Negotiate(asked, lo, hi int32) int32 { return max(lo, min(asked, hi)) }

// IDs hands out session ids: the server's id in the top byte, below it 56 bits that start with the wall clock and then count
// (method SessionTrackerImpl.initializeNextSessionId). That no id comes twice in the life of an ensemble rests on
// that clock having moved on since the server's last run, by more than one millisecond for every 65536 sessions; who cannot trust
// it asks again while the id is in use.
type IDs struct {
	server uint64
	next   uint64 // only the low 56 bits count
}

const counterMask = 1<<56 - 1

// NewIDs returns a generator for the server of that id, 0 to 255, at wall milliseconds since 1970.
func NewIDs(server uint8, wall int64) *IDs {
	return &IDs{server: uint64(server) << 56, next: uint64(wall) << 24 >> 8}
}

// Next is an id not handed out before, never 0 and never that of a container ([znode.OwnerContainer]).
func (g *IDs) Next() znode.SessionID {
	for {
		id := znode.SessionID(g.server | g.next&counterMask)
		g.next++
		if id != 0 && znode.Owner(id) != znode.OwnerContainer {
			return id
		}
	}
}

// Password is the password of the session with that id. Every server can compute it, Apache's too (method
// ZooKeeperServer.generatePasswd): 16 bytes drawn from the linear congruential generator of java.util.Random, seeded with the id.
// It keeps clients from taking one another's sessions by mistake, not on purpose.
func Password(id znode.SessionID) (p [wire.PasswordLen]byte) {
	const (
		salt       = 0xB3415C00
		multiplier = 0x5DEECE66D
		mask       = 1<<48 - 1
	)
	s := (uint64(id) ^ salt ^ multiplier) & mask
	for i := 0; i < len(p); i += 4 {
		s = (s*multiplier + 0xB) & mask
		binary.LittleEndian.PutUint32(p[i:], uint32(s>>16))
	}
	return p
}

// PasswordMatches reports whether a client that gave that password may continue the session. Session 0 has none.
func PasswordMatches(id znode.SessionID, password []byte) bool {
	p := Password(id)
	return id != 0 && string(password) == string(p[:])
}
