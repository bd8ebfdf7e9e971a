package sim_test

// planted are bugs that servers of this kind have had, or might have. Each is a lie told in one place; where another place would catch
// it on the spot, that one is blinded, too.
var planted = []bug{
	// What must be on disk before it is said.
	{name: "ack-before-fsync", lie: "a follower acknowledges what it has only appended", edits: []edit{{
		"zab/following.go", `	z := l.durable
	if !l.ours {
		z = max(l.acked+1, l.first)
	}
	for ; z <= l.durable; z++ {
		l.send(packet.Packet{Type: packet.TypeAck, Zxid: z}, out)
	}
	l.acked = l.durable
`, `	z := l.last
	l.send(packet.Packet{Type: packet.TypeAck, Zxid: z}, out)
	l.acked = z
`}}},
	{name: "leader-ack-before-fsync", lie: "a leader counts itself for what it has not on disk", edits: []edit{{
		"zab/broadcast.go", "case v.id == l.cfg.Self:\n\t\treturn l.synced", "case v.id == l.cfg.Self:\n\t\treturn l.last"}}},
	{name: "no-fsync", lie: "the log is not synced, only written", edits: []edit{{
		"txnlog/append.go", "\terr = f.Sync()\n\tif err == nil && name {", "\tif err == nil && name {"}}},
	{name: "read-is-durable", lie: "what can be read in the log at the start is taken for synced", edits: []edit{{
		"txnlog/tail.go", "if err := rewrite(f, synced, t.end); err != nil {\n\t\t\treturn err\n\t\t}\n\t\treturn f.Truncate(t.end)", "return nil"}}},
	{name: "names-are-durable", lie: "names that are found at the start are taken for synced", edits: []edit{{
		"txnlog/tail.go", "if len(drop) > 0 || spare || len(keep) > 0 {", "if len(drop) > 0 || spare {"}, {
		"store/store.go", "if err := s.fsys.SyncDir(dir); err != nil {", "if _, err := s.fsys.Stat(dir); err != nil {"}}},
	{name: "newleader-ack-early", lie: "NEWLEADER is acknowledged before the history and the epoch are on disk", edits: []edit{{
		"zab/following.go", "\t\tl.at = sealing\n", "\t\tl.at = sealed\n\t\tl.send(packet.Packet{Type: packet.TypeAck, Zxid: l.newEpoch()}, out)\n"}, {
		"zab/following.go", "if l.at == hardening && l.durable >= l.whole {", "if l.at == hardening {"}}},
	{name: "epoch-before-history", lie: "the current epoch is saved before the history it stands for has come", edits: []edit{{
		"zab/following.go", "\tl.at = receiving\n", "\tl.at = receiving\n\t*out = append(*out, Effect{Kind: SaveCurrentEpoch, Epoch: l.epoch})\n"}}},
	{name: "promise-before-disk", lie: "ACKEPOCH is sent before the accepted epoch is on disk", edits: []edit{{
		"zab/following.go", "\tl.at = vowing\n\t*out = append(*out, Effect{Kind: SaveAcceptedEpoch, Epoch: epoch})",
		"\t*out = append(*out, Effect{Kind: SaveAcceptedEpoch, Epoch: epoch})\n\tl.ackEpoch(l.cfg.CurrentEpoch, out)"}}},
	{name: "promise-not-saved", lie: "the accepted epoch is promised and never saved", edits: []edit{{
		"zab/following.go", "\tl.at = vowing\n\t*out = append(*out, Effect{Kind: SaveAcceptedEpoch, Epoch: epoch})",
		"\tl.ackEpoch(l.cfg.CurrentEpoch, out)"}}},

	// Who counts.
	{name: "minority-commit", lie: "one acknowledgement commits", edits: []edit{{
		"zab/broadcast.go", "if l.cfg.Quorum.Quorum(l.hasAcked) {", "if true {"}}},
	{name: "half-is-a-majority", lie: "half the voters, rounded down, are a quorum", edits: []edit{{
		"quorum/quorum.go", "return yes > voters/2", "return yes > 0 && yes >= voters/2"}}},
	{name: "observers-count", lie: "whoever is up to date counts when the leader is established", edits: []edit{{
		"zab/discovery.go", `	if !l.settled || !l.cfg.Quorum.Quorum(func(id packet.ServerID) bool {
		f := l.byID[id].learner
		return id == l.cfg.Self || f != nil && f.stage >= settled
	}) {`, `	n := 0
	for _, f := range l.learners {
		if f.stage >= settled {
			n++
		}
	}
	if !l.settled || n < len(l.voters)/2 {`}}},
	{name: "established-alone", lie: "a leader is established as soon as its own epoch is on disk", edits: []edit{{
		"zab/discovery.go", `	if !l.settled || !l.cfg.Quorum.Quorum(func(id packet.ServerID) bool {
		f := l.byID[id].learner
		return id == l.cfg.Self || f != nil && f.stage >= settled
	}) {`, "\tif !l.settled {"}}},
	{name: "untrusted-votes", lie: "a server that has lost its data votes and counts as one that has none", edits: []edit{{
		"replica/roles.go", "Abstain: r.untrusted != nil}", "Abstain: false}"}, {
		"replica/following.go", "Untrusted: r.untrusted != nil,", "Untrusted: false,"}}},
	{name: "marker-ignored", lie: "an emptied disk is taken for a new one", edits: []edit{{
		"store/served.go", "func (s *Store) Served() bool { return s.served && !s.initialize }", "func (s *Store) Served() bool { return false }"}, {
		"replica/roles.go", "r.synced == 0 && r.epochs.current == 0 && r.election.History()", "false && r.election.History()"}}},
	{name: "follows-lower-epoch", lie: "a server follows a leader of a lower epoch than it has promised, and that leader bears it", edits: []edit{{
		"zab/following.go", "case epoch < l.cfg.AcceptedEpoch:", "case epoch < 0:"}, {
		"zab/following.go", "if epoch == l.cfg.AcceptedEpoch {", "if epoch <= l.cfg.AcceptedEpoch {"}, {
		"zab/following.go", "l.ackEpoch(-1, out) // promised", "l.ackEpoch(l.cfg.CurrentEpoch, out) // promised"}, {
		"zab/discovery.go", "accepted > max(l.epoch, l.outbid)", "accepted < 0"}}},
	{name: "elects-by-id", lie: "the highest id wins the election, whatever its history, and leads whoever has more", edits: []edit{{
		"election/decide.go", "cmp.Or(cmp.Compare(v.Epoch, current.Epoch), cmp.Compare(v.Zxid, current.Zxid), cmp.Compare(v.Leader, current.Leader)) > 0",
		"cmp.Compare(v.Leader, current.Leader) > 0"}, {
		"zab/discovery.go", "if epoch > l.cfg.CurrentEpoch || epoch == l.cfg.CurrentEpoch && f.last > l.cfg.Last {", "if false {"}}},
	{name: "votes-without-zxid", lie: "votes are compared by epoch and id only", edits: []edit{{
		"election/decide.go", "cmp.Compare(v.Zxid, current.Zxid), ", ""}}},
	{name: "votes-without-epoch", lie: "votes are compared by zxid and id only", edits: []edit{{
		"election/decide.go", "cmp.Compare(v.Epoch, current.Epoch), ", ""}}},
	{name: "leads-without-followers", lie: "a leader that has lost its quorum goes on leading", edits: []edit{{
		"zab/ping.go", "\t\treturn ErrQuorumLost\n", "\t\treturn nil\n"}}},
	{name: "votes-while-writing", lie: "a server votes while what it has appended is still on its way to disk", edits: []edit{{
		"replica/roles.go", "func (r *Replica) look(now Time) {\n\tif r.role != Looking || r.writing > 0 || r.replacing {",
		"func (r *Replica) look(now Time) {\n\tif r.role != Looking || r.replacing {"}, {
		"replica/roles.go", "func (r *Replica) decide(now Time) {\n\tif r.role != Looking || r.writing > 0 || r.replacing {",
		"func (r *Replica) decide(now Time) {\n\tif r.role != Looking || r.replacing {"}}},

	// The history.
	{name: "trunc-skipped", lie: "TRUNC is taken for DIFF: what the leader does not have stays", edits: []edit{{
		"zab/following.go", "\t\tl.changing, l.target = Truncate, p.Zxid\n\t\t*out = append(*out, Effect{Kind: Truncate, Zxid: p.Zxid})\n", ""}}},
	{name: "trunc-spares-the-queue", lie: "what was truncated from the log still waits to be applied", edits: []edit{{
		"replica/roles.go", "\tr.waiting.truncate(op.Zxid)\n", ""}}},
	{name: "trunc-spares-the-history", lie: "what was truncated from the log is still given to learners later", edits: []edit{{
		"replica/roles.go", "\tr.history.Truncate(op.Zxid)\n", ""}}},
	{name: "trunc-spares-the-tree", lie: "the tree keeps what was truncated from the log", edits: []edit{{
		"replica/following.go", "Reload: r.tree.Zxid() > e.Zxid}", "Reload: false}"}}},
	{name: "trunc-one-too-many", lie: "TRUNC cuts one transaction more than it should where that can be made up for", edits: []edit{{
		"zab/sync.go", "\tcase last > upto:\n\t\treturn cut(upto)", "\tcase last > upto && h.After(upto) > 1:\n\t\treturn cut(h.At(h.After(upto) - 2).Zxid)\n\tcase last > upto:\n\t\treturn cut(upto)"}}},
	{name: "hole-in-the-history", lie: "a learner that lacks several transactions is not sent the first of them, and nobody looks for gaps", edits: []edit{{
		"zab/sync.go", "\tfor i := l.history.After(from); i < l.history.Len(); i++ {",
		"\ti := l.history.After(from)\n\tif i+2 < l.history.Len() {\n\t\ti++\n\t}\n\tfor ; i < l.history.Len(); i++ {"}, {
		"zab/history.go", "\treturn prev.Epoch() == next.Epoch() && next == prev+1 || next.Epoch() > prev.Epoch()", "\treturn next > prev"}, {
		"txnlog/txnlog.go", "\treturn Follows(prev, z) ||", "\treturn z > prev ||"}}},
	{name: "snapshot-without-the-rest", lie: "what follows a snapshot is not sent before NEWLEADER", edits: []edit{{
		"zab/sync.go", "\tl.forward(f, zxid, out)\n", "\tl.forward(f, l.last, out)\n"}}},
	{name: "install-keeps-the-log", lie: "a snapshot from the leader is installed beside the old log", edits: []edit{{
		"store/install.go", "\tlogs, err := txnlog.Names(s.fsys, s.logDir)\n", "\tvar logs []znode.Zxid\n"}, {
		"store/install.go", "err = s.log.Clear(img.Name.Zxid)", "s.log.SetLast(img.Name.Zxid)"}, {
		"store/install.go", "ensemble/internal/txnlog\"\n", "ensemble/internal/txnlog\"\n\t\"github.com/bellwether-zk/bellwether/ensemble/internal/znode\"\n"}}},
	{name: "commits-before-up-to-date", lie: "a learner applies what its leader has not got a quorum for", edits: []edit{{
		"replica/following.go", "\tif !r.established {\n\t\tr.agreed = max(r.agreed, zxid)\n\t\treturn\n\t}\n", ""}}},
	{name: "applies-proposals", lie: "a follower applies what is proposed without waiting for the commit", edits: []edit{{
		"replica/following.go", "\t\tr.append(&e.Record, now)\n", "\t\tr.append(&e.Record, now)\n\t\tr.agree(e.Record.Zxid)\n"}}},
	{name: "replay-skips-a-record", lie: "the first record behind a snapshot is not replayed", edits: []edit{{
		"store/recover.go", "range s.log.From(rec.Last + 1) {", "range s.log.From(rec.Last + 2) {"}}},
	{name: "epoch-not-raised", lie: "a new leader takes the highest epoch that was promised, not a higher one", edits: []edit{{
		"zab/discovery.go", "l.epoch = max(l.epoch, accepted+1)", "l.epoch = max(l.epoch, accepted)"}, {
		"zab/leader.go", "int64(cfg.Last.Epoch())) + 1, links:", "int64(cfg.Last.Epoch())), links:"}, {
		"zab/following.go", "l.ackEpoch(-1, out) // promised", "l.ackEpoch(l.cfg.CurrentEpoch, out) // promised"}}},
	{name: "reply-one-behind", lie: "a reply names the zxid before its own", edits: []edit{{
		"replica/apply.go", "head := wire.ReplyHeader{Xid: x.Cxid, Zxid: x.Zxid}", "head := wire.ReplyHeader{Xid: x.Cxid, Zxid: x.Zxid - 1}"}}},

	// Clients.
	{name: "double-execution", lie: "what was asked of the last leader is asked of the next without looking whether it was done", edits: []edit{{
		"replica/local.go", "i < max(l.sent, l.asked) && i < len(l.list)", "i < l.sent"}}},
	{name: "serves-too-early", lie: "a server serves before its tree has what was committed before", edits: []edit{{
		"replica/roles.go", "if r.serving || !r.established || r.tree.Zxid() < r.serveFrom {", "if r.serving || !r.established {"}}},
	{name: "reply-of-another", lie: "a transaction answers the request with its number, whosesoever it is", edits: []edit{{
		"replica/local.go", "e.Session == x.Session && e.Xid == x.Cxid && (x.Type", "e.Xid == x.Cxid && (x.Type"}}},
	{name: "requests-of-the-gone", lie: "what a connection asked that is gone is asked again of the next leader", edits: []edit{{
		"replica/local.go", "e.Op != wire.OpCloseSession && !waits(&e)", "false && !waits(&e)"}}},
	{name: "no-doubt", lie: "an observer asks again what it has asked the same leader before", edits: []edit{{
		"replica/roles.go", "\tr.doubt()\n", ""}}},
	{name: "time-goes-back", lie: "a client is let in by a server that knows less than the client has seen", edits: []edit{{
		"replica/clients.go", "case h.req.LastZxidSeen > r.tree.Zxid(): //", "case h.req.LastZxidSeen < 0: //"}, {
		"replica/clients.go", "a.asked, a.valid, a.after = false, valid, r.logged\n", "a.asked, a.valid, a.after = false, valid, 0\n"}}},
	{name: "read-overtakes-write", lie: "a read is answered before the writes its client has asked for earlier", edits: []edit{{
		"request/request.go", "\tif h := l.Head(); h != nil && !h.Ordered() {\n\t\treturn h\n\t}\n\treturn nil",
		"\tif h := l.Head(); h != nil && !h.Ordered() {\n\t\treturn h\n\t}\n\tif l.Len() == 2 && !l.queue[l.head+1].Ordered() {\n\t\tl.queue[l.head], l.queue[l.head+1] = l.queue[l.head+1], l.queue[l.head]\n\t\treturn l.Head()\n\t}\n\treturn nil"}}},
	{name: "version-unchecked", lie: "setData does not look at the version", edits: []edit{{
		"propose/change.go", "\tif !versionMatches(q.Version, n.stat.Version) {\n", "\tif false {\n"}}},
	{name: "sequence-used-again", lie: "the number of a sequential node is the number of children", edits: []edit{{
		"propose/create.go", "sequential(path, parent.stat.Cversion)", "sequential(path, int32(parent.children))"}}},
	{name: "multi-by-halves", lie: "a multi that fails is done up to where it failed", edits: []edit{{
		"tree/apply.go", "\t\tcase failed:\n\t\t\tres.Type = wire.OpError\n", "\t\tcase failed && i%2 == 1:\n\t\t\tres.Type = wire.OpError\n"}}},

	// Sync.
	{name: "sync-at-once", lie: "a follower answers sync without asking the leader", edits: []edit{{
		"replica/leading.go", "\t\treturn r.confirmed >= e.round || r.committed > e.after\n\t}\n\treturn false", "\t\treturn r.confirmed >= e.round || r.committed > e.after\n\t}\n\treturn r.learner != nil && r.serving && r.local.sent > r.local.head"}}},
	{name: "sync-unconfirmed", lie: "a leader answers sync without asking whether it still leads", edits: []edit{{
		"replica/leading.go", "\t\treturn r.confirmed >= e.round || r.committed > e.after\n", "\t\treturn true\n"}}},
	{name: "sync-for-others-unconfirmed", lie: "a leader answers other servers' syncs without asking whether it still leads", edits: []edit{{
		"replica/leading.go", "after: r.logged, round: r.leader.Barrier(now.Mono, &r.effects),\n", "after: r.logged,\n"}}},

	// Watches.
	{name: "event-after-reply", lie: "an event is told after the answer that shows it", edits: []edit{{
		"replica/replica.go", "\tfull     error ", "\tlate     []Notice\n\tfull     error "}, {
		"replica/apply.go", "\t\t\tout.Notices = append(out.Notices, n)\n", "\t\t\tr.late = append(r.late, n)\n"}, {
		"replica/apply.go", "\tif len(r.result.Changes) == 0 {\n\t\treturn\n\t}\n\tr.watching.Lock()",
		"\tout.Notices = append(out.Notices, r.late...)\n\tr.late = r.late[:0]\n\tr.watching.Lock()"}}},
	{name: "multi-fires-once", lie: "of a transaction's changes only the first is told", edits: []edit{{
		"replica/apply.go", "\tdefer r.watching.Unlock()\n\tfor i := range r.result.Changes {", "\tdefer r.watching.Unlock()\n\tfor i := range r.result.Changes[:1] {"}}},
	{name: "watch-fires-twice", lie: "a watch that is told once stays", edits: []edit{{
		"watch/table.go", "t.tell(path, inData, Data, change, path, emit)", "t.tell(path, inData, 0, change, path, emit)"}}},
	{name: "missed-while-away", lie: "what changed while a client was away is not told when it comes back", edits: []edit{{
		"replica/watches.go", "return znode.EventDataChanged, n.Persisted().Mzxid > req.RelativeZxid", "return znode.EventDataChanged, false"}}},
	{name: "watch-not-restored", lie: "of the watches a client brings back those for children are forgotten", edits: []edit{{
		"replica/watches.go", "\t\t\tif !r.add(q.Conn, path, list.kind) {", "\t\t\tif list.kind == watch.Child {\n\t\t\t\tcontinue\n\t\t\t}\n\t\t\tif !r.add(q.Conn, path, list.kind) {"}}},
	{name: "deletion-untold", lie: "who watches the children of a node does not learn that it was deleted", edits: []edit{{
		"watch/table.go", "\tif change == znode.EventDeleted {\n", "\tif false {\n"}}},

	// Sessions.
	{name: "expiry-by-a-follower", lie: "a server ends the session of a connection that breaks", edits: []edit{{
		"replica/clients.go", "\t\tdelete(r.clients.owners, c.session)\n\t}\n\tdelete(r.clients.byConn, conn)\n",
		"\t\tdelete(r.clients.owners, c.session)\n\t\tr.local.push(request.Request{Session: c.session, Op: wire.OpCloseSession})\n\t}\n\tdelete(r.clients.byConn, conn)\n"}}},
	{name: "lease-not-renewed", lie: "a new leader lets sessions expire that had no time to reach it", edits: []edit{{
		"replica/leading.go", "\t\tr.sessions.Open(id, timeout, now.Mono)\n\t}\n\tr.planner", "\t\tr.sessions.Open(id, timeout, now.Mono-int64(timeout))\n\t}\n\tr.planner"}}},
	{name: "sessions-not-reopened", lie: "a new leader does not know the sessions that an earlier one has opened", edits: []edit{{
		"replica/leading.go", "\tfor id, timeout := range r.tree.Sessions() {\n\t\tr.sessions.Open(id, timeout, now.Mono)\n\t}\n", ""}}},
	{name: "touches-lost", lie: "of the sessions a follower has heard of only the first is kept alive", edits: []edit{{
		"replica/leading.go", "\t\tfor _, t := range touches {\n", "\t\tfor _, t := range touches[:min(len(touches), 1)] {\n"}}},
	{name: "half-the-timeout", lie: "sessions expire after half their timeout", edits: []edit{{
		"session/session.go", "((now-t.slept+e.timeout)/t.tick + 1) * t.tick", "((now-t.slept+e.timeout/2)/t.tick + 1) * t.tick"}}},
	{name: "never-expires", lie: "sessions of clients that are gone do not end", edits: []edit{{
		"replica/leading.go", "range r.sessions.Expired(now.Mono) {", "range r.sessions.Expired(now.Mono)[:0] {"}}},
	{name: "ephemeral-stays", lie: "the end of a session leaves one of its ephemerals", edits: []edit{{
		"propose/session.go", "\tpaths := p.overlay.estate(id).sorted()\n", "\tpaths := p.overlay.estate(id).sorted()\n\tpaths = paths[:max(len(paths)-1, 0)]\n"}, {
		"tree/apply.go", "\tfor _, path := range t.Ephemerals(h.Session) {\n", "\tfor _, path := range t.Ephemerals(h.Session)[:0] {\n"}}},
	{name: "asks-after-closing", lie: "what a session asks for is done though its end has been proposed", edits: []edit{{
		"session/session.go", "if e := t.byID[id]; e == nil || e.bucket == nil {\n\t\treturn znode.CodeSessionExpired", "if e := t.byID[id]; e == nil {\n\t\treturn znode.CodeSessionExpired"}}},
	{name: "the-dead-are-let-in", lie: "a session that has ended goes on through another server", edits: []edit{{
		"replica/leading.go", "\tvalid := r.sessions.Check(ask.Session) == znode.CodeOK\n", "\tvalid := true\n"}}},
	{name: "moved-unnoticed", lie: "a session that has moved can still write through the server it left", edits: []edit{{
		"replica/leading.go", "if !r.owner(q.Session, from) {", "if false {"}}},
	{name: "held-for-ever", lie: "a server without a leader keeps its clients for ever", edits: []edit{{
		"replica/roles.go", "if !r.serving && r.held && now.Mono-r.since > r.cfg.Hold {", "if false {"}}},
	{name: "pings-always-answered", lie: "a client's ping is answered also when nobody else hears of it", edits: []edit{{
		"replica/roles.go", "\treturn r.learner.Fresh(now.Mono)\n", "\treturn true\n"}}},
	{name: "lone-leader-answers-pings", lie: "a leader answers pings that no quorum has followed for long", edits: []edit{{
		"replica/roles.go", "\t\treturn r.leader.Fresh(now.Mono)\n", "\t\treturn true\n"}}},
	{name: "unconfirmed-lease", lie: "a leader renews leases that others may have ended, without asking whether it still leads", edits: []edit{{
		"zab/ping.go", "if l.Fresh(now) { // a leader that others may have left confirms nothing", "if true {"}}},
}
