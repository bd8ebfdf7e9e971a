package migrate

import (
	"crypto/sha256"
	"strconv"
	"strings"

	"github.com/bellwether-zk/bellwether/client"
)

// ZooKeeper's numbers of the ops, ZooDefs.OpCode in Java.
var opcodes = map[string]int64{"create": 1, "delete": 2, "set": 5, "check": 13}

// hash is the digest of a migration's ops as Curator computes it, MigrationManager.hash and CuratorMultiTransactionRecord.addToDigest.
func hash(ops []client.Intent) []byte {
	digest := sha256.New()
	for _, op := range ops {
		digest.Write(appendOp(nil, &op))
	}
	return digest.Sum(nil)
}

func appendOp(b []byte, op *client.Intent) []byte {
	b = append(b, op.Path...)
	b = strconv.AppendInt(b, opcodes[op.Op], 10)
	b = appendText(b, op.Path)
	switch op.Op {
	case "create":
		b = appendData(append(b, ','), op.Data)
		b = appendACL(append(b, ','), op.ACL)
		b = strconv.AppendInt(append(b, ','), int64(op.Mode), 10)
	case "set":
		b = appendData(append(b, ','), op.Data)
		b = strconv.AppendInt(append(b, ','), int64(op.Version), 10)
	default:
		b = strconv.AppendInt(append(b, ','), int64(op.Version), 10)
	}
	return append(b, '\n')
}

var escapes = strings.NewReplacer("\x00", "%00", "\n", "%0A", "\r", "%0D", ",", "%2C", "}", "%7D", "%", "%25")

func appendText(b []byte, s string) []byte {
	return append(append(b, '\''), escapes.Replace(s)...)
}

// appendData writes each byte as Java's Integer.toHexString has it: as a signed number of 32 bits, without leading zeros.
func appendData(b, data []byte) []byte {
	if len(data) == 0 {
		return b
	}
	b = append(b, '#')
	for _, x := range data {
		b = strconv.AppendUint(b, uint64(uint32(int8(x))), 16)
	}
	return b
}

func appendACL(b []byte, acl []client.ACL) []byte {
	b = append(b, "v{"...)
	for i, a := range acl {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, "s{"...), int64(a.Perms), 10)
		b = appendText(append(b, ",s{"...), a.Scheme)
		b = appendText(append(b, ','), a.ID)
		b = append(b, "}}"...)
	}
	return append(b, '}')
}
