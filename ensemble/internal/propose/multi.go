package propose

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// multi plans the parts one after the other, each on what those before it will have done. The first that is refused undoes all:
// it becomes an error, those after it are not looked at and become RuntimeInconsistency, those before it stay in the record,
// where an error beside them keeps them from being applied.
func (p *Planner) multi(r *request.Request, h *txn.Header) (txn.Body, znode.Code) {
	ops := r.Record.(*wire.MultiRequest).Ops
	m := &txn.Multi{Subs: make([]txn.Sub, len(ops))}
	failed := false
	p.overlay.begin()
	for i := range ops {
		if failed {
			m.Subs[i] = txn.Sub{Type: wire.OpError, Body: &txn.Error{Code: znode.CodeRuntimeInconsistency}}
			continue
		}
		body, code := p.one(ops[i].Op, ops[i].Record, r, h)
		if code != znode.CodeOK {
			failed = true
			m.Subs[i] = txn.Sub{Type: wire.OpError, Body: &txn.Error{Code: code}}
			continue
		}
		m.Subs[i] = txn.Sub{Type: ops[i].Op, Body: body}
	}
	if failed {
		p.overlay.rollback(h.Zxid)
	} else {
		p.overlay.commit()
	}
	return m, znode.CodeOK
}
