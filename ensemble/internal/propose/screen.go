package propose

import (
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/auth"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Screen is what a server with enableEagerACLCheck may answer a write with before anybody plans it: CodeNoAuth or CodeInvalidACL
// by the tree as it is, CodeOK if it has to be planned to know. It looks at create, create2, delete, setData and setACL only, and
// not whether nodes are there.
func Screen(t *tree.Tree, a *auth.Registry, r *request.Request) znode.Code {
	switch q := r.Record.(type) {
	case *wire.CreateRequest:
		if r.Op != wire.OpCreate && r.Op != wire.OpCreate2 {
			return znode.CodeOK
		}
		if _, code := a.Expand(q.ACL, r.IDs); code != znode.CodeOK {
			return code
		}
		return screenNode(t, a, r, above(q.Path), znode.PermCreate)
	case *wire.DeleteRequest:
		return screenNode(t, a, r, above(q.Path), znode.PermDelete)
	case *wire.SetDataRequest:
		return screenNode(t, a, r, q.Path, znode.PermWrite)
	case *wire.SetACLRequest:
		if _, code := a.Expand(q.ACL, r.IDs); code != znode.CodeOK {
			return code
		}
		return screenNode(t, a, r, q.Path, znode.PermAdmin)
	}
	return znode.CodeOK
}

func above(path string) string { return path[:max(strings.LastIndexByte(path, '/'), 0)] }

func screenNode(t *tree.Tree, a *auth.Registry, r *request.Request, path string, want znode.Perms) znode.Code {
	if n := t.Node(path); n != nil && !a.Permit(n.ACL(), r.IDs, want) {
		return znode.CodeNoAuth
	}
	return znode.CodeOK
}
