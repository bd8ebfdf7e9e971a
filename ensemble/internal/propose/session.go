package propose

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Estate is how many bytes the list in the session's closeSession would take if it were planned now.
func (p *Planner) Estate(id znode.SessionID) int { return 4 + p.overlay.estate(id).bytes }

// closeSession plans the end of a session, whoever wants it. Its list names every ephemeral the session has and will have when
// what is planned has been applied, and none that will be deleted by then; sorted, so that the same requests make the same bytes.
func (p *Planner) closeSession(id znode.SessionID, h *txn.Header) *txn.CloseSession {
	paths := p.overlay.estate(id).sorted()
	for _, path := range paths {
		above, _, _ := znode.Split(path)
		n, parent := p.overlay.at(path, &p.node), p.overlay.at(above, &p.parent)
		p.projectDelete(parent, n, h)
	}
	delete(p.overlay.owners, id)
	return &txn.CloseSession{Paths: paths}
}
